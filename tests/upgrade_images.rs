//! Whole images, V1 as V2 and back: everything that CRIU wrote comes back byte for byte without its original bytes
//! beside it; whatever else comes back too, or is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::proto::{Protos, varint};
use common::rng::Rng;
use common::writer::{File, message};
use common::{corpus, random};
use icecore::image::{KINDS, Shape, kinds};
use icecore::object::upgrade::image::{
    Context, Converted, Put, Rec, Session, down_image, session, takes_session, up_empty, up_image,
};
use icecore::{Image, Kind, Limits, Result};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

/// Records as they are put.
#[derive(Default)]
struct Records(Vec<(u32, u32, Vec<u8>)>);

impl Put for Records {
    fn record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> Result<()> {
        self.0.push((object_type, count, payload.to_vec()));
        Ok(())
    }
}

impl Records {
    fn iter(&self) -> impl Iterator<Item = Result<Rec<'_>>> {
        self.0.iter().zip(0..).map(|((object_type, count, payload), offset)| {
            Ok(Rec { object_type: *object_type, count: *count, payload, offset })
        })
    }

    /// Bytes with their headers.
    fn size(&self) -> usize {
        self.0.iter().map(|(.., payload)| payload.len() + 24).sum()
    }
}

fn up(image: &Image, context: &Context<'_>) -> Option<(Records, Converted)> {
    let mut records = Records::default();
    let converted = up_image(image, context, &mut records).unwrap()?;
    Some((records, converted))
}

fn down(kind: Kind, id: u64, records: &Records, context: &Context<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    down_image(kind, id, &mut records.iter(), context, &mut out)?;
    Ok(out)
}

fn open(name: &str, bytes: Vec<u8>) -> Result<Image> {
    Image::open(name, bytes.into(), Limits::default())
}

/// What the images of one kind were and are.
#[derive(Clone, Copy, Default)]
struct Sizes {
    images: u64,
    objects: u64,
    v1: usize,
    v2: usize,
}

/// The images of a dump that are converted here, with their kinds.
fn images(dump: &Path) -> Vec<(PathBuf, Kind)> {
    let mut found: Vec<_> = fs::read_dir(dump)
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let (kind, _) = Kind::from_file_name(entry.file_name().to_str()?)?;
            let is_mine = !matches!(kind, Kind::Pages | Kind::Pagemap | Kind::PagemapShmem);
            (is_mine && entry.file_type().unwrap().is_file()).then(|| (entry.path(), kind))
        })
        .collect();
    found.sort();
    found
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// What there is in these records that only V1 has.
fn leftover(protos: &Protos, records: &Records) -> Option<String> {
    records.0.iter().find_map(|(object_type, _, payload)| match *object_type {
        BLOB => None,
        object_type if object_type < 64 => Some(format!("type {object_type}")),
        object_type => {
            let name = protos.of_type(object_type);
            let mut rest = &payload[..];
            while !rest.is_empty() {
                assert_eq!(varint(&mut rest), 10);
                let length = varint(&mut rest) as usize;
                let (object, behind) = rest.split_at(length);
                rest = behind;
                let text = protos.text(name, object);
                if ["v1_rest: ", "v1_raw: ", "v1_padding: "].iter().any(|field| text.contains(field)) {
                    return Some(format!("{name} {text}"));
                }
            }
            None
        }
    })
}

const BLOB: u32 = 11;

