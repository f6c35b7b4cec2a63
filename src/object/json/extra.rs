//! What follows an entry, as crit's `extra`.

use crate::base::Error;
use crate::image::payload::Payload;
use crate::image::{Entry, Kind};
use crate::object::check::Broken;
use crate::object::json::base64;
use crate::object::json::integer::{self, Number, low};
use crate::object::json::message::Writer;
use crate::object::schema::Message;
use crate::wire::field::last_varint;

/// The message in a System V queue's payload.
pub(crate) const INNER: &str = "ipc_msg";

impl Writer<'_, '_> {
    /// The key `extra`, for kinds that have payloads.
    pub(crate) fn extra(&mut self, entry: &Entry<'_>, any: &mut bool) -> Result<(), Error> {
        let kind = entry.image().kind();
        match kind.row().payload {
            Payload::Nothing => return Ok(()),
            Payload::Ghost { .. } if !self.form.payloads || is_chunked_head(entry) => return Ok(()),
            _ => {}
        }
        self.out.key(!std::mem::replace(any, true), "extra");
        if !self.form.payloads {
            let size = human(payload_size(entry)?);
            self.out.raw(format!("\"... <{size}>\"").as_bytes());
            return Ok(());
        }
        match kind {
            Kind::TcpStream => {
                let split = usize::try_from(low(number(entry, 1))).unwrap_or(usize::MAX);
                let payload = entry.payload();
                let (received, sent) = payload.split_at_checked(split).unwrap_or((payload, &[]));
                self.out.open(b'{');
                self.out.key(true, "inq");
                base64::mime(self.out, received);
                self.out.key(false, "outq");
                base64::mime(self.out, sent);
                self.out.close(b'}', false);
            }
            Kind::IpcnsSem => {
                let values = usize::try_from(low(number(entry, 2))).unwrap_or(usize::MAX);
                self.out.open(b'[');
                let pairs = entry.payload().chunks_exact(2).take(values);
                let none = pairs.len() == 0;
                for (position, pair) in pairs.enumerate() {
                    self.out.separate(position == 0);
                    let value = pair.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
                    integer::plain(self.out, Number::Unsigned(value));
                    self.out.relieve();
                }
                self.out.close(b']', none);
            }
            Kind::IpcnsMsg => self.queue(entry)?,
            Kind::IpcnsShm => {
                let size = usize::try_from(number(entry, 2)).unwrap_or(usize::MAX);
                let payload = entry.payload();
                base64::mime(self.out, payload.get(..size).unwrap_or(payload));
            }
            _ => base64::mime(self.out, entry.payload()),
        }
        self.out.relieve();
        Ok(())
    }

    /// Messages and their bytes in turn. crit shows these messages plainly in the pretty form too.
    fn queue(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let Some(inner) = Message::by_name(INNER) else { return Ok(()) };
        let base = offset_in(entry.message(), entry.payload());
        self.out.open(b'[');
        let mut none = true;
        for record in entry.records() {
            let record = record?;
            self.out.separate(std::mem::take(&mut none));
            let start = base.saturating_add(offset_in(entry.payload(), record.message));
            let warnings = self.warnings.len();
            self.object(inner, record.message)
                .map_err(|broken| entry.locate(broken.error, start.saturating_add(broken.offset)))?;
            for warning in self.warnings.iter_mut().skip(warnings) {
                warning.offset = warning.offset.saturating_add(start);
            }
            self.out.separate(false);
            base64::mime(self.out, record.data);
            self.out.relieve();
        }
        self.out.close(b']', none);
        Ok(())
    }
}

/// How far `inner` begins behind `outer`: both are slices of one image.
fn offset_in(outer: &[u8], inner: &[u8]) -> usize {
    inner.as_ptr().addr().saturating_sub(outer.as_ptr().addr())
}

/// The first entry of a ghost file whose content comes in chunks.
fn is_chunked_head(entry: &Entry<'_>) -> bool {
    match entry.image().kind().row().payload {
        Payload::Ghost { chunks, .. } => entry.index() == 0 && number(entry, chunks) != 0,
        _ => false,
    }
}

fn number(entry: &Entry<'_>, field: u32) -> u64 {
    last_varint(entry.message(), field).ok().flatten().unwrap_or(0)
}

/// What `--nopl` says of a payload: its bytes without padding, and without the size words of a queue.
fn payload_size(entry: &Entry<'_>) -> Result<u64, Error> {
    Ok(match entry.image().kind() {
        Kind::IpcnsSem => u64::from(low(number(entry, 2))).saturating_mul(2),
        Kind::IpcnsShm if entry.payload().is_empty() => 0,
        Kind::IpcnsShm => number(entry, 2),
        Kind::IpcnsMsg => {
            let mut size = 0u64;
            for record in entry.records() {
                let record = record?;
                size = size.saturating_add(record.message.len() as u64).saturating_add(record.data.len() as u64);
            }
            size
        }
        _ => entry.payload().len() as u64,
    })
}

/// A size as crit writes it: whole where it is, else one decimal.
fn human(size: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];
    let mut unit = 0;
    let mut divisor = 1u64;
    while size / divisor >= 1024 && unit < 6 {
        divisor <<= 10;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("");
    if size.is_multiple_of(divisor) {
        format!("{}{name}", size / divisor)
    } else {
        // a payload is part of a file: its size loses nothing in 53 bits
        #[allow(clippy::cast_precision_loss)]
        let value = size as f64 / divisor as f64;
        format!("{value:.1}{name}")
    }
}

/// The errors of a message, placed in their entry.
pub(crate) fn place(entry: &Entry<'_>, broken: Broken) -> Error {
    entry.broken(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_missing_in_a_queue_is_told_where_it_is() {
        let mut bytes = vec![0x19, 0x43, 0x56, 0x54, 0x37, 0x37, 0x45, 0x55, 20, 0, 0, 0];
        // desc, qbytes, qnum
        bytes.extend([0x0a, 14, 8, 1, 16, 1, 24, 1, 32, 1, 40, 1, 48, 1, 56, 1, 0x10, 1, 0x18, 1]);
        // a message with its size alone, and its one byte
        bytes.extend([2, 0, 0, 0, 0x10, 1, b'a', 0, 0, 0, 0, 0, 0, 0]);
        let image = crate::Image::open("ipcns-msg-1.img", bytes.into(), Default::default()).unwrap();
        let mut told = Vec::new();
        let form = crate::object::json::Form::COMPACT;
        crate::object::json::decode(&image, &form, &mut Vec::new(), &mut |error| told.push(error.to_string())).unwrap();
        assert_eq!(
            told,
            [
                "ipcns-msg-1.img: entry 0: offset 36 (0x24): field mtype: expected required field 1 of ipc_msg, found none"
            ]
        );
    }

    #[test]
    fn sizes_as_crit_writes_them() {
        for (size, text) in
            [(0, "0B"), (130, "130B"), (1536, "1.5KB"), (2_000_000, "1.9MB"), (10000, "9.8KB"), (1 << 30, "1GB")]
        {
            assert_eq!(human(size), text);
        }
    }
}
