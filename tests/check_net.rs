//! `check`: sockets, what waits in them, network devices. Each rule sees the defect that is planted for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::plant::Plant;
use common::planted::planted;
use icecore::tool::check::Severity;
use serde_json::{Value, json};

fn entry(plant: &Plant, image: &str, at: usize, change: impl FnOnce(&mut Value)) {
    plant.entries(image, |entries| change(&mut entries[at]));
}

fn file(plant: &Plant, at: usize, change: impl FnOnce(&mut Value)) {
    entry(plant, "files.img", at, change);
}

fn take(value: &mut Value, field: &str) {
    value.as_object_mut().unwrap().remove(field).unwrap_or_else(|| panic!("no {field} in {value}"));
}

planted! {
    a_socket_of_no_family: Error "inet-socket" in "tree", "files.img" 61,
        |plant| file(plant, 61, |file| file["isk"]["family"] = 7.into());
    a_socket_of_no_type: Error "inet-socket" in "tree", "files.img" 61,
        |plant| file(plant, 61, |file| file["isk"]["type"] = 5.into());
    half_an_address: Error "inet-socket" in "tree", "files.img" 60,
        |plant| file(plant, 60, |file| file["isk"]["src_addr"] = json!([0, 0]));
    a_port_too_high: Error "inet-socket" in "tree", "files.img" 61,
        |plant| file(plant, 61, |file| file["isk"]["src_port"] = 65536.into());
    an_udp_socket_that_listens: Error "inet-socket" in "tree", "files.img" 61,
        |plant| file(plant, 61, |file| file["isk"]["state"] = 10.into());
    a_socket_of_no_state: Error "inet-socket" in "tree", "files.img" 61,
        |plant| file(plant, 61, |file| file["isk"]["state"] = 0.into());
    a_connection_without_its_image: Error "tcp-stream-missing" in "tree", "files.img" 56,
        |plant| plant.remove("tcp-stream-170a2.img");
    a_connection_nobody_has: Warning "tcp-stream-unused" in "tree", "tcp-stream-1f.img" -,
        |plant| plant.write_json("tcp-stream-1f.img", &plant.json("tcp-stream-170a3.img"));
    a_connection_that_does_not_say_what_was_sent: Error "tcp-stream" in "tree", "tcp-stream-170a2.img" 0,
        |plant| entry(plant, "tcp-stream-170a2.img", 0, |stream| take(stream, "unsq_len"));
    more_unsent_than_written: Error "tcp-stream" in "tree", "tcp-stream-170a2.img" 0,
        |plant| entry(plant, "tcp-stream-170a2.img", 0, |stream| stream["unsq_len"] = 1.into());
    no_scale_of_the_window: Error "tcp-stream" in "tree", "tcp-stream-170a2.img" 0,
        |plant| entry(plant, "tcp-stream-170a2.img", 0, |stream| take(stream, "rcv_wscale"));
    no_time_stamp: Error "tcp-stream" in "tree", "tcp-stream-170a2.img" 0,
        |plant| entry(plant, "tcp-stream-170a2.img", 0, |stream| take(stream, "timestamp"));
    a_window_too_wide: Error "tcp-stream" in "tree", "tcp-stream-170a2.img" 0,
        |plant| entry(plant, "tcp-stream-170a2.img", 0, |stream| stream["snd_wscale"] = 15.into());

    a_unix_socket_of_no_type: Error "unix-socket" in "tree", "files.img" 50,
        |plant| file(plant, 50, |file| file["usk"]["type"] = 4.into());
    a_unix_name_too_long: Error "unix-name" in "tree", "files.img" 50,
        |plant| file(plant, 50, |file| file["usk"]["name"] = "a".repeat(109).into());
    a_deleted_socket_without_a_path: Error "unix-name" in "tree", "files.img" 41,
        |plant| file(plant, 41, |file| file["usk"]["deleted"] = true.into());
    a_socket_that_listens_on_no_name: Error "unix-listen" in "tree", "files.img" 36,
        |plant| file(plant, 36, |file| file["usk"]["name"] = "".into());
    a_datagram_socket_that_listens: Error "unix-listen" in "tree", "files.img" 38,
        |plant| file(plant, 38, |file| file["usk"]["state"] = 10.into());
    a_peer_of_another_type: Error "unix-peer-type" in "tree", "files.img" 46,
        |plant| file(plant, 46, |file| file["usk"]["peer"] = 94359.into());

    a_peer_that_is_lost: Error "unix-peer-missing" in "tree", "files.img" 51,
        |plant| file(plant, 51, |file| file["usk"]["peer"] = 123.into());
    a_peer_that_is_anothers: Error "unix-peer-back" in "tree", "files.img" 51,
        |plant| file(plant, 52, |file| file["usk"]["peer"] = 0.into());

    a_queue_of_a_pipe: Error "queue-owner" in "tree", "sk-queues.img" 2,
        |plant| entry(plant, "sk-queues.img", 2, |packet| packet["id_for"] = 23.into());
    descriptors_twice_in_a_packet: Error "queue-rights" in "tree", "sk-queues.img" 6,
        |plant| entry(plant, "sk-queues.img", 6, |packet| {
            let scm = packet["scm"][0].clone();
            packet["scm"].as_array_mut().unwrap().push(scm);
        });
    control_data_of_another_type: Error "queue-rights" in "tree", "sk-queues.img" 6,
        |plant| entry(plant, "sk-queues.img", 6, |packet| packet["scm"][0]["type"] = 2.into());
    more_descriptors_than_a_packet_takes: Error "queue-rights" in "tree", "sk-queues.img" 6,
        |plant| entry(plant, "sk-queues.img", 6, |packet| packet["scm"][0]["rights"] = vec![50; 254].into());
    descriptors_on_their_way_to_a_tcp_socket: Error "queue-rights" in "tree", "sk-queues.img" 6,
        |plant| entry(plant, "sk-queues.img", 6, |packet| packet["id_for"] = 56.into());

    a_device_twice: Error "device-twice" in "container", "netdev-10.img" 2,
        |plant| entry(plant, "netdev-10.img", 2, |device| device["ifindex"] = 1.into());
    two_devices_of_one_name: Error "device-name" in "container", "netdev-10.img" 2,
        |plant| entry(plant, "netdev-10.img", 2, |device| device["name"] = "lo".into());
    a_device_with_a_long_name: Error "device-name" in "container", "netdev-10.img" 2,
        |plant| entry(plant, "netdev-10.img", 2, |device| device["name"] = "sixteen-bytes-16".into());
    a_device_of_no_type: Error "device-type" in "container", "netdev-17.img" 1,
        |plant| entry(plant, "netdev-17.img", 1, |device| device["type"] = 9.into());
    a_macvlan_without_its_part: Error "device-type" in "container", "netdev-17.img" 1,
        |plant| entry(plant, "netdev-17.img", 1, |device| device["type"] = "MACVLAN".into());
    a_master_that_is_not_there: Error "device-master" in "container", "netdev-10.img" 2,
        |plant| entry(plant, "netdev-10.img", 2, |device| device["master"] = 44.into());
    masters_of_each_other: Error "device-master" in "container", "netdev-10.img" 1,
        |plant| entry(plant, "netdev-10.img", 1, |device| device["master"] = 3.into());
    half_a_pair: Error "device-peer" in "container", "netdev-10.img" 2,
        |plant| plant.entries("netdev-17.img", |entries| drop(entries.pop()));
    a_number_for_two_namespaces: Error "nsid-twice" in "container", "netns-10.img" 0,
        |plant| entry(plant, "netns-10.img", 0, |netns| {
            let nsid = netns["nsids"][0].clone();
            netns["nsids"].as_array_mut().unwrap().push(nsid);
        });
    a_packet_socket_on_no_device: Error "packet-device" in "container", "files.img" 17,
        |plant| {
            let (_, mut socket) = Plant::of_data("tree").find("files.img", |file| file["type"] == "PACKETSK");
            (socket["psk"]["ns_id"], socket["psk"]["ifindex"]) = (17.into(), 8.into());
            (socket["id"], socket["psk"]["id"]) = (18.into(), 18.into());
            file(plant, 17, |file| *file = socket);
        };
    a_netlink_socket_in_groups_above_32: Error "netlink-groups" in "tree", "files.img" 84,
        |plant| file(plant, 84, |file| file["nlsk"]["groups"] = json!([1, 2]));
}

