//! `check`: tasks, their tree, their images and what is in them. Each rule sees the defect that is planted for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod common;

use common::plant::Plant;
use icecore::tool::check::Severity::{Error, Note, Warning};
use serde_json::json;

/// The dump of twenty tasks with a hundred threads.
fn tree() -> Plant {
    Plant::of_data("tree")
}

/// A thread that is not the leader of its task, and that task.
fn thread(plant: &Plant) -> (u64, u64) {
    let (_, task) = plant.find("pstree.img", |task| task["threads"].as_array().unwrap().len() > 1);
    (task["threads"][1].as_u64().unwrap(), task["pid"].as_u64().unwrap())
}

/// The first and the last task, with their entries.
fn ends(plant: &Plant) -> ((u64, u64), (u64, u64)) {
    let document = plant.json("pstree.img");
    let tasks = document["entries"].as_array().unwrap();
    let pid = |at: usize| tasks[at]["pid"].as_u64().unwrap();
    ((0, pid(0)), (tasks.len() as u64 - 1, pid(tasks.len() - 1)))
}

#[test]
fn images_that_a_task_must_have() {
    let plant = tree();
    let (_, (_, pid)) = ends(&plant);
    let (tid, leader) = thread(&plant);
    assert_ne!(leader, pid);
    for name in ["mm", "fs", "ids", "pagemap"] {
        plant.remove(&format!("{name}-{pid}.img"));
    }
    plant.remove(&format!("core-{tid}.img"));
    let found = plant.check();
    for rule in ["mm-missing", "fs-missing", "ids-missing", "pagemap-missing"] {
        let image = format!("{}-{pid}.img", rule.trim_end_matches("-missing"));
        found.expect(Error, rule, &image, None);
        assert_eq!(found.of(rule).count(), 1);
    }
    let lost = found.expect(Error, "core-missing", &format!("core-{tid}.img"), None);
    assert!(lost.what.contains(&format!("thread {tid} of task {leader}")), "{lost:?}");
}

#[test]
fn the_core_image_of_a_task() {
    let plant = tree();
    let (_, (_, pid)) = ends(&plant);
    let name = format!("core-{pid}.img");
    plant.remove(&name);
    let found = plant.expect(Error, "core-missing", &name, None);
    assert!(found.what.contains(&format!("of task {pid}")), "{found:?}");
}

#[test]
fn images_that_a_dump_must_have() {
    let plant = tree();
    plant.remove("inventory.img");
    plant.expect(Error, "inventory-missing", "inventory.img", None);
    let plant = tree();
    plant.remove("pstree.img");
    let found = plant.check();
    found.expect(Error, "pstree-missing", "pstree.img", None);
    assert_eq!(found.of("image-unused").count(), 0, "{}", found.text());
    Plant::empty().expect(Error, "pstree-missing", "pstree.img", None);
}

#[test]
fn a_pre_dump_is_whole() {
    let plant = tree();
    for name in plant.names() {
        if !["inventory", "pagemap", "pages"].iter().any(|kept| name.starts_with(kept)) {
            plant.remove(&name);
        }
    }
    plant.check().expect(Note, "pre-dump", "-", None);
    // one that ended early
    plant.entries("inventory.img", |entries| entries[0]["img_version"] = 0.into());
    plant.names().iter().filter(|name| *name != "inventory.img").for_each(|name| plant.remove(name));
    plant.expect(Error, "pre-dump-empty", "inventory.img", None);
}

#[test]
fn a_descriptor_that_is_lost() {
    let plant = tree();
    let (task, name) = plant
        .names()
        .into_iter()
        .filter(|name| name.starts_with("fdinfo-"))
        .find_map(|name| {
            let entries = plant.json(&name)["entries"].as_array().unwrap().clone();
            // a pipe has one file for each end: nobody else has this one
            let lone = entries.iter().position(|fd| fd["type"] == "EVENTPOLL")?;
            Some((lone, name))
        })
        .unwrap();
    let mut lost = serde_json::Value::Null;
    plant.entries(&name, |entries| lost = entries.remove(task));
    let finding = plant.expect(Warning, "file-unused", "files.img", None);
    assert!(finding.what.contains(&format!("file {} ", lost["id"])), "{finding:?}");
}

#[test]
fn a_table_of_descriptors_that_is_lost() {
    let plant = tree();
    plant.remove("fdinfo-10.img");
    let found = plant.expect(Error, "fdinfo-missing", "fdinfo-10.img", None);
    assert!(found.what.contains("nobody has file"), "{found:?}");
}

#[test]
fn a_task_without_descriptors() {
    let plant = tree();
    // nothing but its table leads to these files
    let fds = plant.json("fdinfo-10.img");
    let ids: Vec<_> = fds["entries"].as_array().unwrap().iter().map(|fd| fd["id"].clone()).collect();
    assert!(!ids.is_empty());
    plant.remove("fdinfo-10.img");
    plant.entries("files.img", |files| files.retain(|file| !ids.contains(&file["id"]) || file["type"] == "REG"));
    let found = plant.check();
    // there may be regular files left that only this table had
    let count = found.of("no-descriptors").chain(found.of("fdinfo-missing")).count();
    assert_eq!(count, 1, "{}", found.text());
}

