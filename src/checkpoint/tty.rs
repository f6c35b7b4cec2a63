//! Terminals.

use std::fmt;

use serde::Serialize;

use crate::base::Name;
use crate::checkpoint::device::Device;
use crate::checkpoint::names;
use crate::object::v1;

/// An open terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tty {
    /// The terminal; several open files may have the same.
    pub tty_info_id: u32,
    /// `pty`, `console`, `vt`...; `None` if the dump lacks the terminal's entry.
    pub kind: Option<String>,
    /// Number of a pseudo-terminal: that of its name in /dev/pts.
    pub index: Option<u32>,
    /// Whether this is the side of the program that shows the terminal.
    pub is_master: bool,
    /// Its device.
    pub rdev: Option<Device>,
    /// Its session.
    pub sid: u32,
    /// Its foreground process group.
    pub pgrp: u32,
    /// Rows and columns.
    pub size: Option<(u32, u32)>,
    /// Number of the file that has its path; `None` in old dumps, and of terminals from outside.
    #[serde(skip)]
    pub regf_id: Option<u32>,
    /// Where it was opened.
    pub path: Option<Name>,
}

/// Majors of the master side of pseudo-terminals.
const PTMX: Device = Device { major: 5, minor: 2 };
const UNIX98_MASTER: std::ops::RangeInclusive<u32> = 128..=135;

impl Tty {
    pub(crate) fn new(entry: &v1::TtyFileEntry, info: Option<&v1::TtyInfoEntry>) -> Self {
        let rdev = info.map(|info| Device::from_libc(info.rdev));
        Self {
            tty_info_id: entry.tty_info_id,
            kind: info.map(|info| {
                let kind = u64::try_from(info.r#type).unwrap_or(u64::MAX);
                names::code(kind, names::TTYS).unwrap_or("unknown").to_owned()
            }),
            index: info.and_then(|info| info.pty.as_ref()).map(|pty| pty.index),
            is_master: rdev.is_some_and(|dev| dev == PTMX || UNIX98_MASTER.contains(&dev.major)),
            rdev,
            sid: info.map_or(0, |info| info.sid),
            pgrp: info.map_or(0, |info| info.pgrp),
            size: info.and_then(|info| info.winsize.as_ref()).map(|size| (size.ws_row, size.ws_col)),
            regf_id: entry.regf_id,
            path: None,
        }
    }
}

impl fmt::Display for Tty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.index) {
            (Some(path), _) if !self.is_master => write!(f, "{path}")?,
            (_, Some(index)) if self.is_master => write!(f, "ptmx of /dev/pts/{index}")?,
            (Some(path), _) => write!(f, "{path}")?,
            (None, Some(index)) => write!(f, "/dev/pts/{index}")?,
            (None, None) => write!(f, "tty {}", self.tty_info_id)?,
        }
        if self.sid != 0 {
            write!(f, " session {}", self.sid)?;
        }
        Ok(())
    }
}
