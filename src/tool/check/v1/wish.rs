//! One complaint about version 1 of the format, measured.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::report::{Cell, Column, Row};

/// One point of the list "What's bad with V1 images" of CRIU's wiki, measured on a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Wish {
    /// Its number in the list.
    pub number: u8,
    /// What the list complains about.
    pub complaint: &'static str,
    /// What it comes to here, in words.
    pub here: String,
    /// Bytes that what is complained about takes in version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v1_bytes: Option<u64>,
    /// Bytes that stand in its place in version 2: of a checkpoint of version 2 as they were counted there, of one of
    /// version 1 what its tables give. Headers of objects are not among them, but in point 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v2_bytes: Option<u64>,
    /// How version 2 answers it, in words.
    pub version2: String,
    /// The numbers that the words are made of, and others.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Wish {
    pub(super) fn new(number: u8, complaint: &'static str) -> Self {
        Self {
            number,
            complaint,
            here: String::new(),
            v1_bytes: None,
            v2_bytes: None,
            version2: String::new(),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn here(mut self, here: impl Into<String>) -> Self {
        self.here = here.into();
        self
    }

    pub(super) fn bytes(mut self, v1: u64, v2: Option<u64>) -> Self {
        (self.v1_bytes, self.v2_bytes) = (Some(v1), v2);
        self
    }

    pub(super) fn version2(mut self, answer: impl Into<String>) -> Self {
        self.version2 = answer.into();
        self
    }

    pub(super) fn count(mut self, name: &'static str, count: u64) -> Self {
        self.counts.insert(name, count);
        self
    }
}

impl Row for Wish {
    const COLUMNS: &'static [Column] = &[
        Column::number("NO", 0),
        Column::text("COMPLAINT", 0),
        Column::number("V1 BYTES", 0),
        Column::number("V2 BYTES", 0),
        Column::text("HERE", 0),
        Column::long("VERSION 2", 1),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::text(self.number),
            Cell::text(self.complaint),
            Cell::maybe(self.v1_bytes),
            Cell::maybe(self.v2_bytes),
            Cell::Text(self.here.clone().into()),
            Cell::Text(self.version2.clone().into()),
        ]
    }
}