#[test]
fn images_of_nobody() {
    let plant = tree();
    let (_, (_, pid)) = ends(&plant);
    for (from, to) in [("core", "core-9999.img"), ("mm", "mm-9999.img"), ("fs", "fs-9999.img")] {
        let bytes = std::fs::read(plant.image(&format!("{from}-{pid}.img"))).unwrap();
        plant.write(to, &bytes);
    }
    let bytes = std::fs::read(plant.image("fdinfo-10.img")).unwrap();
    plant.write("fdinfo-9999.img", &bytes);
    let found = plant.check();
    for name in ["core-9999.img", "mm-9999.img", "fs-9999.img", "fdinfo-9999.img"] {
        found.expect(Warning, "image-unused", name, None);
    }
    assert_eq!(found.of("image-unused").count(), 4, "{}", found.text());
}

#[test]
fn parents() {
    let plant = tree();
    let (first, last) = ends(&plant);
    plant.entries("pstree.img", |tasks| tasks[last.0 as usize]["ppid"] = 9999.into());
    let found = plant.expect(Error, "parent-missing", "pstree.img", Some(last.0));
    assert_eq!(found.field.as_deref(), Some("ppid"));

    let plant = tree();
    plant.entries("pstree.img", |tasks| tasks[1]["ppid"] = last.1.into());
    plant.expect(Error, "parent-later", "pstree.img", Some(1));

    let plant = tree();
    plant.entries("pstree.img", |tasks| tasks[last.0 as usize]["ppid"] = 0.into());
    plant.expect(Error, "root-twice", "pstree.img", Some(last.0));

    let plant = tree();
    plant.entries("pstree.img", |tasks| tasks[0]["ppid"] = first.1.into());
    plant.expect(Error, "root-missing", "pstree.img", None);
    plant.expect(Error, "parent-later", "pstree.img", Some(0));
}

#[test]
fn numbers_of_tasks_and_threads() {
    let plant = tree();
    let (_, last) = ends(&plant);
    plant.entries("pstree.img", |tasks| {
        let again = tasks[1].clone();
        tasks.push(again);
    });
    let found = plant.expect(Error, "task-twice", "pstree.img", Some(last.0 + 1));
    assert!(found.what.contains("again"), "{found:?}");

    let plant = tree();
    let (tid, _) = thread(&plant);
    plant.entries("pstree.img", |tasks| tasks[last.0 as usize]["threads"].as_array_mut().unwrap().push(tid.into()));
    plant.expect(Error, "thread-twice", "pstree.img", Some(last.0));

    let plant = tree();
    plant.entries("pstree.img", |tasks| tasks[last.0 as usize]["pid"] = 0.into());
    plant.expect(Error, "pid-zero", "pstree.img", Some(last.0));
}

#[test]
fn a_session_from_outside() {
    let plant = tree();
    let root = ends(&plant).0.1;
    plant.entries("pstree.img", |tasks| {
        for task in tasks {
            if task["sid"] == root {
                task["sid"] = 4711.into();
            }
        }
    });
    let found = plant.expect(Note, "session-outside", "pstree.img", Some(0));
    assert!(found.advice.unwrap().contains("--shell-job"));
}

/// Changes the core image of the last task.
#[track_caller]
fn core(rule: &str, field: &str, change: impl Fn(&mut serde_json::Value)) {
    let plant = tree();
    let name = format!("core-{}.img", ends(&plant).1.1);
    plant.entries(&name, |entries| change(&mut entries[0]));
    let found = plant.expect(Error, rule, &name, Some(0));
    assert_eq!(found.field.as_deref().unwrap_or(""), field);
    let again = plant.check_v2().expect(Error, rule, &name, Some(0));
    assert_eq!(again, found);
}

#[test]
fn what_is_in_a_core_image() {
    core("task-state", "tc.task_state", |core| core["tc"]["task_state"] = 9.into());
    core("sigactions", "tc.sigactions", |core| drop(core["tc"]["sigactions"].as_array_mut().unwrap().pop()));
    core("rlimit", "tc.rlimits.rlimits[3]", |core| {
        core["tc"]["rlimits"]["rlimits"][3] = json!({"cur": 8, "max": 7});
    });
    core("rlimit", "tc.rlimits.rlimits[16]", |core| {
        let limits = core["tc"]["rlimits"]["rlimits"].as_array_mut().unwrap();
        limits.push(limits[0].clone());
    });
    core("timer", "tc.timers.virt.vusec", |core| core["tc"]["timers"]["virt"]["vusec"] = 1_000_000.into());
    core("timer", "tc.timers.posix.insec", |core| {
        let timer = json!({
            "it_id": 0, "clock_id": 1, "si_signo": 14, "it_sigev_notify": 0, "sival_ptr": 0, "overrun": 0,
            "isec": 1, "insec": 1_000_000_000u64, "vsec": 1, "vnsec": 0,
        });
        core["tc"]["timers"]["posix"] = json!([timer]);
    });
    core("registers-missing", "", |core| drop(core.as_object_mut().unwrap().remove("thread_info")));
    core("arch-differs", "", |core| core["mtype"] = "AARCH64".into());
    core("core-part", "tc", |core| drop(core.as_object_mut().unwrap().remove("tc")));
}

