//! The images of a dump as text: for people one after the other, for programs as one document or a line an entry.

use std::io::Write;

use crate::base::name::{harmless, harmless_json};
use crate::base::{Error, Result};
use crate::checkpoint::{Checkpoint, ImageName};
use crate::image::{Image, Kind};
use crate::object::json::{self, Form};

/// What the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A heading for each image and its entries, indented.
    Text,
    /// One object with a key for each image, as `crit decode` would give it.
    Json,
    /// One object a line for each entry: image, entry, magic, value.
    Lines,
}

/// The images that `wanted` names: by file name with or without `.img`, or by kind (`CORE`, `core`); all of them
/// where nothing is wanted, but in version 2 no pages files: there are none.
///
/// Errors: a name fits none.
pub fn choose<'d>(dump: &'d Checkpoint, wanted: &[String]) -> Result<Vec<&'d ImageName>> {
    if wanted.is_empty() {
        let is_there =
            |image: &&ImageName| dump.v1_files().is_none_or(|files| files.pages_of(image.file.as_bytes()).is_none());
        return Ok(dump.images().iter().filter(is_there).collect());
    }
    let mut chosen = Vec::new();
    for name in wanted {
        let before = chosen.len();
        let by_file = |image: &&ImageName| image.file == *name || image.file.strip_suffix(".img") == Some(name);
        match dump.images().iter().find(by_file) {
            Some(image) => chosen.push(image),
            None => chosen.extend(dump.images().iter().filter(|image| image.kind.name().eq_ignore_ascii_case(name))),
        }
        if chosen.len() == before {
            return Err(Error::usage("the dump has no such image")
                .in_image(name.clone())
                .hint("name it as its file is called, with or without .img, or by kind, such as CORE"));
        }
    }
    Ok(chosen)
}

/// An image to show: what to call it, and the image or why it cannot be opened.
pub struct Shown {
    /// Its name.
    pub name: String,
    /// The image.
    pub image: Result<Image>,
}

