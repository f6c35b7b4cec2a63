//! Whole images, V1 as V2 and back: everything that CRIU wrote comes back byte for byte without its original bytes
//! beside it; whatever else comes back too, or is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::print_stderr)]

#[allow(dead_code, unreachable_pub)]
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::corpus;
use icecore::image::Shape;
use icecore::object::upgrade::image::{Context, Converted, Put, Rec, down_image, session, takes_session, up_image};
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

/// There and back, all images of a dump together.
fn dump(folder: &Path) -> (BTreeMap<Kind, Sizes>, Vec<String>) {
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
    let done: Vec<_> = folders.par_iter().map(|folder| dump(folder)).collect();
    let mut sizes: BTreeMap<Kind, Sizes> = BTreeMap::new();
    let mut problems = Vec::new();
    for (of_dump, mut found) in done {
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
    eprintln!("{} dumps, {v1} and {v2} bytes", folders.len());
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