/// There and back, all images of a dump together.
fn dump(protos: &Protos, folder: &Path) -> (BTreeMap<Kind, Sizes>, Vec<String>) {
    let core = |pid: u64| open("core-1.img", fs::read(folder.join(format!("core-{pid}.img"))).ok()?).ok();
    let tree = fs::read(folder.join("pstree.img")).ok().map(|bytes| open("pstree.img", bytes).unwrap());
    let context = match &tree {
        Some(tree) => {
            let takes = move |pid| core(pid).is_some_and(|core| takes_session(&core));
            Context::of_dump(Limits::default(), tree, takes).unwrap()
        }
        None => Context::alone(Limits::default()),
    };
    let mut sizes: BTreeMap<Kind, Sizes> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut all = BTreeMap::new();
    for (path, kind) in images(folder) {
        let bytes = fs::read(&path).unwrap();
        let place = path.display();
        let image = match open(name(&path), bytes.clone()) {
            Ok(image) => image,
            Err(error) => {
                problems.push(format!("{place}: {error}"));
                continue;
            }
        };
        let Some((records, converted)) = up(&image, &context) else {
            problems.push(format!("{place}: not converted"));
            continue;
        };
        if converted.raw > 0 {
            problems.push(format!("{place}: {} of {} raw", converted.raw, converted.objects));
        }
        if bytes.len() < 16 << 10 {
            problems.extend(leftover(protos, &records).map(|text| format!("{place}: not said: {text}")));
        }
        if kind.row().shape.is_framed() && converted.objects != image.len() as u64 {
            problems.push(format!("{place}: {} entries, {} objects", image.len(), converted.objects));
        }
        let sum = sizes.entry(kind).or_default();
        sum.images += 1;
        sum.objects += converted.objects;
        sum.v1 += bytes.len();
        sum.v2 += records.size();
        all.insert(path, (image, records, bytes));
    }
    // back with nothing but what is in version 2
    let cores = &all;
    let sessions = |pid: u64| match cores.get(&folder.join(format!("core-{pid}.img"))) {
        Some((_, records, _)) => session(&mut records.iter()),
        None => Ok(None),
    };
    let context = Context::of(Limits::default(), sessions);
    for (path, (image, records, bytes)) in &all {
        match down(image.kind(), image.id(), records, &context) {
            Ok(back) if back == *bytes => {}
            Ok(_) => problems.push(format!("{}: differs", path.display())),
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
    (sizes, problems)
}

fn dumps(root: &Path) -> usize {
    let folders = corpus::dumps(root);
    let protos = Protos::new();
    let done: Vec<_> = folders.par_iter().map(|folder| dump(&protos, folder)).collect();
    let mut sizes: BTreeMap<Kind, Sizes> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut most = 0;
    for ((of_dump, mut found), folder) in done.into_iter().zip(&folders) {
        // every image: header, START, STOP, a row in the directory
        let v2: usize = of_dump.values().map(|more| more.v2 + more.images as usize * (48 + 24 + 24 + 32)).sum();
        let v1: usize = of_dump.values().map(|more| more.v1).sum();
        most = most.max(v2.saturating_sub(v1));
        // pages count for the percent, though they are not converted here
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len() as usize);
        if v2 > v1 + files.sum::<usize>() / 100 + (8 << 10) {
            found.push(format!("{}: {v1} bytes become {v2}", folder.display()));
        }
        for (kind, more) in of_dump {
            let sum = sizes.entry(kind).or_default();
            sum.images += more.images;
            sum.objects += more.objects;
            sum.v1 += more.v1;
            sum.v2 += more.v2;
        }
        problems.append(&mut found);
    }
    for (kind, sum) in &sizes {
        let Sizes { images, objects, v1, v2 } = sum;
        eprintln!(
            "{:16} {images:6} images {objects:8} objects {v1:10} {v2:10} bytes {:4} %",
            kind.name(),
            v2 * 100 / v1.max(&1)
        );
    }
    let (v1, v2) = sizes.values().fold((0, 0), |(v1, v2), sum| (v1 + sum.v1, v2 + sum.v2));
    eprintln!("{} dumps, {v1} and {v2} bytes; at most {most} more in one", folders.len());
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems[..problems.len().min(40)].join("\n"));
    folders.len()
}

#[test]
fn what_criu_wrote_comes_back() {
    assert!(dumps(&corpus::data()) > 2);
}

#[test]
fn what_criu_wrote_comes_back_large() {
    if let Some(root) = corpus::large() {
        dumps(&root);
    }
}

#[test]
fn images_alone_come_back() {
    for folder in corpus::dumps(&corpus::data()) {
        for (path, kind) in images(&folder) {
            let bytes = fs::read(&path).unwrap();
            let image = open(name(&path), bytes.clone()).unwrap();
            let context = Context::alone(Limits::default());
            let (records, converted) = up(&image, &context).unwrap();
            assert_eq!(converted.raw, 0, "{}", path.display());
            assert!(down(kind, image.id(), &records, &context).unwrap() == bytes, "{}", path.display());
            assert!(kind.row().shape != Shape::Raw || records.0.len() <= 1);
        }
    }
}

/// A tree of processes 1 to 3 whose cores take their sessions.
fn some_context() -> Context<'static> {
    Context::of(Limits::default(), |pid| Ok((1..=3).contains(&pid).then_some(Session { sid: 7, pgid: pid + 1 })))
}

