//! Epolls: what one waits for has to be open in the task that restores it, under the number that is stored.

use crate::base::Result;
use crate::tool::check::Finding;
use crate::tool::check::files::File;
use crate::tool::check::findings::Findings;

pub(super) fn look(file: &File<'_>, findings: &mut Findings<'_>) -> Result<()> {
    // one that is on its way in a socket is restored by whoever sends it
    let Some((pid, table)) = file.context.tables.of_epoll(file.id) else { return Ok(()) };
    let mut seen = Vec::new();
    for (position, target) in file.part.inners("tfd").enumerate() {
        let Some(tfd) = target.word("tfd") else { continue };
        let field = || format!("tfd[{position}].tfd");
        seen.push((tfd, position));
        match table.get(tfd) {
            None => {
                let what =
                    format!("expected task {pid}, which restores the epoll, to have descriptor {tfd}, found none");
                let advice = "CRIU cannot add it to the epoll and gives up";
                findings.add(file.spot.field(&field(), Finding::error("epoll-target", what).advice(advice)))?;
            }
            Some(held) if (held.file_type, held.id) == (file.file_type, file.id) => {
                let what = format!("expected another file than the epoll itself, found descriptor {tfd}");
                let finding = Finding::error("epoll-itself", what).advice("the kernel refuses it");
                findings.add(file.spot.field(&field(), finding))?;
            }
            Some(_) => {}
        }
    }
    seen.sort_unstable();
    for pair in seen.windows(2) {
        if let [(before, _), (tfd, position)] = pair
            && before == tfd
        {
            let what = format!("expected each descriptor once, found {tfd} again");
            let finding = Finding::error("epoll-twice", what).advice("the kernel adds a descriptor only once");
            findings.add(file.spot.field(&format!("tfd[{position}].tfd"), finding))?;
        }
    }
    Ok(())
}
