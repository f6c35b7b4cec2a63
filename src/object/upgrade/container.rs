//! What the container of version 2 says in messages: of a checkpoint, of names, of images in version 1, and raw bytes.

use bytes::{Bytes, BytesMut};
use prost::Message as _;

use crate::base::{Error, Result};
use crate::object::upgrade::v2;
use crate::source::bundle::Bundle;
use crate::wire::v2::{Blob, blob, types};

/// What is known of a checkpoint before it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointHead {
    /// Bytes of a page.
    pub page_size: Option<u64>,
    /// The machine that was dumped: a `Machine`, as in `core_entry.mtype`.
    pub machine: Option<u64>,
    /// The program that wrote it, and its version.
    pub writer: Option<String>,
    /// Those that it is an increment of, the direct one first.
    pub parents: Vec<Parent>,
}

/// A dump that another one is based on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parent {
    /// Its number.
    pub dump: Option<u64>,
    /// The checksum of its END.
    pub end_checksum: Option<u32>,
    /// Where version 1 has its link.
    pub link: Option<Vec<u8>>,
    /// Where its bundle is, from the directory of the child.
    pub path: Option<Vec<u8>>,
}

/// A name of version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// From the dump's directory on.
    pub name: Vec<u8>,
    /// Where it leads, if it is a link.
    pub link: Option<Vec<u8>>,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// What only the file of version 1 had, and its name where kind and number do not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The name.
    pub name: Option<Vec<u8>>,
    /// The rest.
    pub v1: v2::V1Image,
}

/// The number of little endian in `Checkpoint.byte_order`.
const LITTLE_ENDIAN: u64 = 1;

/// The first object of a checkpoint; nothing is known where there is none.
///
/// Errors: it is broken, of a machine with another order of bytes, or says a page size that none has.
pub fn head(bundle: &Bundle) -> Result<CheckpointHead> {
    for found in bundle.records(types::KIND_CHECKPOINT, 0) {
        let found = found?;
        if found.record.header.object_type() != types::CHECKPOINT {
            continue;
        }
        let head: v2::Checkpoint = decode(bundle, found.part, found.record.offset, found.record.payload)?;
        if head.byte_order.is_some_and(|order| order != LITTLE_ENDIAN) {
            return Err(Error::format("the checkpoint was made on a big-endian machine, which icecore does not read")
                .in_image(bundle.part_name(found.part)));
        }
        if let Some(size) = head.page_size.filter(|size| !size.is_power_of_two()) {
            return Err(Error::format(format!("expected a page size that is a power of two, found {size}"))
                .at_offset(found.record.offset as u64)
                .in_image(bundle.part_name(found.part)));
        }
        let parents = head.parents.into_iter().map(|parent| Parent {
            dump: parent.dump,
            end_checksum: parent.end_checksum,
            link: parent.link.map(Into::into),
            path: parent.path.map(Into::into),
        });
        return Ok(CheckpointHead {
            page_size: head.page_size,
            machine: head.machine,
            writer: head.writer.map(|writer| String::from_utf8_lossy(&writer).into_owned()),
            parents: parents.collect(),
        });
    }
    Ok(CheckpointHead::default())
}

/// The message of a checkpoint's head.
pub fn encode_head(head: &CheckpointHead) -> Vec<u8> {
    let parents = head.parents.iter().map(|parent| v2::Parent {
        dump: parent.dump,
        end_checksum: parent.end_checksum,
        link: parent.link.clone().map(Into::into),
        path: parent.path.clone().map(Into::into),
    });
    let head = v2::Checkpoint {
        page_size: head.page_size,
        byte_order: Some(LITTLE_ENDIAN),
        machine: head.machine,
        writer: head.writer.clone().map(|writer| writer.into_bytes().into()),
        parents: parents.collect(),
        ..v2::Checkpoint::default()
    };
    head.encode_to_vec()
}

fn decode<T: prost::Message + Default>(bundle: &Bundle, part: usize, offset: usize, payload: &[u8]) -> Result<T> {
    T::decode(payload)
        .map_err(|error| Error::format(error.to_string()).at_offset(offset as u64).in_image(bundle.part_name(part)))
}

