//! One image, read by icecore and by crit: what may differ is listed here and nowhere else, and each case is checked to
//! be the one that is listed.

use base64::Engine as _;
use icecore::image::payload::Payload;
use icecore::object::json::{self, Form};
use icecore::{Image, Kind, Limits};
use serde_json::Value;

use super::corpus::Found;
use super::oracle::{self, Crit};

/// What comparing one image came to.
pub enum Verdict {
    Equal {
        entries: usize,
    },
    /// One of the listed differences.
    Known(&'static str),
    Wrong(String),
}

/// Kinds whose magic crit knows and cannot read.
const NO_HANDLER: [Kind; 5] = [Kind::BinfmtMisc, Kind::BinfmtMiscOld, Kind::Pidfd, Kind::Signal, Kind::SignalPrivate];

fn first_difference(ours: &[u8], theirs: &[u8]) -> String {
    let at = ours.iter().zip(theirs).position(|(a, b)| a != b).unwrap_or(ours.len().min(theirs.len()));
    let around = |text: &[u8]| {
        String::from_utf8_lossy(&text[at.saturating_sub(80).min(text.len())..(at + 80).min(text.len())]).into_owned()
    };
    format!("differ at byte {at}\n    icecore ...{}...\n    crit    ...{}...", around(ours), around(theirs))
}

/// Compares one image. Nothing is written down before it is compared in full.
pub fn judge(crit: &mut Crit, found: &Found, bytes: &[u8]) -> Verdict {
    let name = found.path.to_str().unwrap();
    let theirs = crit.decode(bytes);
    let of_name = name.trim_end_matches(".bak");
    let image = match Image::open(of_name, bytes.to_vec().into(), Limits::default()) {
        Ok(image) => image,
        // both refuse: an empty file is how CRIU writes some absent images
        Err(_) if theirs.compact.is_err() => return Verdict::Known("neither reads it"),
        Err(error) => return Verdict::Wrong(format!("{error}, and crit reads it")),
    };
    let mut warnings = Vec::new();
    let mut texts = Vec::new();
    for form in [Form::COMPACT, Form::PRETTY] {
        let mut text = Vec::new();
        if let Err(error) = json::decode(&image, &form, &mut text, &mut |error| warnings.push(error.to_string())) {
            return Verdict::Wrong(format!("{error}, and crit says {:?}", theirs.compact.map(|_| "nothing")));
        }
        let mut back = Vec::new();
        if let Err(error) = json::encode(&text, &Limits::default(), &mut back) {
            return Verdict::Wrong(format!("encode ({form:?}): {error}"));
        }
        if back != bytes {
            return Verdict::Wrong(format!("encode ({form:?}) gives other bytes: {}", first_difference(&back, bytes)));
        }
        texts.push(text);
    }
    if !warnings.is_empty() {
        return Verdict::Wrong(format!("warns of {warnings:?}"));
    }
    match &theirs.compact {
        Err(error) if NO_HANDLER.contains(&image.kind()) => {
            return match error.contains("No handler found for image with magic") {
                true => Verdict::Known("crit has no handler for the kind"),
                false => Verdict::Wrong(format!("crit dies of {error}")),
            };
        }
        // what it takes for the third entry begins in the middle of one
        Err(_) if image.kind() == Kind::IpcnsShm && image.len() > 1 => {
            return Verdict::Known("several segments: crit takes entries for payload, and dies");
        }
        Err(error) => return Verdict::Wrong(format!("crit dies of {error}")),
        Ok(_) if image.kind() == Kind::IpcnsShm && image.len() > 1 => return swallowed(&image, &texts, &theirs, bytes),
        Ok(_) => {}
    }
    let mut not_utf8 = false;
    for (ours, theirs) in texts.iter().zip([&theirs.compact, &theirs.pretty]) {
        match theirs {
            Ok(theirs) if ours == theirs => {}
            Ok(theirs) if as_crit_writes_bytes(ours) == *theirs => not_utf8 = true,
            Ok(theirs) => return Verdict::Wrong(first_difference(ours, theirs)),
            Err(error) => return Verdict::Wrong(format!("crit dies of {error}")),
        }
    }
    // crit's own count goes wrong where bytes lie between entries, and it cannot count ghost files
    if image.kind().row().payload == Payload::Nothing {
        let head = usize::from(matches!(image.kind(), Kind::Pagemap | Kind::PagemapShmem));
        let want = theirs.count.as_ref().map(|count| String::from_utf8_lossy(count).into_owned());
        if want != Ok((image.len() - head).to_string()) {
            return Verdict::Wrong(format!("{} entries, and crit info counts {want:?}", image.len()));
        }
    }
    if not_utf8 {
        return Verdict::Known("names that are not UTF-8: crit writes what Python prints for bytes");
    }
    Verdict::Equal { entries: image.len() }
}

/// `text` with every `{"@bytes": BASE64}` replaced by what crit writes for such a name, which it cannot read back:
/// Python's way to print bytes.
fn as_crit_writes_bytes(text: &[u8]) -> Vec<u8> {
    const KEY: &str = "\"@bytes\": \"";
    let text = std::str::from_utf8(text).unwrap();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(KEY) {
        let before = rest[..at].trim_end();
        let (encoded, behind) = rest[at + KEY.len()..].split_once('"').unwrap();
        out.push_str(before.strip_suffix('{').unwrap());
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
        assert!(std::str::from_utf8(&bytes).is_err(), "{bytes:?} is UTF-8");
        let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
        let mut printed = format!("b{quote}");
        for byte in bytes {
            match byte {
                b'\n' => printed += "\\n",
                b'\r' => printed += "\\r",
                b'\t' => printed += "\\t",
                b'\\' => printed += "\\\\",
                byte if char::from(byte) == quote => printed += &format!("\\{quote}"),
                b' '..=b'~' => printed.push(char::from(byte)),
                byte => printed += &format!("\\x{byte:02x}"),
            }
        }
        printed.push(quote);
        out += &serde_json::to_string(&printed).unwrap();
        rest = behind.trim_start().strip_prefix('}').unwrap();
    }
    out.push_str(rest);
    out.into_bytes()
}

/// crit takes the entries behind the first of several segments for the first one's payload, though
/// `in_pagemaps` says that it has none.
fn swallowed(image: &Image, texts: &[Vec<u8>], theirs: &oracle::Decoded, bytes: &[u8]) -> Verdict {
    for (ours, theirs) in texts.iter().zip([&theirs.compact, &theirs.pretty]) {
        let Ok(theirs) = theirs else { return Verdict::Wrong("crit dies".to_owned()) };
        let ours: Value = serde_json::from_slice(ours).unwrap();
        let theirs: Value = serde_json::from_slice(theirs).unwrap();
        let (ours, theirs) = (ours["entries"].as_array().unwrap(), theirs["entries"].as_array().unwrap());
        let (mut first, mut swallower) = (ours[0].clone(), theirs[0].clone());
        let none = first.as_object_mut().unwrap().remove("extra");
        let taken = swallower.as_object_mut().unwrap().remove("extra");
        let taken = taken.as_ref().and_then(Value::as_str).unwrap().replace('\n', "");
        let taken = base64::engine::general_purpose::STANDARD.decode(taken).unwrap();
        let behind = image.get(1).unwrap().offset() as usize;
        let is_it = first == swallower
            && none == Some(Value::from(""))
            && ours.len() == image.len()
            && theirs.len() < ours.len()
            && !taken.is_empty()
            && bytes[behind..].starts_with(&taken);
        if !is_it {
            return Verdict::Wrong("several segments, but not crit's known mistake".to_owned());
        }
    }
    Verdict::Known("several segments: crit takes entries for payload")
}
