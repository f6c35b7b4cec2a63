//! Every number that leads from one image to another leads somewhere, and what has a number has it alone. Which fields
//! have such numbers, the schema says.
//!
//! Two passes: the first takes the numbers that are defined, eight bytes each, the second looks up those that are
//! referred to. So memory grows with what a dump has, not with how often it is named.

use std::collections::{BTreeSet, HashMap};

use rayon::slice::ParallelSliceMut;

use crate::base::Result;
use crate::checkpoint::ImageName;
use crate::checkpoint::file::FileType;
use crate::image::Kind;
use crate::object::references::{Class, Reference, Role};
use crate::object::schema::Message;
use crate::tool::check::findings::Findings;
use crate::tool::check::scan::{Part, Step, scan};
use crate::tool::check::{Checked, Finding, Severity, Subject};

/// So many findings of one part of an image are kept, and so many numbers that stand twice.
const KEPT: usize = 1000;

/// Numbers by class, in the order of [`Class::ALL`].
#[derive(Default)]
struct Numbers([Vec<u64>; Class::ALL.len()]);

impl Numbers {
    fn of(&self, class: Class) -> &[u64] {
        self.0.get(class as usize).map(Vec::as_slice).unwrap_or_default()
    }

    fn put(&mut self, class: Class, number: u64) {
        if let Some(numbers) = self.0.get_mut(class as usize) {
            numbers.push(number);
        }
    }

    fn append(&mut self, other: Self) {
        for (numbers, more) in self.0.iter_mut().zip(other.0) {
            numbers.extend(more);
        }
    }

    fn sort(&mut self) {
        self.0.iter_mut().for_each(|numbers| numbers.par_sort_unstable());
    }
}

/// What is there.
#[derive(Default)]
struct Known {
    /// By entries that no other entry may say again.
    defined: Numbers,
    known: Numbers,
    /// Of files: without their types.
    any_file: Vec<u64>,
    /// Of the classes whose images are broken nobody knows what is missing.
    incomplete: BTreeSet<Class>,
}

/// A number with the type of the file, where it has one.
fn key(reference: &Reference) -> u64 {
    match reference.of_type {
        Some(of_type) => u64::from(of_type) << 32 | reference.number,
        None => reference.number,
    }
}

impl Known {
    fn has(&self, reference: &Reference) -> bool {
        let in_it = |numbers: &[u64], number: u64| numbers.binary_search(&number).is_ok();
        if self.incomplete.contains(&reference.class) {
            return true;
        }
        if reference.class == Class::File && reference.of_type.is_none() {
            return in_it(&self.any_file, reference.number);
        }
        let key = key(reference);
        in_it(self.defined.of(reference.class), key) || in_it(self.known.of(reference.class), key)
    }

    /// Numbers that are defined twice. Of files other rules tell, which know their types.
    fn doubles(&self) -> BTreeSet<(Class, u64)> {
        let of = |class: Class| {
            let twice = self.defined.of(class).windows(2).filter(|pair| pair.first() == pair.last());
            twice.filter_map(move |pair| Some((class, *pair.first()?)))
        };
        Class::ALL.into_iter().filter(|class| *class != Class::File).flat_map(of).take(KEPT).collect()
    }
}

/// The images some entry of which `wanted` wants.
fn images<'s>(subject: &'s Subject<'_>, wanted: impl Fn(Role) -> bool) -> Vec<&'s ImageName> {
    let has = |kind: Kind| {
        let mut has = false;
        let messages = kind.row().messages.iter().filter_map(|name| Message::by_name(name));
        messages.for_each(|message| message.links(&mut |link| has |= wanted(link.role)));
        has
    };
    let mut kinds: HashMap<Kind, bool> = HashMap::new();
    let images = subject.dump.images().iter();
    images.filter(|name| *kinds.entry(name.kind).or_insert_with(|| has(name.kind))).collect()
}

/// What the entries of an image of this kind say is there.
pub(super) fn classes(kind: Kind) -> BTreeSet<Class> {
    let mut classes = BTreeSet::new();
    for message in kind.row().messages.iter().filter_map(|name| Message::by_name(name)) {
        message.links(&mut |link| {
            if link.role != Role::Refers {
                classes.insert(link.class);
            }
        });
    }
    classes
}

