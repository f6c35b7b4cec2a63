//! The network: sockets, what is on its way in them, and the devices of network namespaces.

mod devices;
mod inet;
mod queues;
mod streams;
mod unix;

use std::collections::{BTreeSet, HashMap};

use crate::base::Result;
use crate::checkpoint::file::FileType;
use crate::image::Kind;
use crate::object::Look;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot::{self, Spot};
use crate::tool::check::{Checked, Subject};

/// What rules of the network know.
struct Context<'s> {
    subject: &'s Subject<'s>,
    unix: unix::Sockets,
    /// Numbers of the devices of each network namespace that has an image of them.
    devices: HashMap<u64, BTreeSet<u32>>,
    /// Whether connections were closed when they were dumped.
    tcp_close: bool,
}

/// Looks at one socket.
type Rule = fn(&Context<'_>, u32, Spot<'_>, &Look<'_>, &mut Findings<'_>) -> Result<()>;

/// Rules for sockets of one type, by the number of the type.
const PARTS: &[(i32, Rule)] = &[(4, inet::look), (5, unix::look), (10, devices::packet), (13, devices::netlink)];

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, _: &mut Checked) -> Result<()> {
    let dump = subject.dump;
    let Some(files) = findings.ok("entry", dump.file_images())? else { return Ok(()) };
    let mut devices: HashMap<u64, BTreeSet<u32>> = HashMap::new();
    for name in dump.images_of(Kind::Netdev) {
        subject.go_on()?;
        if let Some(image) = findings.ok("entry", dump.open_image(name))? {
            devices.insert(name.id, devices::look(subject, &image, findings)?);
        }
    }
    let tcp_close = dump.inventory().is_ok_and(|inventory| inventory.tcp_close);
    let context = Context { subject, unix: unix::Sockets::read(&files)?, devices, tcp_close };
    let mut connected = Vec::new();
    for images in &files {
        subject.go_on()?;
        spot::each(&images.image, |spot, look, _| {
            let Some((FileType(number), id, Some((name, part)))) = images.part(look) else { return Ok(()) };
            let Some((_, rule)) = PARTS.iter().find(|(known, _)| *known == number) else { return Ok(()) };
            connected.extend(inet::connection(number, &part));
            rule(&context, id, spot.part(name), &part, findings)
        })?;
    }
    connected.sort_unstable();
    streams::look(&context, &connected, findings)?;
    queues::look(&context, findings)?;
    devices::joined(&context, findings)
}