/// The name of a file.
///
/// Errors: the image is broken.
pub fn name(bundle: &Bundle, kind: u32, id: u64) -> Result<Option<Named>> {
    let Some(found) = bundle.records(kind, id).next().transpose()? else { return Ok(None) };
    if found.record.header.object_type() != types::NAME {
        return Ok(None);
    }
    let name: v2::Name = decode(bundle, found.part, found.record.offset, found.record.payload)?;
    Ok(Some(named(name)))
}

fn named(name: v2::Name) -> Named {
    Named {
        name: name.name.map(Into::into).unwrap_or_default(),
        link: name.link.map(Into::into),
        is_directory: name.directory.unwrap_or_default(),
    }
}

/// The message of a name.
pub fn encode_name(named: &Named) -> Vec<u8> {
    let name = v2::Name {
        name: Some(named.name.clone().into()),
        link: named.link.clone().map(Into::into),
        directory: named.is_directory.then_some(true),
    };
    name.encode_to_vec()
}

/// What only the file of version 1 had: it stands before the objects of an image.
///
/// Errors: the image is broken there.
pub fn image_facts(bundle: &Bundle, kind: u32, id: u64) -> Result<ImageFacts> {
    let mut facts = ImageFacts::default();
    for found in bundle.records(kind, id) {
        let found = found?;
        let (offset, payload) = (found.record.offset, found.record.payload);
        match found.record.header.object_type() {
            types::NAME => facts.name = Some(named(decode(bundle, found.part, offset, payload)?).name),
            types::V1_IMAGE => facts.v1 = decode(bundle, found.part, offset, payload)?,
            types::PAD => {}
            _ => break,
        }
    }
    Ok(facts)
}

/// Hands out the payloads of the BLOBs that these bytes are, from `offset` of their object on.
///
/// Errors: those of `put`.
pub(crate) fn put_blobs(bytes: &[u8], mut put: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut offset = 0u64;
    let mut payload = Vec::new();
    for piece in bytes.chunks(blob::LENGTH) {
        payload.clear();
        blob::write(offset, piece, &mut payload);
        put(&payload)?;
        offset = offset.saturating_add(piece.len() as u64);
    }
    Ok(())
}

/// Hands out the bytes of an image that is nothing but bytes, piece by piece as slices of the map, and which of its
/// files they are in.
///
/// Errors: the image is broken, or its bytes don't ascend; those of `each`.
pub(crate) fn each_blob<'b>(
    bundle: &'b Bundle,
    kind: u32,
    id: u64,
    mut each: impl FnMut(usize, &'b [u8]) -> Result<()>,
) -> Result<()> {
    let mut length = 0u64;
    for found in bundle.records(kind, id) {
        let found = found?;
        if found.record.header.object_type() != types::BLOB {
            continue;
        }
        let wrong = |what: String| {
            Error::format(what).at_offset(found.record.offset as u64).in_image(bundle.part_name(found.part))
        };
        let Blob { offset, data } = Blob::read(found.record.payload).map_err(|broken| wrong(broken.to_string()))?;
        // files have no holes here: what nobody wrote would be made up
        if offset != length {
            return Err(wrong("expected bytes that go on where those before end".to_owned()));
        }
        length = length.saturating_add(data.len() as u64);
        each(found.part, data)?;
    }
    Ok(())
}

/// The bytes of an image that is nothing but bytes: a slice of the map where one BLOB has them all.
///
/// Errors: the image is broken, or its bytes don't ascend.
pub fn blobs(bundle: &Bundle, kind: u32, id: u64) -> Result<Bytes> {
    let mut first: Option<Bytes> = None;
    let mut all: Option<BytesMut> = None;
    each_blob(bundle, kind, id, |part, data| {
        match (&mut all, first.take()) {
            (Some(all), _) => all.extend_from_slice(data),
            (None, Some(before)) => {
                let mut both = BytesMut::from(before);
                both.extend_from_slice(data);
                all = Some(both);
            }
            (None, None) => first = bundle.bytes(part).map(|bytes| bytes.slice_ref(data)),
        }
        Ok(())
    })?;
    Ok(all.map(BytesMut::freeze).or(first).unwrap_or_default())
}