/// Whether the dump has an image of open files, of whatever age. Without one each use of a file would be a finding.
fn has_files(subject: &Subject<'_>) -> bool {
    let kinds: BTreeSet<Kind> = subject.dump.images().iter().map(|name| name.kind).collect();
    let defines_files = |kind: &Kind| {
        let mut is_one = false;
        let messages = kind.row().messages.iter().filter_map(|name| Message::by_name(name));
        messages.for_each(|message| {
            message.links(&mut |link| is_one |= (link.class, link.role) == (Class::File, Role::Defines));
        });
        is_one
    };
    kinds.iter().any(defines_files)
}

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, _checked: &mut Checked) -> Result<()> {
    let mut known = know(subject, findings)?;
    if !has_files(subject) {
        known.incomplete.insert(Class::File);
        // a pre-dump has no tasks, and no files either
        if !subject.dump.images_of(Kind::Pstree).is_empty() {
            let finding = Finding::error("files-missing", "expected the image of all open files, found none");
            findings
                .add(finding.in_image("files.img").advice("the image is lost: take it from a copy, or dump again"))?;
        }
    }
    let doubles = known.doubles();
    let mut first: HashMap<(Class, u64), (String, usize)> = HashMap::new();
    let images = images(subject, |role| role == Role::Refers || (role == Role::Defines && !doubles.is_empty()));
    scan(
        subject,
        &images,
        |part| look_up(part, &known, &doubles),
        |step| {
            let Step::Part(image, found) = step else { return Ok(()) };
            for finding in found.lost {
                findings.add(finding.in_image(image.name()))?;
            }
            findings.more(Severity::Error, "reference", image.name(), found.more);
            for (class, key, entry, field) in found.twice {
                let place = (image.name().to_owned(), entry);
                match first.get(&(class, key)) {
                    None => {
                        first.insert((class, key), place);
                    }
                    // a message and the one around it may both say it
                    Some(known) if *known == place => {}
                    Some((known, at)) => {
                        let what = format!("expected {} once, found it in {known}, entry {at} too", name(class, key));
                        let finding = Finding::error("id-twice", what).in_image(image.name()).in_field(field);
                        let finding = finding.at_entry(u64::try_from(entry).unwrap_or(u64::MAX));
                        findings.add(finding.advice("CRIU takes one of them for the other"))?;
                    }
                }
            }
            Ok(())
        },
    )
}

/// Takes all numbers that are defined.
fn know(subject: &Subject<'_>, findings: &Findings<'_>) -> Result<Known> {
    let mut known = Known::default();
    let images = images(subject, |role| role != Role::Refers);
    for name in &images {
        if findings.is_broken(&name.file) {
            known.incomplete.extend(classes(name.kind));
        }
    }
    // of a namespace in which no task lives there are images all the same
    for name in subject.dump.images() {
        if name.kind.row().id.ends_with("namespace id") {
            known.known.put(Class::Namespace, name.id);
        }
    }
    let take = |part: &Part<'_>| {
        let (mut defined, mut known) = (Numbers::default(), Numbers::default());
        for entry in part.entries().flatten() {
            entry.references(&mut |reference, _| match reference.role {
                Role::Defines => defined.put(reference.class, key(&reference)),
                Role::Knows => known.put(reference.class, key(&reference)),
                Role::Refers => {}
            });
        }
        (defined, known)
    };
    scan(subject, &images, take, |step| {
        if let Step::Part(_, (defined, more)) = step {
            known.defined.append(defined);
            known.known.append(more);
        }
        Ok(())
    })?;
    let files = known.defined.of(Class::File).iter().chain(known.known.of(Class::File));
    known.any_file = files.map(|key| key & 0xffff_ffff).collect();
    known.any_file.par_sort_unstable();
    known.defined.sort();
    known.known.sort();
    Ok(known)
}

/// What is wrong in some entries of an image.
#[derive(Default)]
struct Found {
    lost: Vec<Finding>,
    /// Lost ones beyond those.
    more: u64,
    /// Numbers that are defined twice, where: class, key, entry, field.
    twice: Vec<(Class, u64, usize, String)>,
}

fn look_up(part: &Part<'_>, known: &Known, doubles: &BTreeSet<(Class, u64)>) -> Found {
    let mut found = Found::default();
    for entry in part.entries().flatten() {
        entry.references(&mut |reference, path| match reference.role {
            Role::Refers if !known.has(&reference) => {
                if found.lost.len() < KEPT {
                    let finding = missing(&reference).in_field(path.to_string());
                    found.lost.push(finding.at_entry(u64::try_from(entry.index()).unwrap_or(u64::MAX)));
                } else {
                    found.more = found.more.saturating_add(1);
                }
            }
            Role::Defines if found.twice.len() < KEPT && doubles.contains(&(reference.class, key(&reference))) => {
                found.twice.push((reference.class, key(&reference), entry.index(), path.to_string()));
            }
            _ => {}
        });
    }
    found
}

/// What a number is the number of, in words.
fn name(class: Class, number: u64) -> String {
    let what = match class {
        Class::File => "file",
        Class::MemfdInode => "the inode of a memfd",
        Class::Tty => "terminal",
        Class::CgroupSet => "set of control groups",
        Class::Namespace => "namespace",
        Class::Task => "task",
        Class::Thread => "thread",
        Class::BpfMap => "BPF map",
    };
    format!("{what} {number}")
}

fn missing(reference: &Reference) -> Finding {
    let of_type = match reference.of_type {
        Some(of_type) => format!(" of type {}", FileType(i32::try_from(of_type).unwrap_or(-1))),
        None => String::new(),
    };
    let what = format!("expected {}{of_type} in the dump, found none", name(reference.class, reference.number));
    let advice = match reference.class {
        Class::File => "the entry of files.img is lost, or the number is wrong: CRIU stops at it",
        Class::MemfdInode => "the entry of memfd.img is lost: CRIU stops at it",
        Class::Tty => "the entry of tty-info.img is lost: CRIU stops at it",
        Class::CgroupSet => "the set is not in cgroup.img: CRIU stops at it",
        Class::Namespace => "no task lives in it and it has no image: CRIU stops at it",
        Class::Task => "no task of pstree.img has this number: CRIU restores without it and does not say so",
        Class::Thread => "no task of pstree.img has such a thread: CRIU stops at it",
        // CRIU never looks at it
        Class::BpfMap => {
            return Finding::warning("reference", what)
                .advice("CRIU passes the content over, of a map that nobody has");
        }
    };
    Finding::error("reference", what).advice(advice)
}
