//! What CRIU does with planted defects of mounts, namespaces and System V IPC: the container of `tests/data/recipes`
//! is dumped, a defect planted in a copy of the dump, and the copy restored. Where CRIU refuses, or restores something
//! else, `check` had said so. Needs what `tests/data/recipes/make` needs, and a criu of version 4 or newer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod common;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::oracle;
use common::plant::{Plant, scratch};
use icecore::tool::check::Severity;
use serde_json::{Value, json};

/// What `tests/data/recipes/inside` prepares, then a restore of each in namespaces of its own. Exit status 0 is
/// restored as it was, 124 hung.
const RESTORE: &str = r#"
mount --make-rprivate /
mount -t tmpfs -o size=16m,mode=755 frozen /srv
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 frozen /dev/pts
mount --bind /dev/pts/ptmx /dev/ptmx
mount -t tmpfs -o size=1m,mode=755 frozen /run
hostname frozen
ip link set lo up
cp "$1" /srv/container
mkdir /srv/root
shift
for build in "$@"; do
  timeout -k 1 20 "$TOOLS/in-pid-namespace" "$RECIPES/inside" restore container "$build" >"$build/said" 2>&1
  echo "$? $build $(grep -a Error "$build/restore.log" | grep -v RLIMIT_NOFILE | cut -d: -f2- | head -n 1) $(tail -n 1 "$build/said")"
done
group=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/frozen
rmdir "$group" 2>/dev/null
exit 0
"#;

type Change = fn(&Plant);

fn entry(plant: &Plant, image: &str, at: usize, change: impl FnOnce(&mut Value)) {
    let name = image_of(plant, image);
    plant.entries(&name, |entries| change(&mut entries[at]));
}

fn image_of(plant: &Plant, start: &str) -> String {
    plant.names().into_iter().find(|name| name.starts_with(start)).unwrap_or_else(|| panic!("no {start}"))
}

/// Changes the mount at this place of the first namespace.
fn mount(plant: &Plant, place: &str, change: impl FnOnce(&mut Value)) {
    let name = image_of(plant, "mountpoints-");
    let (at, _) = plant.find(&name, |mount| mount["mountpoint"] == place);
    plant.entries(&name, |entries| change(&mut entries[at]));
}

const DEFECTS: &[(&str, Change)] = &[
    ("mount-parent", |plant| mount(plant, "/dev/pts", |mount| mount["parent_mnt_id"] = 5555.into())),
    ("mount-root", |plant| mount(plant, "/", |mount| mount["mountpoint"] = "/x".into())),
    ("mount-circle", |plant| {
        let name = image_of(plant, "mountpoints-");
        let id = |place: &str| plant.find(&name, |mount| mount["mountpoint"] == place).1["mnt_id"].clone();
        let (pts, proc) = (id("/dev/pts"), id("/proc"));
        mount(plant, "/dev/pts", |mount| mount["parent_mnt_id"] = proc);
        mount(plant, "/proc", |mount| mount["parent_mnt_id"] = pts);
    }),
    ("mount-place", |plant| {
        let (_, data) = plant.find(&image_of(plant, "mountpoints-"), |mount| mount["mountpoint"] == "/data");
        mount(plant, "/dev/pts", |mount| mount["parent_mnt_id"] = data["mnt_id"].clone());
    }),
    ("mount-twice", |plant| mount(plant, "/proc", |mount| mount["mountpoint"] = "/dev/pts".into())),
    ("mount-type", |plant| mount(plant, "/proc", |mount| mount["fstype"] = 0.into())),
    ("mount-type", |plant| mount(plant, "/proc", |mount| mount["fsname"] = "xfs".into())),
    ("mount-bind", |plant| mount(plant, "/mnt", |mount| mount["root_dev"] = 1234.into())),
    ("mount-master", |plant| mount(plant, "/slave", |mount| mount["master_id"] = 77.into())),
    ("mount-content", |plant| plant.remove(&image_of(plant, "tmpfs-dev-"))),
    ("namespace-missing", |plant| plant.remove(&image_of(plant, "utsns-"))),
    ("namespace-missing", |plant| plant.remove(&image_of(plant, "ipcns-var-"))),
    ("namespace-missing", |plant| plant.remove(&image_of(plant, "mountpoints-"))),
    ("namespace-missing", |plant| plant.remove(&image_of(plant, "userns-"))),
    ("namespace-missing", |plant| plant.remove(&image_of(plant, "timens-"))),
    ("namespace-nested", |plant| {
        let uts = image_of(plant, "utsns-");
        plant.write_json("utsns-33.img", &plant.json(&uts));
        entry(plant, "ids-3", 0, |ids| ids["uts_ns_id"] = 33.into());
    }),
    ("ns-file-kind", |plant| {
        let (at, _) = plant.find("files.img", |file| file["type"] == "NS" && file["nsf"]["ns_cflag"] == 0x0400_0000);
        plant.entries("files.img", |entries| entries[at]["nsf"]["ns_cflag"] = 0x2_0000.into());
    }),
    ("ipc-content", |plant| plant.remove("pagemap-shmem-3.img")),
    ("mount-unknown", |plant| {
        let (at, _) = plant.find("files.img", |file| file["reg"]["name"] == "/mnt/sub.txt");
        plant.entries("files.img", |entries| entries[at]["reg"]["mnt_id"] = 9999.into());
    }),
    ("ipc-twice", |plant| entry(plant, "ipcns-shm-", 3, |segment| segment["desc"]["key"] = 4096.into())),
    ("ipc-size", |plant| entry(plant, "ipcns-shm-", 0, |segment| segment["size"] = 0.into())),
    ("ipc-size", |plant| entry(plant, "ipcns-sem-", 0, |set| (set["nsems"], set["extra"]) = (0.into(), json!([])))),
    ("ipc-value", |plant| entry(plant, "ipcns-sem-", 1, |set| set["extra"][1] = 40000.into())),
    ("ipc-message", |plant| entry(plant, "ipcns-msg-", 1, |queue| queue["extra"][0]["mtype"] = 0.into())),
    ("ipc-message", |plant| {
        entry(plant, "ipcns-msg-", 1, |queue| {
            queue["extra"] = json!([{"mtype": 6, "msize": 8193}, "AAAA".repeat(2731)]);
        })
    }),
    ("ipc-overfull", |plant| entry(plant, "ipcns-var-", 0, |limits| limits["msg_ctlmnb"] = 10.into())),
    ("namespace-missing", |plant| plant.remove(&image_of(plant, "netns-10"))),
    ("namespace-missing", |plant| plant.remove(&image_of(plant, "netdev-10"))),
    ("device-twice", |plant| entry(plant, "netdev-10", 2, |device| device["ifindex"] = 1.into())),
    ("device-name", |plant| entry(plant, "netdev-10", 2, |device| device["name"] = "bridge0".into())),
    ("device-type", |plant| entry(plant, "netdev-10", 2, |device| device["type"] = 9.into())),
    ("device-master", |plant| entry(plant, "netdev-10", 2, |device| device["master"] = 44.into())),
    ("device-master", |plant| entry(plant, "netdev-10", 1, |device| device["master"] = 3.into())),
    ("device-peer", |plant| plant.entries("netdev-17.img", |entries| drop(entries.pop()))),
    ("nsid-twice", |plant| {
        entry(plant, "netns-10", 0, |netns| {
            let nsid = netns["nsids"][0].clone();
            netns["nsids"].as_array_mut().unwrap().push(nsid);
        })
    }),
    ("cgroup-controller", |plant| {
        entry(plant, "cgroup", 0, |groups| {
            for set in groups["sets"].as_array_mut().unwrap() {
                set["ctls"][0]["name"] = "unheard".into();
            }
        })
    }),
];

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn restore(criu: &Path, program: &Path, builds: &[PathBuf]) -> Output {
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", criu.parent().unwrap().display());
    Command::new(tests().join("tools/in-pid-namespace"))
        .args(["unshare", "--net", "--uts", "--ipc", "--cgroup", "bash", "-c", RESTORE, "restore"])
        .arg(program)
        .args(builds)
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env("TOOLS", tests().join("tools"))
        .env("RECIPES", tests().join("data/recipes"))
        .output()
        .unwrap()
}

