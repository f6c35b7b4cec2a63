//! The README's ten lines: tasks, one entry, all entries in parallel.
#![allow(clippy::print_stdout)]

fn main() -> icecore::Result<()> {
    use icecore::{Checkpoint, Kind, memory::Page, v1::FileEntry};
    use rayon::iter::ParallelIterator;

    let dump = Checkpoint::open("tests/data/tree")?;
    for task in dump.tasks()? {
        println!("{} has {} descriptors", task.pid(), task.fds()?.items.len());
    }
    let memory = dump.task(100)?.address_space()?; // no zombie has one
    if let Some(Page::Stored(bytes)) = memory.as_ref().map(|memory| memory.page(0x4c_2000)).transpose()? {
        println!("{:02x?}", bytes.first_chunk::<8>()); // a slice of the map, through all parents
    }
    let files = dump.image(Kind::Files)?; // mapped; nothing is decoded
    println!("{:?}", files.get(17)?.decode::<FileEntry>()?); // one entry; its bytes are slices of the map
    let is_regular = |entry: icecore::Result<icecore::Entry<'_>>| Ok(entry?.decode::<FileEntry>()?.reg.is_some());
    let regular: Vec<bool> = files.par_iter().map(is_regular).collect::<icecore::Result<_>>()?;
    println!("{} of {} are regular files", regular.iter().filter(|&&is| is).count(), files.len());
    Ok(())
}