#[test]
fn an_abstract_name_bound_twice() {
    let plant = Plant::of_data("tree");
    file(&plant, 36, |file| file["usk"]["name"] = "=00frozen".into());
    let found = plant.check();
    for entry in [36, 37] {
        found.expect(Severity::Error, "unix-name-twice", "files.img", Some(entry));
    }
    // in another namespace the name is another
    file(&plant, 36, |file| file["usk"]["ns_id"] = 77.into());
    assert_eq!(plant.check().of("unix-name-twice").count(), 0);
}

#[test]
fn connections_that_were_closed_at_the_dump() {
    let plant = Plant::of_data("tree");
    for name in plant.names().iter().filter(|name| name.starts_with("tcp-stream-")) {
        plant.remove(name);
    }
    assert_eq!(plant.check().of("tcp-stream-missing").count(), 6);
    entry(&plant, "inventory.img", 0, |inventory| inventory["tcp_close"] = true.into());
    assert_eq!(plant.check().of("tcp-stream-missing").count(), 0);
}

#[test]
fn sockets_from_outside_are_not_looked_at() {
    let plant = Plant::of_data("tree");
    file(&plant, 36, |file| (file["usk"]["name"], file["usk"]["uflags"]) = ("".into(), 1.into()));
    assert_eq!(plant.check().of("unix-listen").count(), 0);
}
