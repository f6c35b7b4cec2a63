//! The only memory map. ⚠ `unsafe` is allowed here.
//!
//! A map is read as `&[u8]`, which promises that the bytes do not change. No kernel interface can promise that for a
//! file: who writes into it while it is mapped changes what is read (never beyond the map: lengths are checked
//! against it once), and who truncates it makes the next access raise SIGBUS. The program installs
//! [`on_shrunk_file`] and turns that into an ordinary error that names the file; a library user who cannot trust the
//! files to hold still reads them with [`Access::Read`], which copies.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use bytes::Bytes;

use crate::base::name::harmless;
use crate::base::{Error, Result};

/// How files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Map them; small ones are read, which costs less than a map.
    #[default]
    Map,
    /// Read them into memory: for files that may be truncated meanwhile.
    Read,
}

/// A file at most this long is read instead of mapped: a map costs several system calls and a fault.
const SMALL: u64 = 16 << 10;

/// The whole content of `file`, as a map that lives as long as any slice of it.
///
/// Errors: the file cannot be mapped or read.
pub fn content(file: &File, path: &Path, access: Access) -> Result<Bytes> {
    let failed = |what: &'static str, error| Error::io(what, error).in_image(path.to_string_lossy());
    let meta = file.metadata().map_err(|error| failed("cannot ask for its size", error))?;
    if meta.is_dir() {
        return Err(Error::usage("is a directory, expected an image").in_image(path.to_string_lossy()));
    }
    let length = meta.len();
    if length == 0 && meta.is_file() {
        return Ok(Bytes::new());
    }
    if length <= SMALL || access == Access::Read {
        let length = usize::try_from(length).map_err(|_| Error::limit("the file is larger than the address space"))?;
        let mut buffer = vec![0; length];
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("cannot read", error)),
            }
        }
        buffer.truncate(filled);
        return Ok(Bytes::from(buffer));
    }
    let map = Map::new(file, path)?;
    Ok(Bytes::from_owner(map))
}

/// One mapped file, listed while it lives so that a SIGBUS can be traced to its name.
struct Map {
    map: memmap2::Mmap,
    slot: Option<&'static Slot>,
}

impl Map {
    fn new(file: &File, path: &Path) -> Result<Self> {
        // SAFETY: the map is private and read-only. That nobody changes the file is the caller's promise, as the
        // module's documentation says; what a change can do is bounded there.
        let map = unsafe { memmap2::Mmap::map(file) }
            .map_err(|error| Error::io("cannot map", error).in_image(path.to_string_lossy()))?;
        let slot = HANDLER.get().and_then(|_| Slot::take(&map, path));
        Ok(Self { map, slot })
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.release();
        }
    }
}

/// Where one map lies and the name of its file, readable from a signal handler. Chained, never freed, reused.
struct Slot {
    taken: AtomicU32,
    start: AtomicUsize,
    end: AtomicUsize,
    name: AtomicPtr<Vec<u8>>,
    next: AtomicPtr<Slot>,
}

static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