/// There and back; `None` if it is refused or cannot be opened.
fn there_and_back(name: &str, bytes: &[u8], context: &Context<'_>) -> Option<Converted> {
    let image = open(name, bytes.to_vec()).ok()?;
    let Some((records, converted)) = up(&image, context) else {
        assert!(bytes.len() > 1 << 20, "{name}: refused: {bytes:02x?}");
        return None;
    };
    let back = down(image.kind(), image.id(), &records, context);
    match back {
        Ok(back) => assert!(back == bytes, "{name}: differs: {bytes:02x?}\n{back:02x?}\n{:02x?}", records.0),
        Err(error) => panic!("{name}: {error}: {bytes:02x?}"),
    }
    Some(converted)
}

/// Kinds whose images have entries, but pagemaps.
fn framed() -> impl Iterator<Item = &'static kinds::Row> {
    KINDS.iter().filter(|row| {
        row.shape.is_framed() && row.magic != 0 && !matches!(row.kind, Kind::Pagemap | Kind::PagemapShmem)
    })
}

fn file_name(row: &kinds::Row, id: u64) -> String {
    row.kind.file_name(id).or_else(|| row.kind.file_name(id % 2)).unwrap()
}

#[test]
fn random_images_come_back() {
    let generator = random::Generator::new();
    let (alone, together) = (Context::alone(Limits::default()), some_context());
    let (mut objects, mut raw) = (0, 0);
    for row in framed() {
        let mut of_kind = 0;
        for seed in 0..40 {
            let mut rng = Rng::new(seed * 1000 + row.kind as u64);
            let single = row.shape == Shape::Single;
            let file = random::image(&generator, &mut rng, row.kind.magic_name(), row.messages, single);
            let context = if seed % 2 == 0 { &alone } else { &together };
            let done = there_and_back(&file_name(row, seed % 4), &file.0, context);
            let done = done.unwrap_or_else(|| panic!("{} {seed}: refused", row.name));
            objects += done.objects;
            of_kind += done.raw;
        }
        if of_kind > 0 {
            eprintln!("{}: {of_kind} raw", row.name);
        }
        raw += of_kind;
    }
    eprintln!("{objects} objects, {raw} raw");
    assert!(objects > 1000 && raw * 20 < objects, "{raw} of {objects} raw");
}

/// Bytes changed, cut, doubled, put in and added.
fn mutated(rng: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(out.len().max(1));
        match rng.below(7) {
            0 => out.truncate(at),
            1 => {
                let length = rng.below(40);
                out.extend(rng.bytes(length));
            }
            2 if out.len() > 4 => drop(out.drain(..4)),
            3 => out.extend_from_slice(&bytes[at.min(bytes.len())..]),
            4 => out.insert(at.min(out.len()), rng.next() as u8),
            _ if !out.is_empty() => out[at] ^= 1 << rng.below(8),
            _ => {}
        }
    }
    out
}

#[test]
fn odd_images_come_back_or_are_refused() {
    let generator = random::Generator::new();
    let context = some_context();
    let (mut refused, mut raw, mut fine) = (0, 0, 0);
    for row in framed() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed * 1000 + row.kind as u64 + 500);
            let single = row.shape == Shape::Single;
            let file = random::image(&generator, &mut rng, row.kind.magic_name(), row.messages, single);
            let bytes = mutated(&mut rng, &file.0);
            match there_and_back(&file_name(row, seed % 4), &bytes, &context) {
                None => refused += 1,
                Some(done) if done.raw > 0 => raw += 1,
                Some(_) => fine += 1,
            }
        }
    }
    eprintln!("{fine} fine, {raw} with raw ones, {refused} refused");
    assert!(fine > refused && raw > 100);
}

#[test]
fn every_cut_of_an_image_comes_back() {
    let generator = random::Generator::new();
    let context = some_context();
    for row in framed() {
        let mut rng = Rng::new(row.kind as u64);
        let file = random::image(&generator, &mut rng, row.kind.magic_name(), row.messages, row.shape == Shape::Single);
        for length in 8..file.0.len().min(600) {
            let name = file_name(row, 1);
            assert!(there_and_back(&name, &file.0[..length], &context).is_some(), "{name} cut to {length}");
        }
    }
}

