//! `check`: open files of every type, and what belongs to them. Each rule sees the defect that is planted for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use common::plant::Plant;
use common::planted::planted;
use icecore::tool::check::Severity;
use serde_json::{Value, json};

/// Changes one entry of an image.
fn entry(plant: &Plant, image: &str, at: usize, change: impl FnOnce(&mut Value)) {
    plant.entries(image, |entries| change(&mut entries[at]));
}

fn file(plant: &Plant, at: usize, change: impl FnOnce(&mut Value)) {
    entry(plant, "files.img", at, change);
}

/// A field of an entry that is taken away.
fn take(value: &mut Value, field: &str) {
    value.as_object_mut().unwrap().remove(field).unwrap_or_else(|| panic!("no {field} in {value}"));
}

/// Adds a file, which gets the next number.
fn add_file(plant: &Plant, kind: &str, part: &str, mut value: Value) {
    let fown = json!({"uid": 0, "euid": 0, "signum": 0, "pid_type": 0, "pid": 0});
    value["id"] = 900.into();
    value["flags"] = 2.into();
    value["fown"] = fown;
    plant.entries("files.img", |entries| entries.push(json!({"type": kind, "id": 900, part: value})));
}

fn bpf(plant: &Plant, count: u32, values_bytes: u32) {
    let map = json!({"pos": 0, "map_type": 1, "key_size": 4, "value_size": 8, "map_id": 5, "max_entries": 16,
        "map_flags": 0, "memlock": 0, "frozen": false, "map_name": "m", "ifindex": 0});
    add_file(plant, "BPFMAP", "bpf", map);
    let extra = "AAAA".repeat((4 * count + values_bytes) as usize / 3);
    let data = json!({"map_id": 5, "keys_bytes": 4 * count, "values_bytes": values_bytes, "count": count});
    let mut data = data;
    data["extra"] = extra.into();
    plant.write_json("bpfmap-data.img", &json!({"magic": "BPFMAP_DATA", "entries": [data]}));
}

#[test]
fn untouched_copies_are_whole() {
    for name in ["tree", "container", "python"] {
        let plant = Plant::of_data(name);
        plant.check().assert_whole();
        let found = plant.check_v2();
        // pages are no files of version 2; what is said of them is not about files
        assert!(found.findings.iter().all(|finding| finding.what.contains("version 2")), "{}", found.text());
    }
}

