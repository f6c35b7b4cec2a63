//! Whether this machine has what restoring needs.

use std::collections::HashSet;
use std::path::Path;

use crate::base::Result;
use crate::tool::check::Finding;
use crate::tool::check::findings::Findings;
use crate::tool::check::needs::need::{Need, NeedKind};

/// A machine, as far as restoring depends on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Here {
    pub(super) arch: String,
    pub(super) page_size: u64,
    /// What the processor can do, as the kernel calls it.
    pub(super) flags: HashSet<String>,
    /// Where programs are looked for.
    pub(super) path: Vec<std::path::PathBuf>,
}

impl Here {
    /// This machine.
    pub(super) fn new() -> Self {
        let arch = match std::env::consts::ARCH {
            "powerpc64" => "ppc64",
            "s390x" => "s390",
            "mips64" => "mips",
            other => other,
        };
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = cpuinfo.lines().find_map(|line| {
            let (name, flags) = line.split_once(':')?;
            matches!(name.trim(), "flags" | "Features" | "features").then_some(flags)
        });
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            arch: arch.to_owned(),
            page_size: rustix::param::page_size() as u64,
            flags: flags.unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            path: std::env::split_paths(&path).chain(["/sbin".into(), "/usr/sbin".into()]).collect(),
        }
    }

    /// Whether it has what is needed; `None` where that cannot be told.
    pub(super) fn has(&self, need: &Need) -> Option<bool> {
        match need.kind {
            NeedKind::Machine => match need.name.strip_prefix("pages of ") {
                Some(size) => Some(size.strip_suffix(" bytes")?.parse::<u64>().ok()? == self.page_size),
                None => Some(need.name == self.arch),
            },
            NeedKind::Cpu => (!self.flags.is_empty()).then(|| self.flags.contains(&need.name)),
            NeedKind::Kernel => Some(Path::new(need.shown_at?).exists()),
            NeedKind::Program => Some(self.path.iter().any(|folder| folder.join(&need.name).is_file())),
            NeedKind::Criu | NeedKind::Plugin | NeedKind::Option | NeedKind::Privilege => None,
        }
    }

    /// Says of each need whether it is met here, and tells those that are not.
    ///
    /// Errors: whoever asked wants no more.
    pub(super) fn compare(&self, needs: &mut [Need], findings: &mut Findings<'_>) -> Result<()> {
        for need in needs {
            need.here = self.has(need);
            if need.here != Some(false) {
                continue;
            }
            let (rule, found) = match need.kind {
                NeedKind::Machine if need.name.starts_with("pages of ") => {
                    ("here-page-size", format!("pages of {} bytes", self.page_size))
                }
                NeedKind::Machine => ("here-machine", self.arch.clone()),
                NeedKind::Cpu => ("here-cpu", "a processor without it".to_owned()),
                NeedKind::Program => ("here-program", "none of that name".to_owned()),
                _ => ("here-kernel", "a kernel that does not show it".to_owned()),
            };
            let what =
                format!("restoring needs {}: {}; expected it on this machine, found {found}", need.name, need.why);
            let mut finding = match need.kind {
                NeedKind::Machine | NeedKind::Cpu => Finding::error(rule, what),
                _ => Finding::warning(rule, what),
            };
            finding.image.clone_from(&need.image);
            finding.entry = need.entry;
            finding.field.clone_from(&need.field);
            findings.add(finding.advice("restore it on a machine that has it"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::Collect;

    #[test]
    fn another_machine() {
        let here = Here {
            arch: "riscv64".to_owned(),
            page_size: 65536,
            flags: HashSet::from(["fpu".to_owned()]),
            path: Vec::new(),
        };
        let need = |kind, name: &str| Need::new(kind, name, true, "because").in_image("core-1.img");
        let mut needs = [
            need(NeedKind::Machine, "x86_64"),
            need(NeedKind::Machine, "pages of 4096 bytes"),
            need(NeedKind::Cpu, "avx512f"),
            need(NeedKind::Cpu, "fpu"),
            need(NeedKind::Program, "tar"),
            need(NeedKind::Kernel, "epoll"),
            need(NeedKind::Option, "--shell-job"),
        ];
        needs[5].shown_at = Some("/proc/none-such");
        let mut rows = Collect::default();
        here.compare(&mut needs, &mut Findings::new(&mut rows)).unwrap();
        let rules: Vec<_> = rows.rows.iter().map(|finding: &Finding| (finding.severity.name(), finding.rule)).collect();
        assert_eq!(
            rules,
            [
                ("error", "here-machine"),
                ("error", "here-page-size"),
                ("error", "here-cpu"),
                ("warning", "here-program"),
                ("warning", "here-kernel")
            ]
        );
        assert_eq!(
            needs.map(|need| need.here),
            [false, false, false, true, false, false].map(Some).into_iter().chain([None]).collect::<Vec<_>>()[..]
        );
        assert_eq!(rows.rows[0].image.as_deref(), Some("core-1.img"));
    }
}
