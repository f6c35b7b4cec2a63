//! Control groups: every set has a directory in hierarchies that are in the dump.

use std::collections::HashSet;

use crate::base::{Name, Result};
use crate::image::Kind;
use crate::object::Look;
use crate::tool::check::findings::Findings;
use crate::tool::check::spot;
use crate::tool::check::{Checked, Finding, Subject};

fn name(bytes: &[u8]) -> Name {
    Name::from(bytes::Bytes::copy_from_slice(bytes))
}

pub(super) fn look(subject: &Subject<'_>, findings: &mut Findings<'_>, _: &mut Checked) -> Result<()> {
    let Some(image) = spot::image(subject.dump, Kind::Cgroup, 0, findings)? else { return Ok(()) };
    let root = subject.dump.inventory().ok().and_then(|inventory| inventory.root_cg_set);
    spot::each(&image, |spot, look, entry| {
        if entry.index() > 0 {
            return Ok(());
        }
        let controllers: HashSet<&[u8]> =
            look.inners("controllers").flat_map(|controller| controller.texts("cnames")).collect();
        let mut first: Option<Vec<&[u8]>> = None;
        for (position, set) in look.inners("sets").enumerate() {
            subject.go_on()?;
            let is_criu = set.word("id") == root;
            let mut members: Vec<&[u8]> = Vec::new();
            for (number, member) in set.inners("ctls").enumerate() {
                let Some(controller) = member.bytes("name") else { continue };
                members.push(controller);
                let field = format!("sets[{position}].ctls[{number}]");
                // CRIU's own set is where tasks are already
                if !is_criu && !controllers.contains(controller) {
                    let what = format!("expected hierarchy \"{}\" among the controllers, found none", name(controller));
                    let advice = "CRIU cannot move tasks into the set and gives up";
                    findings.add(spot.field(&field, Finding::error("cgroup-controller", what).advice(advice)))?;
                }
                if let Some(path) = member.bytes("path").filter(|path| path.first() != Some(&b'/')) {
                    let what = format!("expected a path from the root of the hierarchy, found \"{}\"", name(path));
                    let finding = Finding::error("cgroup-path", what).advice("CRIU looks for another directory");
                    findings.add(spot.field(&format!("{field}.path"), finding))?;
                }
            }
            members.sort_unstable();
            match &first {
                Some(first) if *first != members => {
                    let what = "expected every set to have the same hierarchies, found others";
                    let advice = "CRIU relies on it: tasks stay where they are in those that are missing";
                    let field = format!("sets[{position}].ctls");
                    findings.add(spot.field(&field, Finding::warning("cgroup-set", what).advice(advice)))?;
                }
                Some(_) => {}
                None => first = Some(members),
            }
        }
        for (position, controller) in look.inners("controllers").enumerate() {
            controller_names(spot, position, &controller, findings)?;
        }
        Ok(())
    })
}

/// A hierarchy has a name; CRIU takes the first without looking.
fn controller_names(
    spot: spot::Spot<'_>,
    position: usize,
    controller: &Look<'_>,
    findings: &mut Findings<'_>,
) -> Result<()> {
    if controller.texts("cnames").next().is_some() {
        return Ok(());
    }
    let what = "expected the name of a hierarchy, found none";
    let finding = Finding::error("cgroup-controller", what).advice("CRIU ends with a segmentation fault");
    findings.add(spot.field(&format!("controllers[{position}].cnames"), finding))
}