planted! {
    a_number_that_is_not_the_entrys: Error "file-id" in "tree", "files.img" 22,
        |plant| file(plant, 22, |file| file["pipe"]["id"] = 9999.into());
    a_type_without_its_part: Error "file-part" in "tree", "files.img" 70,
        |plant| file(plant, 70, |file| take(file, "efd"));
    a_type_with_anothers_part: Error "file-part" in "tree", "files.img" 70,
        |plant| file(plant, 70, |file| file["type"] = "SIGNALFD".into());
    two_parts: Warning "file-parts" in "tree", "files.img" 70,
        |plant| file(plant, 70, |file| file["nsf"] = json!({"id": 71, "ns_id": 1, "ns_cflag": 0, "flags": 0}));
    a_type_of_the_future: Error "file-type" in "tree", "files.img" 70,
        |plant| file(plant, 70, |file| file["type"] = 65534.into());
    a_file_twice: Error "file-twice" in "tree", "files.img" 123,
        |plant| plant.entries("files.img", |entries| entries.push(entries[70].clone()));

    a_descriptor_twice: Error "fd-twice" in "tree", "fdinfo-2.img" 3,
        |plant| plant.entries("fdinfo-2.img", |entries| {
            let fd = entries[1]["fd"].clone();
            entries.truncate(3);
            entries.push(json!({"id": 1, "flags": 0, "type": "REG", "fd": fd}));
        });
    a_descriptor_too_high: Warning "fd-high" in "tree", "fdinfo-2.img" 0,
        |plant| entry(plant, "fdinfo-2.img", 0, |fd| fd["fd"] = 2_000_000.into());
    a_descriptor_above_the_limit: Note "fd-above-limit" in "python", "fdinfo-2.img" 0,
        |plant| {
            entry(plant, "core-100.img", 0, |core| core["tc"]["rlimits"]["rlimits"][7]["cur"] = 100.into());
            entry(plant, "fdinfo-2.img", 0, |fd| fd["fd"] = 100.into());
        };

    a_path_that_is_relative: Error "path-relative" in "tree", "files.img" 100,
        |plant| file(plant, 100, |file| file["reg"]["name"] = "srv/plain.txt".into());
    a_path_that_is_empty: Error "path-relative" in "tree", "files.img" 100,
        |plant| file(plant, 100, |file| file["reg"]["name"] = "".into());
    a_path_that_is_too_long: Error "path-long" in "tree", "files.img" 100,
        |plant| file(plant, 100, |file| file["reg"]["name"] = format!("/{}", "a".repeat(4095)).into());

    a_fifo_without_a_path: Error "path-file" in "tree", "files.img" 18,
        |plant| file(plant, 18, |file| take(&mut file["fifo"], "regf_id"));
    a_pipe_filled_twice: Error "pipe-data-twice" in "tree", "pipes-data.img" 4,
        |plant| plant.entries("pipes-data.img", |entries| entries.push(entries[1].clone()));
    a_fifo_filled_twice: Error "pipe-data-twice" in "tree", "fifo-data.img" 2,
        |plant| plant.entries("fifo-data.img", |entries| entries.push(entries[1].clone()));
    a_pipe_with_more_than_it_holds: Error "pipe-overfull" in "tree", "pipes-data.img" 2,
        |plant| entry(plant, "pipes-data.img", 2, |data| {
            data["bytes"] = 9000.into();
            data["extra"] = "AAAA".repeat(3000).into();
        });
    a_pipe_of_no_size: Error "pipe-size" in "tree", "pipes-data.img" 1,
        |plant| entry(plant, "pipes-data.img", 1, |data| data["size"] = 0.into());

    what_is_in_a_pipe_nobody_has: Warning "pipe-data-unused" in "tree", "pipes-data.img" 1,
        |plant| entry(plant, "pipes-data.img", 1, |data| data["pipe_id"] = 777.into());

    a_file_on_a_mount_that_is_lost: Error "mount-unknown" in "container", "files.img" 9,
        |plant| file(plant, 9, |file| file["reg"]["mnt_id"] = 9999.into());
    a_socket_on_a_mount_that_is_lost: Error "mount-unknown" in "container", "files.img" 17,
        |plant| {
            let (_, mut socket) = Plant::of_data("tree").find("files.img", |file| file["usk"]["state"] == 10);
            (socket["usk"]["ns_id"], socket["usk"]["mnt_id"]) = (17.into(), 9999.into());
            (socket["id"], socket["usk"]["id"]) = (18.into(), 18.into());
            file(plant, 17, |file| *file = socket);
        };
    a_mark_of_a_mount_that_is_lost: Error "mount-unknown" in "container", "files.img" 17,
        |plant| {
            let (_, mut marks) = Plant::of_data("tree").find("files.img", |file| file["type"] == "FANOTIFY");
            (marks["id"], marks["ffy"]["id"]) = (18.into(), 18.into());
            file(plant, 17, |file| *file = marks);
        };

    an_epoll_of_a_closed_descriptor: Error "epoll-target" in "tree", "files.img" 77,
        |plant| file(plant, 77, |file| file["epfd"]["tfd"][2]["tfd"] = 555.into());
    an_epoll_that_waits_twice: Error "epoll-twice" in "tree", "files.img" 77,
        |plant| file(plant, 77, |file| file["epfd"]["tfd"][2]["tfd"] = 9.into());
    an_epoll_that_waits_for_itself: Error "epoll-itself" in "tree", "files.img" 77,
        |plant| {
            let (table, fd) = plant.names().into_iter().filter(|name| name.starts_with("fdinfo-")).find_map(|name| {
                let entries = plant.json(&name)["entries"].as_array().unwrap().clone();
                let held = entries.iter().find(|held| held["type"] == "EVENTPOLL")?;
                Some((name, held["fd"].clone()))
            }).unwrap();
            assert!(table.starts_with("fdinfo-"));
            file(plant, 77, |file| file["epfd"]["tfd"][2]["tfd"] = fd);
        };

    a_watch_twice: Error "watch-number" in "tree", "files.img" 78,
        |plant| file(plant, 78, |file| file["ify"]["wd"][0]["wd"] = 1.into());
    a_watch_with_number_zero: Error "watch-number" in "tree", "files.img" 78,
        |plant| file(plant, 78, |file| file["ify"]["wd"][1]["wd"] = 0.into());
    a_watch_of_no_place: Error "watch-place" in "tree", "files.img" 78,
        |plant| file(plant, 78, |file| {
            take(&mut file["ify"]["wd"][0]["f_handle"], "path");
            file["ify"]["wd"][0]["f_handle"]["bytes"] = 0.into();
        });
    a_watch_with_half_a_handle: Error "watch-place" in "tree", "files.img" 78,
        |plant| file(plant, 78, |file| {
            take(&mut file["ify"]["wd"][0]["f_handle"], "path");
            file["ify"]["wd"][0]["f_handle"]["handle"] = json!([1]);
        });
    a_mark_of_nothing: Error "mark-part" in "tree", "files.img" 79,
        |plant| file(plant, 79, |file| take(&mut file["ffy"]["mark"][0], "me"));
    a_mark_of_an_unknown_type: Error "mark-type" in "tree", "files.img" 79,
        |plant| file(plant, 79, |file| file["ffy"]["mark"][0]["type"] = 7.into());
    a_mark_of_no_place: Error "watch-place" in "tree", "files.img" 79,
        |plant| file(plant, 79, |file| {
            take(&mut file["ffy"]["mark"][1]["ie"]["f_handle"], "path");
            file["ffy"]["mark"][1]["ie"]["f_handle"]["bytes"] = 200.into();
        });

    a_timer_of_no_clock: Error "timer-clock" in "tree", "files.img" 74,
        |plant| file(plant, 74, |file| file["tfd"]["clockid"] = 4.into());
    a_timer_of_too_many_nanoseconds: Error "timer-value" in "tree", "files.img" 74,
        |plant| file(plant, 74, |file| file["tfd"]["insec"] = 1_000_000_000.into());
    a_namespace_of_another_kind: Error "ns-file-kind" in "container", "files.img" 25,
        |plant| file(plant, 25, |file| file["nsf"]["ns_id"] = 10.into());
    a_tun_without_a_path: Error "path-file" in "tree", "files.img" 123,
        |plant| plant.entries("files.img", |entries| entries.push(json!({"type": "TUNF", "id": 900, "tunf": {"id": 900}})));
    a_tun_without_its_device: Error "tun-device" in "container", "files.img" 28,
        |plant| plant.entries("files.img", |entries| {
            let mut path = entries[0].clone();
            (path["id"], path["reg"]["id"]) = (900.into(), 900.into());
            entries.push(path);
            entries.push(json!({"type": "TUNF", "id": 900, "tunf": {"id": 900, "netdev": "tun7", "ns_id": 10}}));
            entries.remove(27);
        });
    a_bpf_map_of_another_type: Error "bpf-type" in "tree", "files.img" 123,
        |plant| {
            bpf(plant, 3, 24);
            file(plant, 123, |file| file["bpf"]["map_type"] = 3.into());
        };
    a_bpf_map_with_half_its_values: Error "bpf-data" in "tree", "bpfmap-data.img" 0, |plant| bpf(plant, 3, 12);
    a_bpf_map_with_too_many_values: Error "bpf-data" in "tree", "bpfmap-data.img" 0, |plant| bpf(plant, 18, 144);

    a_memfd_nobody_has: Warning "memfd-unused" in "tree", "memfd.img" 4,
        |plant| plant.entries("memfd.img", |entries| {
            let mut more = entries[2].clone();
            (more["inode_id"], more["size"]) = (77.into(), 0.into());
            entries.push(more);
        });
    a_memfd_without_its_content: Error "memfd-content" in "tree", "memfd.img" 2,
        |plant| plant.remove("pagemap-shmem-753.img");
    two_memfds_with_one_content: Error "memfd-shmid" in "tree", "memfd.img" 2,
        |plant| entry(plant, "memfd.img", 2, |memfd| memfd["shmid"] = 752.into());
    a_memfd_of_half_a_huge_page: Error "memfd-size" in "tree", "memfd.img" 2,
        |plant| entry(plant, "memfd.img", 2, |memfd| memfd["hugetlb_flag"] = (4 | 21 << 26).into());
    a_memfd_with_a_long_name: Error "memfd-name" in "tree", "memfd.img" 2,
        |plant| entry(plant, "memfd.img", 2, |memfd| memfd["name"] = "n".repeat(250).into());
    a_memfd_with_unknown_seals: Error "memfd-seals" in "tree", "memfd.img" 2,
        |plant| entry(plant, "memfd.img", 2, |memfd| memfd["seals"] = 0x40.into());

    a_terminal_nobody_has: Warning "tty-unused" in "tree", "tty-info.img" 2,
        |plant| plant.entries("tty-info.img", |entries| {
            let mut more = entries[0].clone();
            more["id"] = 3.into();
            entries.push(more);
        });
    a_terminal_of_an_unknown_type: Error "tty-type" in "tree", "tty-info.img" 1,
        |plant| entry(plant, "tty-info.img", 1, |tty| tty["type"] = 9.into());
    a_pseudo_terminal_without_a_number: Error "tty-type" in "tree", "tty-info.img" 0,
        |plant| entry(plant, "tty-info.img", 0, |tty| take(tty, "pty"));
    a_console_with_a_pseudo_terminals_number: Error "tty-type" in "tree", "tty-info.img" 0,
        |plant| entry(plant, "tty-info.img", 0, |tty| tty["type"] = "CONSOLE".into());
    a_terminal_that_is_none: Error "tty-device" in "tree", "tty-info.img" 1,
        |plant| entry(plant, "tty-info.img", 1, |tty| tty["rdev"] = 0x0103.into());
    a_master_without_settings: Error "tty-settings" in "tree", "tty-info.img" 0,
        |plant| entry(plant, "tty-info.img", 0, |tty| take(tty, "winsize"));
    a_slave_with_half_its_settings: Error "tty-settings" in "tree", "tty-info.img" 1,
        |plant| entry(plant, "tty-info.img", 1, |tty| take(tty, "termios_locked"));
    settings_with_too_few_characters: Error "tty-settings" in "tree", "tty-info.img" 1,
        |plant| entry(plant, "tty-info.img", 1, |tty| tty["termios"]["c_cc"] = json!([1, 2, 3]));
    a_terminal_of_too_high_a_number: Error "tty-number" in "tree", "tty-info.img" 0,
        |plant| entry(plant, "tty-info.img", 0, |tty| tty["id"] = 5001.into());
    two_slaves_without_masters: Error "tty-pairs" in "tree", "tty-info.img" 1,
        |plant| plant.entries("tty-info.img", |entries| {
            entries[0] = entries[1].clone();
            entries[1]["id"] = 4.into();
        });

    a_lock_through_a_closed_descriptor: Error "lock-fd" in "tree", "filelocks.img" 2,
        |plant| entry(plant, "filelocks.img", 2, |lock| lock["fd"] = 40.into());
    a_lock_of_no_kind: Error "lock-kind" in "tree", "filelocks.img" 0,
        |plant| entry(plant, "filelocks.img", 0, |lock| lock["flag"] = 16.into());
    a_lock_of_no_type: Error "lock-type" in "tree", "filelocks.img" 0,
        |plant| entry(plant, "filelocks.img", 0, |lock| lock["type"] = 5.into());
    a_lock_before_the_file: Error "lock-range" in "tree", "filelocks.img" 0,
        |plant| entry(plant, "filelocks.img", 0, |lock| lock["start"] = (-10).into());
}