#[test]
fn oddities() {
    let context = Context::alone(Limits::default());
    let raw = |name: &str, bytes: &[u8]| there_and_back(name, bytes, &context).map(|done| done.raw);
    let fs = message().uint(1, 16).uint(2, 17).uint(3, 18);
    // an empty array, v1.0 framing, a second entry where one is read, garbage behind it
    assert_eq!(raw("files.img", &File::new("FILES").0), Some(0));
    assert_eq!(raw("fs-1.img", &File::v1_0("FS").entry(&fs).0), Some(0));
    assert_eq!(raw("fs-1.img", &File::new("FS").entry(&fs).entry(&fs).0), Some(0));
    assert_eq!(raw("fs-1.img", &File::new("FS").entry(&fs).raw([1, 2, 3]).0), Some(0));
    assert_eq!(raw("inventory.img", &File::default().word(0x5456_4319).word(0x5831_3116).entry(&fs).0), Some(0));
    // fields in another order, a long varint, a field twice
    assert_eq!(raw("fs-1.img", &File::new("FS").entry(&message().uint(2, 17).uint(1, 16).uint(3, 1)).0), Some(1));
    assert_eq!(raw("fs-1.img", &File::new("FS").entry(&message().raw([8, 0x81, 0]).uint(2, 1)).0), Some(1));
    assert_eq!(raw("fs-1.img", &File::new("FS").entry(&message().uint(1, 1).uint(1, 2)).0), Some(1));
    // padding that is not zero
    let sem = message().message(1, &message().uint(1, 0)).uint(2, 1);
    assert_eq!(raw("ipcns-sem-1.img", &File::new("IPCNS_SEM").entry(&sem).raw([5, 0, 1, 2, 3, 4, 5, 6]).0), Some(0));
    // raw kinds, plugins, pages of long ago
    for name in ["route-1.img", "tmpfs-dev-1.tar.gz.img", "iptables-1.img", "pages-shmem-4.img"] {
        for bytes in [&b""[..], b"x", &[7; 3 << 20]] {
            assert_eq!(raw(name, bytes), Some(0), "{name}");
        }
    }
    let dmabuf = File::default().long_word(2).raw([8, 1]);
    assert_eq!(raw("amdgpu-dmabuf_3.img", &dmabuf.0), Some(0));
    assert_eq!(raw("amdgpu-dmabuf_3.img", &dmabuf.clone().raw([9; 5]).0), Some(0));
    assert_eq!(raw("amdgpu-dmabuf_3.img", &dmabuf.0[..5]), Some(0));
    assert_eq!(raw("amdgpu-dmabuf_3.img", &File::default().long_word(1 << 40).raw([8, 1]).0), Some(0));
    // much behind the last entry, and a long message
    assert_eq!(raw("fs-1.img", &File::new("FS").entry(&fs).raw(vec![1; 2 << 20]).0), None);
    assert_eq!(raw("files.img", &File::new("FILES").entry(&message().bytes(99, vec![1; 30 << 20])).0), None);
    let mut records = Records::default();
    up_empty(&mut records).unwrap();
    assert_eq!(down(Kind::Fs, 1, &records, &context).unwrap(), b"");
}

