//! stub
#![allow(missing_docs)]
use crate::base::Result;
use crate::image::Kind;
use crate::source::bundle::Bundle;
pub fn bytes(_: &Bundle, _: Kind, _: u64) -> Result<Vec<u8>> {
    Ok(Vec::new())
}
