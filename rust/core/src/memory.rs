//! Memory that runs out: large buffers whose allocation is an error, and an allocator with a reserve for the small ones.
//!
//! Rust ends the process where an allocation fails that its code does not check. Buffers whose size follows from the data
//! are therefore made by [`filled`] or announced by [`require`]. For all others the binding installs [`Reserve`]: when
//! the system has nothing left, it gives up a block that it has kept, so that running work can be ended in order, and
//! makes [`Control::is_cancelled`](crate::control::Control::is_cancelled) true.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::error::{Error, Result};

/// `n` copies of `value`.
///
/// # Errors
/// [`Error::Memory`].
pub fn filled<T: Clone>(value: T, n: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(n).map_err(|_| missing::<T>(n))?;
    values.resize(n, value);
    Ok(values)
}

/// Makes room for `n` values in all in a buffer that is used again and again.
///
/// # Errors
/// [`Error::Memory`].
pub fn reserve<T>(buffer: &mut Vec<T>, n: usize) -> Result<()> {
    buffer.try_reserve(n.saturating_sub(buffer.len())).map_err(|_| missing::<T>(n))
}

/// Checks that memory has room for `n_bytes` bytes now, before code that cannot report that it has not.
///
/// # Errors
/// [`Error::Memory`].
pub fn require(n_bytes: usize) -> Result<()> {
    let mut room = Vec::<u8>::new();
    let reserved = room.try_reserve_exact(n_bytes).map_err(|_| missing::<u8>(n_bytes));
    // The compiler may otherwise leave out an allocation that nothing uses, and take it to succeed.
    black_box(&room);
    reserved
}

/// Checks that the system has address space for `n_bytes` more bytes, which a new thread needs even where blocks of the heap
/// are free: the C library ends the process where a thread finds no room for its own variables.
///
/// # Errors
/// [`Error::Memory`].
#[cfg(unix)]
pub fn require_space(n_bytes: usize) -> Result<()> {
    // SAFETY: a new private mapping that nothing refers to, of a size that the call below gives back whole.
    let space = unsafe {
        libc::mmap(ptr::null_mut(), n_bytes, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if space == libc::MAP_FAILED {
        return Err(missing::<u8>(n_bytes));
    }
    // SAFETY: the mapping made above, and nobody else knows of it.
    unsafe { libc::munmap(space, n_bytes) };
    Ok(())
}

/// Checks that there is memory for `n_bytes` more bytes.
///
/// # Errors
/// [`Error::Memory`].
#[cfg(not(unix))]
pub fn require_space(n_bytes: usize) -> Result<()> {
    require(n_bytes)
}

fn missing<T>(n: usize) -> Error {
    Error::Memory { n_bytes: n.saturating_mul(size_of::<T>()) }
}

/// Bytes that are kept: more than the memory allocator of the C library would hold back when they are given up.
const RESERVE_BYTES: usize = 48 << 20;
const RESERVE: Layout = match Layout::from_size_align(RESERVE_BYTES, 16) {
    Ok(layout) => layout,
    Err(_) => Layout::new::<u8>(),
};

static KEPT: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static IS_SHORT: AtomicBool = AtomicBool::new(false);

/// Whether the reserve was given up since the last call of [`restore`].
#[must_use]
pub fn is_short() -> bool {
    IS_SHORT.load(Ordering::Relaxed)
}

/// Sets the reserve aside, at first or again, and forgets that memory was short.
///
/// It is address space only: nothing is written to it.
///
/// # Errors
/// [`Error::Memory`] where it was given up and there is still no room for it: work that begins now could not be ended in
/// order.
pub fn restore() -> Result<()> {
    if KEPT.load(Ordering::Relaxed).is_null() {
        // SAFETY: the layout has a size that is not zero.
        let kept = unsafe { System.alloc(RESERVE) };
        if kept.is_null() {
            return if is_short() { Err(Error::Memory { n_bytes: RESERVE_BYTES }) } else { Ok(()) };
        }
        let others = KEPT.compare_exchange(ptr::null_mut(), kept, Ordering::AcqRel, Ordering::Relaxed);
        if others.is_err() {
            // SAFETY: another thread was faster; this block is from the same allocator and was given to nobody.
            unsafe { System.dealloc(kept, RESERVE) };
        }
    }
    IS_SHORT.store(false, Ordering::Relaxed);
    Ok(())
}

/// Gives up the reserve, so that its memory can be used by what is running.
fn give_up() {
    IS_SHORT.store(true, Ordering::Relaxed);
    let kept = KEPT.swap(ptr::null_mut(), Ordering::AcqRel);
    if !kept.is_null() {
        // SAFETY: the block was allocated with this layout, and the swap has made this thread its only owner.
        unsafe { System.dealloc(kept, RESERVE) };
    }
}

/// The allocator of the system, with a reserve for requests that are smaller than it.
#[derive(Debug)]
pub struct Reserve;

impl Reserve {
    fn or_reserve(size: usize, allocate: impl Fn() -> *mut u8) -> *mut u8 {
        let block = allocate();
        if !block.is_null() || size >= RESERVE_BYTES {
            return block;
        }
        give_up();
        allocate()
    }
}

// SAFETY: every block comes from `System` and goes back to it with the layout that the caller gave.
unsafe impl GlobalAlloc for Reserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of this function, which is that of `System`.
        Self::or_reserve(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        Self::or_reserve(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`; a block stays valid where its reallocation fails, so that it can be tried again.
        Self::or_reserve(new_size, || unsafe { System.realloc(block, layout, new_size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_cannot_be_are_errors() {
        assert!(matches!(filled(0.0, usize::MAX / 16), Err(Error::Memory { .. })));
        assert!(matches!(filled(0.0, usize::MAX), Err(Error::Memory { .. })));
        assert!(matches!(require(isize::MAX as usize), Err(Error::Memory { .. })));
        assert!(matches!(require_space(isize::MAX as usize), Err(Error::Memory { .. })));
        assert!(require_space(1 << 20).is_ok());
        assert_eq!(filled(1_u8, 3).unwrap(), [1, 1, 1]);
    }

    #[test]
    fn the_reserve_is_given_up_once_and_restored() {
        restore().unwrap();
        assert!(!KEPT.load(Ordering::Relaxed).is_null());
        give_up();
        assert!(is_short() && KEPT.load(Ordering::Relaxed).is_null());
        give_up();
        restore().unwrap();
        assert!(!is_short());
    }
}
