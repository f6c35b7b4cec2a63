//! The README's ten lines: tasks, one entry, all entries in parallel.
#![allow(clippy::print_stdout)]

fn main() -> icecore::Result<()> {
    use icecore::{Checkpoint, Kind, memory::Page, v1::FileEntry};
    use rayon::iter::ParallelIterator;

    let dump = Checkpoint::open("tests/data/tree")?;
    for task in dump.tasks()? {
        println!("{} has {} descriptors", task.pid(), task.fds()?.items.len());
    }
    if let Page::Stored(bytes) = dump.task(100)?.address_space()?.expect("it lives").page(0x4c2000)? {
        println!("{:02x?}", &bytes[..8]); // a slice of the map, from this dump or one it is an increment of
    }
    let files = dump.image(Kind::Files)?; // mapped; nothing is decoded
    println!("{:?}", files.get(17)?.decode::<FileEntry>()?); // one entry; its bytes are slices of the map
    let is_regular = |entry: icecore::Result<icecore::Entry<'_>>| Ok(entry?.decode::<FileEntry>()?.reg.is_some());
    let regular: Vec<bool> = files.par_iter().map(is_regular).collect::<icecore::Result<_>>()?;
    println!("{} of {} are regular files", regular.iter().filter(|&&is| is).count(), files.len());
    Ok(())
}