#[test]
fn payloads_of_every_length_come_back() {
    let context = Context::alone(Limits::default());
    let mut rng = Rng::new(1);
    for length in [0, 1, 4095, 4096, 4097, 65_536, 1 << 20, (1 << 20) + 1, 3 << 20] {
        let (text, size) = (rng.bytes(length), length as u64);
        let entry = message().uint(1, 3).uint(2, size);
        let ghost = message().uint(1, 0).uint(2, 0).uint(3, 0o100_644).uint(4, 1).uint(5, 2);
        let ipc = message().uint(1, 1).uint(2, 0).uint(3, 0).uint(4, 0).uint(5, 0).uint(6, 0).uint(7, 1);
        let tcp = message().uint(1, size).uint(2, 1).uint(3, size).uint(4, 1);
        let bpf = message().uint(1, 1).uint(2, size).uint(3, 3).uint(4, 1);
        let files = [
            ("pipes-data.img", File::new("PIPES_DATA").entry(&entry).raw(&text).entry(&entry).raw(&text)),
            ("tcp-stream-a.img", File::new("TCP_STREAM").entry(&tcp).raw(&text).raw(&text)),
            ("bpfmap-data.img", File::new("BPFMAP_DATA").entry(&bpf).raw(&text).raw([1, 2, 3])),
            ("ghost-file-1.img", File::new("GHOST_FILE").entry(&ghost).raw(&text)),
            (
                "ghost-file-1.img",
                File::new("GHOST_FILE")
                    .entry(&ghost.clone().uint(9, 1).uint(10, 99))
                    .entry(&message().uint(1, size).uint(2, 4096))
                    .raw(&text)
                    .entry(&message().uint(1, 2).uint(2, 1 << 30))
                    .raw("ab"),
            ),
            (
                "ipcns-sem-1.img",
                File::new("IPCNS_SEM")
                    .entry(&message().message(1, &ipc).uint(2, size / 2))
                    .padded(&text[..length / 2 * 2], 8),
            ),
            (
                "ipcns-shm-1.img",
                File::new("IPCNS_SHM").entry(&message().message(1, &ipc).uint(2, size)).padded(&text, 4),
            ),
            (
                "ipcns-msg-1.img",
                File::new("IPCNS_MSG")
                    .entry(&message().message(1, &ipc).uint(2, 16384).uint(3, 2))
                    .queued(1, &text)
                    .queued(2, b""),
            ),
        ];
        for (name, file) in files {
            let done = there_and_back(name, &file.0, &context);
            assert_eq!(done.map(|done| done.raw), Some(0), "{name} with {length}");
        }
    }
}

#[test]
fn as_many_threads_as_there_are_the_records_are_the_same() {
    let mut file = File::new("FILES");
    for id in 1..60_000 {
        let reg = message().uint(1, id).uint(2, 0o100_000).uint(3, 0).message(5, &message().uint(1, 0)).bytes(6, "/x");
        let pipe = message().uint(1, id).uint(2, id).uint(3, 1).message(4, &message().uint(1, 0));
        let (ty, member, inner) = if id % 1000 < 900 { (1, 3, reg) } else { (2, 18, pipe) };
        file = file.entry(&message().uint(1, ty).uint(2, id).message(member, &inner));
    }
    let image = open("files.img", file.0.clone()).unwrap();
    let context = Context::alone(Limits::default());
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| up(&image, &context).unwrap())
    };
    let (one, many) = (of(1), of(5));
    assert!(one.0.0 == many.0.0);
    assert_eq!(one.1, Converted { objects: 59_999, raw: 0 });
    assert!(one.0.0.len() > 100 && one.0.0.iter().all(|(.., payload)| payload.len() <= 70_000));
    assert!(down(Kind::Files, 0, &one.0, &context).unwrap() == file.0);
}

#[test]
fn hostile_records_are_refused_or_become_something() {
    let generator = random::Generator::new();
    let context = some_context();
    let all: Vec<u32> = (0..16).chain(64..66).chain(80..150).chain([1 << 31, u32::MAX]).collect();
    for row in KINDS {
        for seed in 0..60 {
            let mut rng = Rng::new(seed * 1000 + row.kind as u64 + 77);
            let mut records = Records::default();
            if row.shape.is_framed() && row.magic != 0 {
                let single = row.shape == Shape::Single;
                let file = random::image(&generator, &mut rng, row.kind.magic_name(), row.messages, single);
                let name = row.kind.file_name(1).unwrap();
                if let Some((found, _)) = open(&name, file.0).ok().and_then(|image| up(&image, &context)) {
                    records = found;
                }
            }
            let length = rng.below(40);
            records.0.push((*rng.pick(&all), rng.below(3) as u32, rng.bytes(length)));
            for _ in 0..rng.below(4) {
                let at = rng.below(records.0.len());
                match rng.below(5) {
                    0 => records.0[at].0 = *rng.pick(&all),
                    1 => records.0[at].1 = rng.next() as u32,
                    2 => records.0[at].2 = mutated(&mut rng, &records.0[at].2.clone()),
                    3 => drop(records.0.remove(at)),
                    _ => records.0.push(records.0[at].clone()),
                }
                if records.0.is_empty() {
                    break;
                }
            }
            let given: usize = records.0.iter().map(|(.., payload)| payload.len()).sum();
            let mut out = Vec::new();
            let _ = down_image(row.kind, 1, &mut records.iter(), &context, &mut out);
            assert!(out.len() <= given * 16 + 64, "{}: {given} bytes became {}", row.name, out.len());
            let _ = session(&mut records.iter());
        }
    }
}
