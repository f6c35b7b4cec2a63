//! `check`: mounts, namespaces, System V IPC, control groups. Each rule sees the defect that is planted for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::plant::Plant;
use common::planted::planted;
use icecore::tool::check::Severity;
use serde_json::{Value, json};

fn entry(plant: &Plant, image: &str, at: usize, change: impl FnOnce(&mut Value)) {
    plant.entries(image, |entries| change(&mut entries[at]));
}

planted! {
    a_mount_on_one_that_is_not_there: Error "mount-parent" in "container", "mountpoints-14.img" 4,
        |plant| entry(plant, "mountpoints-14.img", 4, |mount| mount["parent_mnt_id"] = 555.into());
    two_roots: Error "mount-parent" in "container", "mountpoints-18.img" 9,
        |plant| plant.entries("mountpoints-18.img", |entries| {
            let mut root = entries[8].clone();
            (root["mnt_id"], root["parent_mnt_id"]) = (555.into(), 554.into());
            entries.insert(0, root);
        });
    no_root: Error "mount-root" in "container", "mountpoints-18.img" -,
        |plant| entry(plant, "mountpoints-18.img", 8, |mount| mount["mountpoint"] = "/x".into());
    mounts_on_each_other: Error "mount-circle" in "container", "mountpoints-18.img" 4,
        |plant| entry(plant, "mountpoints-18.img", 4, |mount| mount["parent_mnt_id"] = 79.into());
    a_mount_beside_its_parent: Error "mount-place" in "container", "mountpoints-18.img" 0,
        |plant| entry(plant, "mountpoints-18.img", 0, |mount| mount["mountpoint"] = "/database".into());
    two_mounts_in_one_place: Error "mount-twice" in "container", "mountpoints-14.img" 6,
        |plant| entry(plant, "mountpoints-14.img", 6, |mount| mount["mountpoint"] = "/dev/pts".into());
    a_mount_that_is_there_twice: Error "mount-twice" in "container", "mountpoints-14.img" 7,
        |plant| plant.entries("mountpoints-14.img", |entries| entries.insert(6, entries[6].clone()));
    a_mount_in_a_relative_place: Error "mount-path" in "container", "mountpoints-14.img" 5,
        |plant| entry(plant, "mountpoints-14.img", 5, |mount| mount["root"] = "sub".into());
    a_file_system_of_no_type: Error "mount-type" in "container", "mountpoints-14.img" 6,
        |plant| entry(plant, "mountpoints-14.img", 6, |mount| mount["fstype"] = 0.into());
    a_file_system_of_a_future_type: Error "mount-type" in "container", "mountpoints-14.img" 6,
        |plant| entry(plant, "mountpoints-14.img", 6, |mount| mount["fstype"] = 99.into());
    a_name_of_a_file_system_with_a_type: Error "mount-type" in "container", "mountpoints-14.img" 6,
        |plant| entry(plant, "mountpoints-14.img", 6, |mount| mount["fsname"] = "xfs".into());
    a_directory_of_nothing: Error "mount-bind" in "container", "mountpoints-14.img" 2,
        |plant| entry(plant, "mountpoints-14.img", 2, |mount| mount["root_dev"] = 1234.into());
    a_master_out_of_reach: Error "mount-master" in "container", "mountpoints-14.img" 0,
        |plant| entry(plant, "mountpoints-14.img", 0, |mount| mount["master_id"] = 77.into());
    two_masters: Error "mount-groups" in "container", "mountpoints-14.img" 0,
        |plant| entry(plant, "mountpoints-18.img", 4, |mount| {
            (mount["shared_id"], mount["master_id"]) = (1.into(), 2.into());
            mount["ext_key"] = "data".into();
        });
    a_tmpfs_without_its_content: Error "mount-content" in "container", "mountpoints-18.img" 0,
        |plant| plant.remove("tmpfs-dev-50.tar.gz.img");
    an_automounter_without_its_settings: Error "mount-content" in "container", "mountpoints-14.img" 6,
        |plant| entry(plant, "mountpoints-14.img", 6, |mount| mount["fstype"] = 18.into());
    content_of_no_mount: Warning "mount-unused" in "container", "tmpfs-dev-77.tar.gz.img" -,
        |plant| plant.write("tmpfs-dev-77.tar.gz.img", &std::fs::read(plant.image("tmpfs-dev-50.tar.gz.img")).unwrap());
}

