//! A global allocator that counts: how much is allocated now and was at most, and how often this thread allocated.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

pub struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ALONE: Mutex<()> = Mutex::new(());

/// What is counted is what the whole process allocates: one test at a time, while it holds this.
pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

thread_local! {
    static TIMES: Cell<usize> = const { Cell::new(0) };
}

fn took(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
    let _ = TIMES.try_with(|times| times.set(times.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator as it came; counting touches none of the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promises are those that System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promises are those that System asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the memory came from System, through `alloc`, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // what is copied from may live until the copy is made
        took(size);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the memory came from System, through `alloc`, with this layout.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// How often this thread allocated while it did `work`.
pub fn times<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = TIMES.get();
    let done = work();
    (TIMES.get() - before, done)
}

/// Bytes allocated at most, by all threads, beyond what there was when `work` began.
pub fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let done = work();
    (PEAK.load(Ordering::Relaxed).saturating_sub(before), done)
}