#[test]
fn a_thread_that_has_what_a_task_has() {
    let plant = tree();
    let (tid, pid) = thread(&plant);
    let leader = plant.json(&format!("core-{pid}.img"))["entries"][0]["tc"].clone();
    let name = format!("core-{tid}.img");
    plant.entries(&name, |entries| entries[0]["tc"] = leader);
    plant.expect(Warning, "core-part", &name, Some(0));
}

#[test]
fn filters_of_system_calls() {
    let plant = tree();
    let name = format!("core-{}.img", ends(&plant).1.1);
    plant.entries(&name, |entries| {
        entries[0]["thread_core"]["seccomp_mode"] = "filter".into();
        entries[0]["thread_core"]["seccomp_filter"] = 7.into();
    });
    // eight bytes: return ALLOW
    let program = "BgAAAAAA/38=";
    let filter = |prev: Option<u64>, program: &str| match prev {
        Some(prev) => json!({"filter": program, "prev": prev}),
        None => json!({"filter": program}),
    };
    let filters = json!([
        filter(None, program),
        filter(Some(0), program),
        filter(Some(9), program),
        filter(Some(4), program),
        filter(Some(3), program),
        filter(Some(1), "BgAA"),
    ]);
    let document = json!({"magic": "SECCOMP", "entries": [{"seccomp_filters": filters}]});
    plant.write_json("seccomp.img", &document);
    let found = plant.check();
    found.expect(Error, "seccomp-missing", &name, Some(0));
    let of = |rule: &str| found.expect(Error, rule, "seccomp.img", Some(0)).field.unwrap();
    assert_eq!(of("seccomp-prev"), "seccomp_filters[2].prev");
    assert_eq!(of("seccomp-circle"), "seccomp_filters[3].prev");
    assert_eq!(of("seccomp-filter"), "seccomp_filters[5].filter");
    assert_eq!(found.of("seccomp-circle").count(), 1);
}

/// Changes the mappings of the last task.
#[track_caller]
fn mm(rule: &str, field: &str, change: impl Fn(&mut serde_json::Value)) {
    let plant = tree();
    let name = format!("mm-{}.img", ends(&plant).1.1);
    plant.entries(&name, |entries| change(&mut entries[0]));
    let severity = if rule == "auxv" { Warning } else { Error };
    let found = plant.expect(severity, rule, &name, Some(0));
    assert_eq!(found.field.as_deref(), Some(field), "{found:?}");
}

fn hex(value: &serde_json::Value) -> u64 {
    match value {
        serde_json::Value::String(text) => u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap(),
        other => other.as_u64().unwrap(),
    }
}

#[test]
fn mappings() {
    mm("mapping-empty", "vmas[2].end", |mm| mm["vmas"][2]["end"] = mm["vmas"][2]["start"].clone());
    mm("mapping-aligned", "vmas[1].start", |mm| {
        mm["vmas"][1]["start"] = (hex(&mm["vmas"][1]["start"]) + 1).into();
    });
    mm("mapping-order", "vmas[3].start", |mm| mm["vmas"].as_array_mut().unwrap().swap(2, 3));
    mm("mapping-order", "vmas[2].start", |mm| {
        mm["vmas"][1]["end"] = (hex(&mm["vmas"][2]["start"]) + 4096).into();
    });
    mm("mapping-flags", "vmas[0].flags", |mm| mm["vmas"][0]["flags"] = 0.into());
    mm("mapping-offset", "vmas[0].pgoff", |mm| mm["vmas"][0]["pgoff"] = 5.into());
    mm("mapping-file", "vmas[0].shmid", |mm| mm["vmas"][0]["shmid"] = 999_999.into());
    mm("mm-order", "mm_brk", |mm| mm["mm_brk"] = (hex(&mm["mm_start_brk"]) - 1).into());
    mm("auxv", "mm_saved_auxv", |mm| drop(mm["mm_saved_auxv"].as_array_mut().unwrap().pop()));
}

#[test]
fn the_same_in_version_2() {
    let plant = tree();
    let (_, (entry, pid)) = ends(&plant);
    plant.remove(&format!("fs-{pid}.img"));
    plant.entries("pstree.img", |tasks| tasks[entry as usize]["ppid"] = 9999.into());
    let found = plant.check_v2();
    found.expect(Error, "fs-missing", &format!("fs-{pid}.img"), None);
    found.expect(Error, "parent-missing", "pstree.img", Some(entry));
}

#[test]
fn a_broken_tree_does_not_make_all_images_unused() {
    let plant = tree();
    plant.resize("pstree.img", plant.size("pstree.img") / 2);
    let found = plant.check();
    assert_eq!(found.of("framing").count(), 1, "{}", found.text());
    for rule in ["image-unused", "parent-missing", "root-missing"] {
        assert_eq!(found.of(rule).count(), 0, "{}", found.text());
    }
}