#[test]
fn where_criu_refuses_check_had_said_so() {
    let Some(criu) = oracle::criu() else { return };
    let recipes = tests().join("data/recipes");
    let folder = scratch();
    let program = folder.path().join("container");
    let gcc = Command::new("gcc")
        .args(["-std=gnu17", "-O1", "-pthread", "-static", "-s", "-o"])
        .arg(&program)
        .arg(recipes.join("container.c"))
        .status();
    if !gcc.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("ICECORE_REQUIRE_CRIU").is_none(), "no gcc with a static C library");
        eprintln!("SKIPPED: no gcc with a static C library");
        return;
    }
    let made = folder.path().join("made");
    let make =
        Command::new(recipes.join("make")).arg("--out").arg(&made).arg("container").env("ICECORE_CRIU", &criu).output();
    let make = make.unwrap();
    assert!(make.status.success(), "no dump: {}", String::from_utf8_lossy(&make.stderr));

    let planted = |rule: &'static str, change: Option<Change>| {
        let plant = Plant::of(&made.join("container"));
        if let Some(change) = change {
            change(&plant);
        }
        let found = plant.check();
        match rule {
            "" => found.assert_whole(),
            _ => assert!(found.of(rule).any(|finding| finding.severity == Severity::Error), "{rule}: {}", found.text()),
        }
        let build = plant.around().to_path_buf();
        symlink(plant.path(), build.join("images")).unwrap();
        for (name, to) in [("container.proc", "proc"), ("container.pages", "pages")] {
            std::fs::copy(made.join(name), build.join(to)).unwrap();
        }
        (rule, plant, build)
    };
    let mut plants = vec![planted("", None)];
    plants.extend(DEFECTS.iter().map(|(rule, change)| planted(rule, Some(*change))));
    plants.push(planted("", None));
    let builds: Vec<PathBuf> = plants.iter().map(|(.., build)| build.clone()).collect();
    let output = restore(&criu, &program, &builds);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.lines().count(), builds.len(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let mut restored = Vec::new();
    for ((rule, ..), line) in plants.iter().zip(said.lines()) {
        eprintln!("{rule}: {line}");
        let is_restored = line.starts_with("0 ");
        match *rule {
            "" => assert!(is_restored, "the dump itself: {line}"),
            _ if is_restored => restored.push(*rule),
            _ => {}
        }
    }
    assert!(restored.is_empty(), "restored all the same: {restored:?}");
}