planted! {
    a_remap_to_a_pipe: Error "remap-missing" in "tree", "remap-fpath.img" 2,
        |plant| entry(plant, "remap-fpath.img", 2, |remap| remap["remap_id"] = 23.into());
    a_remap_to_a_ghost_that_is_lost: Error "remap-missing" in "tree", "remap-fpath.img" 1,
        |plant| plant.remove("ghost-file-2.img");
    a_remap_twice: Warning "remap-twice" in "tree", "remap-fpath.img" 1,
        |plant| entry(plant, "remap-fpath.img", 1, |remap| remap["orig_id"] = 11.into());
    a_remap_of_an_unknown_type: Error "remap-type" in "tree", "remap-fpath.img" 2,
        |plant| entry(plant, "remap-fpath.img", 2, |remap| remap["remap_type"] = 3.into());
    a_remap_to_task_zero: Error "remap-pid" in "tree", "remap-fpath.img" 5,
        |plant| entry(plant, "remap-fpath.img", 5, |remap| remap["remap_id"] = 0.into());

    a_ghost_of_nobody: Warning "ghost-unused" in "tree", "ghost-file-1f.img" -,
        |plant| plant.write_json("ghost-file-1f.img", &plant.json("ghost-file-5.img"));
    a_ghost_that_was_cut: Error "ghost-size" in "tree", "files.img" 10,
        |plant| plant.resize("ghost-file-1.img", plant.size("ghost-file-1.img") - 1);
    a_ghost_of_another_file: Error "ghost-mode" in "tree", "files.img" 16,
        |plant| entry(plant, "ghost-file-3.img", 0, |head| head["mode"] = 16_877.into());
    a_piece_of_a_ghost_behind_its_end: Error "ghost-beyond" in "tree", "ghost-file-2.img" 3,
        |plant| entry(plant, "ghost-file-2.img", 3, |piece| piece["off"] = 131_000.into());
    pieces_of_a_ghost_out_of_order: Warning "ghost-order" in "tree", "ghost-file-2.img" 3,
        |plant| entry(plant, "ghost-file-2.img", 3, |piece| piece["off"] = 36_864.into());
    pieces_of_a_ghost_of_no_size: Error "ghost-head" in "tree", "ghost-file-2.img" 0,
        |plant| entry(plant, "ghost-file-2.img", 0, |head| take(head, "size"));
    a_ghost_of_a_link_to_nowhere: Error "ghost-head" in "tree", "ghost-file-4.img" 0,
        |plant| entry(plant, "ghost-file-4.img", 0, |head| head["mode"] = 0o120_777.into());
    a_ghost_of_no_device: Error "ghost-head" in "tree", "ghost-file-4.img" 0,
        |plant| entry(plant, "ghost-file-4.img", 0, |head| head["mode"] = 0o020_600.into());
}