/// Writes images. What is wrong with one entry or image is told to `warn`, and the work goes on.
///
/// Errors: the destination refuses.
pub fn show(
    images: impl IntoIterator<Item = Shown>,
    layout: Layout,
    payloads: bool,
    out: &mut dyn Write,
    warn: &mut dyn FnMut(Error),
) -> Result<()> {
    let refused = |error| Error::io("cannot write", error);
    let form = Form { pretty: layout == Layout::Text, payloads, strict: true };
    if layout == Layout::Json {
        out.write_all(b"{").map_err(refused)?;
    }
    let mut first = true;
    for Shown { name, image } in images {
        let image = match image {
            Ok(image) => image,
            Err(error) => {
                warn(error);
                continue;
            }
        };
        let separate = !std::mem::take(&mut first);
        match layout {
            Layout::Text => {
                let gap = if separate { "\n" } else { "" };
                writeln!(out, "{gap}{}: {}", harmless(&name), heading(&image)).map_err(refused)?;
                if has_entries(&image) {
                    json::decode(&image, &form, out, warn)?;
                    writeln!(out).map_err(refused)?;
                }
            }
            Layout::Json => {
                let gap = if separate { ", " } else { "" };
                write!(out, "{gap}{}: ", quoted(&name)).map_err(refused)?;
                match has_entries(&image) {
                    true => json::decode(&image, &form, out, warn)?,
                    false => raw(&image, out).map_err(refused)?,
                }
            }
            Layout::Lines => lines(&image, &quoted(&name), &form, out, warn)?,
        }
    }
    if layout == Layout::Json {
        out.write_all(b"}\n").map_err(refused)?;
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    harmless_json(&serde_json::Value::from(name).to_string()).into_owned()
}

fn has_entries(image: &Image) -> bool {
    !image.kind().row().messages.is_empty()
}

fn heading(image: &Image) -> String {
    let kind: Kind = image.kind();
    match (has_entries(image), image.len()) {
        (false, _) => format!("{}, {} bytes", kind.name(), image.bytes().len()),
        (true, 1) => format!("{}, 1 entry", kind.name()),
        (true, count) => format!("{}, {count} entries", kind.name()),
    }
}

fn raw(image: &Image, out: &mut dyn Write) -> std::io::Result<()> {
    write!(out, "{{\"magic\": {:?}, \"bytes\": {}}}", image.kind().name(), image.bytes().len())
}

fn lines(image: &Image, name: &str, form: &Form, out: &mut dyn Write, warn: &mut dyn FnMut(Error)) -> Result<()> {
    let refused = |error| Error::io("cannot write", error);
    if !has_entries(image) {
        let kind = image.kind().name();
        let bytes = image.bytes().len();
        return writeln!(out, "{{\"image\": {name}, \"magic\": {kind:?}, \"bytes\": {bytes}}}").map_err(refused);
    }
    let mut line = Vec::new();
    for entry in image {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                warn(error);
                continue;
            }
        };
        line.clear();
        let magic = image.kind().magic_name();
        line.extend_from_slice(
            format!("{{\"image\": {name}, \"entry\": {}, \"magic\": {magic:?}, \"value\": ", entry.index()).as_bytes(),
        );
        match json::entry(&entry, form, &mut line) {
            Ok(()) => {
                line.extend_from_slice(b"}\n");
                out.write_all(&line).map_err(refused)?;
            }
            Err(error) => warn(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump() -> (tempfile::TempDir, Checkpoint) {
        let work = tempfile::tempdir().unwrap();
        let words = [0x19, 0x43, 0x56, 0x54, 0x12, 0x39, 0x40, 0x51];
        std::fs::write(work.path().join("fs-1.img"), [&words[..], &[4, 0, 0, 0, 8, 1, 16, 2]].concat()).unwrap();
        std::fs::write(work.path().join("fs-2.img"), [&words[..], &[2, 0, 0, 0, 8, 1]].concat()).unwrap();
        std::fs::write(work.path().join("pages-1.img"), "raw").unwrap();
        let dump = Checkpoint::open(work.path()).unwrap();
        (work, dump)
    }

    fn shown(layout: Layout) -> (String, Vec<String>) {
        let (_work, dump) = dump();
        let mut out = Vec::new();
        let mut warnings = Vec::new();
        let images = choose(&dump, &[]).unwrap();
        let images = images.iter().map(|name| Shown { name: name.file.clone(), image: dump.open_image(name) });
        show(images, layout, true, &mut out, &mut |error| {
            warnings.push(error.to_string());
        })
        .unwrap();
        (String::from_utf8(out).unwrap(), warnings)
    }

    #[test]
    fn all_layouts() {
        let (text, warnings) = shown(Layout::Text);
        assert_eq!(
            text,
            "fs-1.img: FS, 1 entry\n{\n    \"magic\": \"FS\",\n    \"entries\": [\n        {\n            \"cwd_id\": 1,\n            \
             \"root_id\": 2\n        }\n    ]\n}\n\nfs-2.img: FS, 1 entry\n{\n    \"magic\": \"FS\",\n    \"entries\": []\n}\n\n\
             pages-1.img: PAGES, 3 bytes\n"
        );
        assert_eq!(
            warnings,
            ["fs-2.img: entry 0: offset 12 (0xc): field root_id: expected required field 2 of fs_entry, found none"]
        );
        let (json, _) = shown(Layout::Json);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["fs-1.img"]["entries"][0]["root_id"], 2);
        assert_eq!(json["pages-1.img"]["bytes"], 3);
        let (lines, warnings) = shown(Layout::Lines);
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((&first["image"], &first["value"]["cwd_id"]), (&"fs-1.img".into(), &1.into()));
        assert_eq!((lines.lines().count(), warnings.len()), (2, 1));
    }

    #[test]
    fn names_of_all_sorts() {
        let (_work, dump) = dump();
        let files = |wanted: &str| -> Vec<&str> {
            choose(&dump, &[wanted.to_owned()]).unwrap().iter().map(|image| image.file.as_str()).collect()
        };
        assert_eq!(files("fs-2.img"), ["fs-2.img"]);
        assert_eq!(files("fs-2"), ["fs-2.img"]);
        assert_eq!(files("fs"), ["fs-1.img", "fs-2.img"]);
        assert!(choose(&dump, &["mm".to_owned()]).is_err());
    }
}