planted! {
    names_of_the_machine_missing: Error "namespace-missing" in "container", "ids-1.img" 0,
        |plant| plant.remove("utsns-12.img");
    limits_of_ipc_missing: Error "namespace-missing" in "container", "ids-1.img" 0,
        |plant| plant.remove("ipcns-var-11.img");
    mounts_missing: Error "namespace-missing" in "container", "ids-1.img" 0,
        |plant| plant.remove("mountpoints-14.img");
    users_missing: Error "namespace-missing" in "container", "ids-1.img" 0,
        |plant| plant.remove("userns-15.img");
    clocks_missing: Error "namespace-missing" in "container", "ids-1.img" 0,
        |plant| plant.remove("timens-13.img");
    settings_of_the_network_missing: Error "namespace-missing" in "container", "ids-1.img" 0,
        |plant| plant.remove("netns-10.img");
    network_devices_missing: Error "namespace-missing" in "container", "ids-1.img" 0,
        |plant| plant.remove("netdev-10.img");
    network_addresses_missing: Error "namespace-missing" in "container", "ids-1.img" 0,
        |plant| plant.remove("ifaddr-10.img");
    network_routes_missing: Error "namespace-missing" in "container", "ids-1.img" 0,
        |plant| plant.remove("route6-10.img");
    a_task_in_other_names_of_the_machine: Error "namespace-nested" in "container", "ids-3.img" 0,
        |plant| {
            entry(plant, "ids-3.img", 0, |ids| ids["uts_ns_id"] = 33.into());
            plant.write_json("utsns-33.img", &plant.json("utsns-12.img"));
        };
    an_image_of_no_namespace: Warning "namespace-unused" in "container", "utsns-99.img" -,
        |plant| plant.write_json("utsns-99.img", &plant.json("utsns-12.img"));
    a_segment_without_its_content: Error "ipc-content" in "container", "ipcns-shm-11.img" 3,
        |plant| plant.remove("pagemap-shmem-3.img");
    a_segment_twice: Error "ipc-twice" in "container", "ipcns-shm-11.img" 3,
        |plant| entry(plant, "ipcns-shm-11.img", 3, |segment| segment["desc"]["id"] = 2.into());
    a_key_twice: Error "ipc-twice" in "container", "ipcns-sem-11.img" 2,
        |plant| entry(plant, "ipcns-sem-11.img", 2, |set| set["desc"]["key"] = 12288.into());
    a_segment_of_no_size: Error "ipc-size" in "container", "ipcns-shm-11.img" 0,
        |plant| entry(plant, "ipcns-shm-11.img", 0, |segment| segment["size"] = 0.into());
    a_set_of_no_semaphores: Error "ipc-size" in "container", "ipcns-sem-11.img" 0,
        |plant| entry(plant, "ipcns-sem-11.img", 0, |set| (set["nsems"], set["extra"]) = (0.into(), json!([])));
    a_semaphore_too_high: Error "ipc-value" in "container", "ipcns-sem-11.img" 1,
        |plant| entry(plant, "ipcns-sem-11.img", 1, |set| set["extra"][1] = 40000.into());
    a_message_too_long: Error "ipc-message" in "container", "ipcns-msg-11.img" 1,
        |plant| entry(plant, "ipcns-msg-11.img", 1, |queue| {
            queue["extra"] = json!([{"mtype": 6, "msize": 8193}, "AAAA".repeat(2731)]);
        });
    a_message_of_type_zero: Error "ipc-message" in "container", "ipcns-msg-11.img" 1,
        |plant| entry(plant, "ipcns-msg-11.img", 1, |queue| queue["extra"][0]["mtype"] = 0.into());
    more_messages_than_fit: Warning "ipc-overfull" in "container", "ipcns-msg-11.img" 0,
        |plant| entry(plant, "ipcns-msg-11.img", 0, |queue| queue["qbytes"] = 10.into());
    more_messages_than_the_namespace_allows: Error "ipc-overfull" in "container", "ipcns-msg-11.img" 0,
        |plant| entry(plant, "ipcns-var-11.img", 0, |limits| limits["msg_ctlmnb"] = 10.into());

    a_set_in_an_unknown_hierarchy: Error "cgroup-controller" in "container", "cgroup.img" 0,
        |plant| entry(plant, "cgroup.img", 0, |groups| groups["sets"][0]["ctls"][3]["name"] = "unheard".into());
    a_hierarchy_of_no_name: Error "cgroup-controller" in "container", "cgroup.img" 0,
        |plant| entry(plant, "cgroup.img", 0, |groups| {
            groups["controllers"].as_array_mut().unwrap().push(json!({"dirs": []}));
        });
    a_group_in_a_relative_place: Error "cgroup-path" in "container", "cgroup.img" 0,
        |plant| entry(plant, "cgroup.img", 0, |groups| groups["sets"][1]["ctls"][0]["path"] = "frozen".into());
    a_set_that_lacks_a_hierarchy: Warning "cgroup-set" in "container", "cgroup.img" 0,
        |plant| entry(plant, "cgroup.img", 0, |groups| {
            groups["sets"][1]["ctls"].as_array_mut().unwrap().pop();
        });
}

#[test]
fn an_empty_network_is_a_note() {
    let plant = Plant::of_data("container");
    for name in plant.names() {
        let is_net =
            ["net", "ifaddr", "route", "rule", "ip6", "iptables", "nft"].iter().any(|start| name.starts_with(start));
        if is_net && name.contains("-10.") {
            plant.remove(&name);
        }
    }
    let found = plant.check();
    let note = found.of("namespace-empty").next().unwrap();
    assert_eq!((note.severity, note.field.as_deref()), (Severity::Note, Some("net_ns_id")));
    assert_eq!(found.of("namespace-missing").count(), 0);
}

#[test]
fn the_same_in_version_2() {
    let plant = Plant::of_data("container");
    entry(&plant, "mountpoints-18.img", 4, |mount| mount["parent_mnt_id"] = 79.into());
    entry(&plant, "ipcns-sem-11.img", 1, |set| set["extra"][1] = 40000.into());
    plant.remove("utsns-12.img");
    let found = plant.check_v2();
    found.expect(Severity::Error, "mount-circle", "mountpoints-18.img", Some(4));
    found.expect(Severity::Error, "ipc-value", "ipcns-sem-11.img", Some(1));
    found.expect(Severity::Error, "namespace-missing", "ids-1.img", Some(0));
}
