//! What waits in sockets to be read.

use crate::base::Result;
use crate::checkpoint::file::FileType;
use crate::image::Kind;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::net::Context;
use crate::tool::check::spot;

/// Sockets that have queues: unix, netlink, packet, internet.
const SOCKETS: [i32; 4] = [5, 13, 10, 4];

/// SCM_RIGHTS, and how many descriptors one message may carry.
const RIGHTS: u64 = 1;
const MOST: usize = 253;

pub(super) fn look(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    let Some(image) = spot::image(dump, Kind::SkQueues, 0, findings)? else { return Ok(()) };
    let Some(roll) = findings.ok("entry", dump.roll())? else { return Ok(()) };
    spot::each(&image, |spot, look, _| {
        let owner = look.word("id_for");
        if let Some(id) = owner
            && roll.has_any(id)
            && !SOCKETS.iter().any(|number| roll.has(FileType(*number), id))
        {
            let what = format!("expected file {id} to be a socket, found another type");
            let finding =
                Finding::error("queue-owner", what).advice("CRIU passes over it: what was in the queue is lost");
            findings.add(spot.field("id_for", finding))?;
        }
        for (position, scm) in look.inners("scm").enumerate() {
            let mut wrong = |what: String| {
                let finding = Finding::error("queue-rights", what).advice("CRIU refuses to restore the queue");
                findings.add(spot.field(&format!("scm[{position}]"), finding))
            };
            if position > 0 {
                wrong("expected descriptors once in a packet, found more".to_owned())?;
            }
            if let Some(kind) = scm.number("type").filter(|kind| *kind != RIGHTS) {
                wrong(format!("expected control data of type 1 (SCM_RIGHTS), found {kind}"))?;
            }
            let rights = scm.numbers("rights").count();
            if rights == 0 || rights > MOST {
                wrong(format!("expected 1 to {MOST} descriptors in a packet, found {rights}"))?;
            }
            // somebody has to send them again
            if owner.is_some_and(|id| roll.has_any(id) && !context.unix.ids.contains(&id)) {
                wrong("expected descriptors to be on their way to a unix socket, found another type".to_owned())?;
            }
        }
        Ok(())
    })
}
