//! Tables of descriptors that have no image, and files that nobody has. CRIU writes no table for a task without
//! descriptors; so one that is lost shows only by the files in it, and so does a single descriptor.

use std::collections::HashSet;

use crate::base::Result;
use crate::checkpoint::file::{File, FileType, Remap, What};
use crate::checkpoint::mm::Backing;
use crate::checkpoint::task::Task;
use crate::image::Kind;
use crate::object::references::{Class, Role};
use crate::tool::check::findings::Findings;
use crate::tool::check::tasks::Look;
use crate::tool::check::{Finding, Subject};

/// Tells of tables without an image: their numbers, and a task that has each.
pub(super) fn look(
    look: &Look<'_>,
    tasks: &[Task<'_>],
    tables: &[(u64, u32)],
    findings: &mut Findings<'_>,
) -> Result<()> {
    let idle = match look.knows_files {
        true => of_nobody(look.subject, tasks, findings)?,
        false => Vec::new(),
    };
    if tables.is_empty() {
        for file in &idle {
            let what = format!("expected somebody to have file {} of type {}, found nobody", file.id, file.file_type);
            let advice = "a descriptor or a mapping is lost: CRIU restores the task without it, and does not say so";
            findings.add(Finding::warning("file-unused", what).in_image(FILES).advice(advice))?;
        }
        return Ok(());
    }
    for (table, pid) in tables {
        let expected = format!("expected the table of descriptors of task {pid}, found none");
        let finding = match idle.first() {
            Some(file) => {
                let what = format!("{expected}; and nobody has file {} of type {}", file.id, file.file_type);
                Finding::error("fdinfo-missing", what)
                    .advice("the table is lost: CRIU restores the task without descriptors, and does not say so")
            }
            None => Finding::note("no-descriptors", format!("{expected}: it has none open"))
                .advice("if it had some, the image was lost: compare with the task that was dumped"),
        };
        findings.add(finding.in_image(format!("fdinfo-{table}.img")))?;
    }
    Ok(())
}

/// Files that no table, no task, no mapping and no other file leads to.
fn of_nobody<'s>(subject: &'s Subject<'_>, tasks: &[Task<'_>], findings: &mut Findings<'_>) -> Result<Vec<&'s File>> {
    let dump = subject.dump;
    let Some(files) = findings.ok("entry", dump.files())? else { return Ok(Vec::new()) };
    let mut idle: Vec<&File> = Vec::new();
    for file in files {
        if findings.ok("entry", dump.holders_total(file))? == Some(0) {
            idle.push(file);
        }
    }
    // of any type, or of one
    let mut used: HashSet<(Option<i32>, u64)> = HashSet::new();
    let is_file = |kind: Kind| kind != Kind::Fdinfo && kind != Kind::Core;
    for name in dump.images().iter().filter(|name| is_file(name.kind) && !name.kind.row().messages.is_empty()) {
        subject.go_on()?;
        let Ok(image) = dump.open_image(name) else { continue };
        for entry in image.iter().flatten() {
            entry.references(&mut |reference, _| {
                if (reference.class, reference.role) == (Class::File, Role::Refers) {
                    let of_type = reference.of_type.and_then(|of_type| i32::try_from(of_type).ok());
                    used.insert((of_type, reference.number));
                }
            });
        }
    }
    let regular = |id: u64| (Some(FileType::REG.0), id);
    for file in files {
        if let What::Regular(file) = &file.what
            && let Some(Remap::Linked(id)) = file.remap
        {
            used.insert(regular(u64::from(id)));
        }
    }
    for task in tasks {
        for mapping in task.mm().ok().flatten().into_iter().flat_map(|mm| mm.mappings) {
            match mapping.backing {
                Backing::File(_) => used.insert(regular(mapping.shmid)),
                Backing::Memfd(_) => used.insert((Some(FileType::MEMFD.0), mapping.shmid)),
                _ => false,
            };
        }
    }
    let is_used = |file: &File| {
        let id = u64::from(file.id);
        used.contains(&(Some(file.file_type.0), id)) || used.contains(&(None, id))
    };
    // an open tun device has its path under its own number
    let others: HashSet<u32> =
        files.iter().filter(|file| file.file_type != FileType::REG).map(|file| file.id).collect();
    idle.retain(|file| match &file.what {
        What::Unix(socket) => !socket.is_outside && !is_used(file),
        What::Regular(_) => !others.contains(&file.id) && !is_used(file),
        _ => !is_used(file),
    });
    Ok(idle)
}

/// Where the files are, since v3.4.
const FILES: &str = "files.img";
