//! One thing that restoring needs.

use serde::Serialize;

/// What sort of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NeedKind {
    /// A version of CRIU, or what it was built with.
    Criu,
    /// A plugin of CRIU.
    Plugin,
    /// An option of `criu restore`.
    Option,
    /// The machine: its architecture, its pages.
    Machine,
    /// What the processor can do.
    Cpu,
    /// What the kernel can do.
    Kernel,
    /// A program that CRIU runs.
    Program,
    /// What whoever restores may do.
    Privilege,
}

impl NeedKind {
    /// Its name: `criu`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Criu => "criu",
            Self::Plugin => "plugin",
            Self::Option => "option",
            Self::Machine => "machine",
            Self::Cpu => "cpu",
            Self::Kernel => "kernel",
            Self::Program => "program",
            Self::Privilege => "privilege",
        }
    }
}

/// One thing that restoring needs, and what in the checkpoint needs it first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Need {
    /// What sort of thing it is.
    #[serde(rename = "need")]
    pub kind: NeedKind,
    /// What: `4.3`, `--tcp-established`, `avx512f`.
    pub name: String,
    /// Whether restoring fails without it, or comes to other memory. Otherwise it goes on and leaves something out.
    pub must: bool,
    /// Why.
    pub why: String,
    /// The image that needs it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The entry there, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The field there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How often it is needed.
    pub times: u64,
    /// Whether this machine has it; `None` where nobody asked, or it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub here: Option<bool>,
    /// Where the kernel shows that it has it.
    #[serde(skip)]
    pub(super) shown_at: Option<&'static str>,
}

impl Need {
    pub(super) fn new(kind: NeedKind, name: impl Into<String>, must: bool, why: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            must,
            why: why.into(),
            image: None,
            entry: None,
            field: None,
            times: 1,
            here: None,
            shown_at: None,
        }
    }

    pub(super) fn in_image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    pub(super) fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// The need in a line: what, why, and where it was seen first.
    pub fn line(&self) -> String {
        let place = [self.image.clone(), self.entry.map(|entry| format!("entry {entry}")), self.field.clone()];
        let place = place.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let place = if place.is_empty() { place } else { format!(" ({place})") };
        let here = match self.here {
            Some(false) => "; not on this machine",
            _ => "",
        };
        let name = match self.kind {
            NeedKind::Criu => format!("CRIU {}", self.name),
            NeedKind::Plugin => format!("plugin {}", self.name),
            NeedKind::Cpu => format!("processor with {}", self.name),
            NeedKind::Kernel => format!("kernel with {}", self.name),
            _ => self.name.clone(),
        };
        let weight = if self.must { "" } else { "better " };
        format!("{weight}{name}: {}{place}{here}", self.why)
    }
}
