//! Images of TCP connections: what the kernel is told of one, and what was on its way.

use crate::base::Result;
use crate::image::Kind;
use crate::object::Look;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::net::Context;
use crate::tool::check::spot::{self, Spot};

/// Options that the two sides agreed on, a bit each.
const TIMESTAMPS: u64 = 1;
const WINDOW_SCALE: u64 = 4;

/// `connected` are the inodes of connected sockets, in ascending order.
pub(super) fn look(context: &Context<'_>, connected: &[u32], findings: &mut Findings<'_>) -> Result<()> {
    let dump = context.subject.dump;
    for name in dump.images_of(Kind::TcpStream) {
        context.subject.go_on()?;
        if u32::try_from(name.id).ok().is_none_or(|ino| connected.binary_search(&ino).is_err()) {
            let what = format!("expected a connected TCP socket with inode {}, found none", name.id);
            let advice = "CRIU passes over it: either it is left over, or the socket's entry is lost";
            findings.add(Finding::warning("tcp-stream-unused", what).in_image(name.file.clone()).advice(advice))?;
        }
        let Some(image) = findings.ok("entry", dump.open_image(name))? else { continue };
        spot::each(&image, |spot, look, entry| match entry.index() {
            0 => one(spot, &look, findings),
            _ => Ok(()),
        })?;
    }
    Ok(())
}

fn one(spot: Spot<'_>, look: &Look<'_>, findings: &mut Findings<'_>) -> Result<()> {
    let mut wrong = |field: &str, what: String, advice: &str| {
        findings.add(spot.field(field, Finding::error("tcp-stream", what).advice(advice)))
    };
    let refuses = "CRIU refuses to restore the connection";
    let sent = look.number("outq_len").unwrap_or(0);
    match look.number("unsq_len") {
        None => wrong("unsq_len", "expected how much was never sent, found nothing".to_owned(), refuses)?,
        Some(unsent) if unsent > sent => {
            let what = format!("expected at most the {sent} bytes that were written, found {unsent}");
            wrong("unsq_len", what, "the queue cannot be restored")?;
        }
        Some(_) => {}
    }
    let options = look.number("opt_mask").unwrap_or(0);
    for (bit, field) in [(WINDOW_SCALE, "rcv_wscale"), (TIMESTAMPS, "timestamp")] {
        if options & bit != 0 && !look.has(field) {
            wrong(field, "expected the value of an option that both sides agreed on, found none".to_owned(), refuses)?;
        }
    }
    for field in ["snd_wscale", "rcv_wscale"] {
        if let Some(scale) = look.number(field).filter(|scale| options & WINDOW_SCALE != 0 && *scale > 14) {
            wrong(field, format!("expected a scale of at most 14, found {scale}"), "the kernel refuses it")?;
        }
    }
    Ok(())
}