impl Slot {
    fn take(map: &memmap2::Mmap, path: &Path) -> Option<&'static Slot> {
        let slot = Self::free().unwrap_or_else(Self::grow);
        // the handler cannot escape it when it is needed
        let name = harmless(&path.to_string_lossy()).replace('\n', "\\n");
        let name = Box::new(name.into_bytes());
        slot.name.store(Box::into_raw(name), Ordering::Relaxed);
        let start = map.as_ptr().addr();
        slot.end.store(start.saturating_add(map.len()), Ordering::Release);
        slot.start.store(start, Ordering::Release);
        Some(slot)
    }

    fn free() -> Option<&'static Slot> {
        Self::all().find(|slot| slot.taken.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok())
    }

    fn grow() -> &'static Slot {
        let slot: &'static mut Slot = Box::leak(Box::new(Slot {
            taken: AtomicU32::new(1),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            name: AtomicPtr::default(),
            next: AtomicPtr::default(),
        }));
        let slot: &'static Slot = slot;
        let mut head = SLOTS.load(Ordering::Acquire);
        loop {
            slot.next.store(head, Ordering::Relaxed);
            let this = std::ptr::from_ref(slot).cast_mut();
            match SLOTS.compare_exchange(head, this, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return slot,
                Err(other) => head = other,
            }
        }
    }

    fn all() -> impl Iterator<Item = &'static Slot> {
        let mut next = SLOTS.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            // SAFETY: the chain holds only slots leaked by `grow`, which live for ever and are shared from then on.
            let slot = unsafe { next.as_ref() }?;
            next = slot.next.load(Ordering::Acquire);
            Some(slot)
        })
    }

    /// Whether the map listed here has this address; asked in a handler, while slots may be released and taken again.
    fn contains(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::Acquire);
        let end = self.end.load(Ordering::Acquire);
        // the start is written last and taken back first: if it is still the same, the end belonged to it, and not to
        // the next map in this slot
        start != 0 && (start..end).contains(&address) && self.start.load(Ordering::Acquire) == start
    }

    fn release(&self) {
        self.start.store(0, Ordering::Release);
        self.end.store(0, Ordering::Release);
        let name = self.name.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !name.is_null() {
            // SAFETY: the pointer came from `Box::into_raw` in `take`, and the swap made this its only owner. A handler
            // that runs in another thread just now takes only the name of the map that its thread touches; who
            // touches a map keeps it from being dropped, so that is another map's slot than this one.
            drop(unsafe { Box::from_raw(name) });
        }
        self.taken.store(0, Ordering::Release);
    }
}

static HANDLER: OnceLock<i32> = OnceLock::new();

/// Makes the process end with `status` and a message that names the file, when a mapped file shrinks while it is
/// read. For programs; call it once, before anything is mapped. Output that goes through
/// [`Sink`](crate::base::sink::Sink) leaves nothing half-written behind.
pub fn on_shrunk_file(status: i32) {
    if HANDLER.set(status).is_err() {
        return;
    }
    // SAFETY: all zeros is a valid sigaction: no flags, empty mask, default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = handle;
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: `action` is initialised and `handle` has the signature that SA_SIGINFO asks for and calls only what is
    // safe in a handler.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) };
}

extern "C" fn handle(_signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo.
    let info = unsafe { info.as_ref() };
    let address = info.map_or(0, |info| {
        // SAFETY: SIGBUS is a fault, whose siginfo has an address.
        unsafe { info.si_addr() }.addr()
    });
    let status = HANDLER.get().copied().unwrap_or(2);
    for slot in Slot::all() {
        if slot.contains(address) {
            // SAFETY: the map is live, since something in it was just touched, so its name is not yet released.
            let name = unsafe { slot.name.load(Ordering::Acquire).as_ref() };
            say(b"icecore: ");
            say(name.map_or(b"a mapped file", |name| name.as_slice()));
            say(
                b": the file shrank or could not be read while it was mapped (read it from a copy, or with --no-map)\n",
            );
            // SAFETY: ends the process at once, as a handler may.
            unsafe { libc::_exit(status) };
        }
    }
    // SAFETY: not about one of our maps; the default action, when the access is repeated, is right.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}

fn say(text: &[u8]) {
    // SAFETY: the buffer is as long as said; write may be called in a handler, and a failure cannot be reported.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn both_ways_of_access_give_the_same_bytes() {
        for length in [0, 1, 4096, SMALL + 1, 100_000] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let data: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            file.write_all(&data).unwrap();
            for access in [Access::Map, Access::Read] {
                assert_eq!(content(file.as_file(), file.path(), access).unwrap(), data);
            }
        }
    }

    #[test]
    fn a_slice_keeps_the_map_alive() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7; 100_000]).unwrap();
        let bytes = content(file.as_file(), file.path(), Access::Map).unwrap();
        let slice = bytes.slice(99_000..99_010);
        let inside = bytes.as_ptr_range();
        assert!(inside.contains(&slice.as_ptr()), "a slice is no copy");
        drop(bytes);
        drop(file);
        assert_eq!(&slice[..], &[7; 10]);
    }
}
