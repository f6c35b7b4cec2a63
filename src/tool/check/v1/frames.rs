//! The points about files and framing: their names, how they are made up, what stands at their beginning.

use crate::tool::check::v1::survey::Survey;
use crate::tool::check::v1::wish::Wish;

pub(super) fn wishes(survey: &Survey<'_>) -> [Wish; 3] {
    let frames = &survey.frames;
    let names = Wish::new(16, "the extension is .img")
        .here(format!("{} of {} files", frames.dot_img, frames.images))
        .version2(".criu")
        .count("files", frames.images)
        .count("dot_img", frames.dot_img);
    let all: Vec<&str> = frames.shapes.iter().copied().collect();
    let shapes = Wish::new(18, "the structure is not natural: each kind needs a reader of its own")
        .here(format!("{} shapes: {}", all.len(), all.join("; ")))
        .version2("one: headers, with messages, arrays or lists of messages behind them")
        .count("shapes", all.len() as u64);
    let framing = frames.magic_bytes.saturating_add(frames.size_bytes);
    let here = format!(
        "{} magics, {} files without any; {} bytes of magics, {} of sizes of {} entries; no length, count or checksum",
        frames.magics.len(),
        frames.raw,
        frames.magic_bytes,
        frames.size_bytes,
        frames.entries
    );
    let headers = survey.v2.as_ref().map(|records| records.headers);
    let answer = match &survey.v2 {
        Some(records) => format!("one magic, one header; {} records, counted and summed", records.records),
        None => "one magic, one header, which counts and sums".to_owned(),
    };
    let magics = Wish::new(20, "too many magics, and no common header")
        .here(here)
        .bytes(framing, headers)
        .version2(answer)
        .count("magics", frames.magics.len() as u64)
        .count("raw_files", frames.raw)
        .count("magic_bytes", frames.magic_bytes)
        .count("size_bytes", frames.size_bytes)
        .count("entries", frames.entries);
    [names, shapes, magics]
}
