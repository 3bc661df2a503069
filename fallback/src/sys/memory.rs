//! Memory for a process that says what it lacks when there is none left.
//! It must not say it itself, nor decide how the process ends.
#![expect(unsafe_code, reason = "an allocator is made of unsafe calls")]

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's memory. Where it gives none, the process ends as its maker says, instead of being aborted.
#[derive(Debug)]
pub struct Memory {
    exhausted: fn() -> !,
}

impl Memory {
    /// Memory for a process that ends by `exhausted`, which must not allocate anything.
    pub const fn new(exhausted: fn() -> !) -> Self {
        Self { exhausted }
    }

    fn given(&self, memory: *mut u8) -> *mut u8 {
        if memory.is_null() { (self.exhausted)() } else { memory }
    }
}

// SAFETY: every call is passed on as it came to the system's allocator, whose contract is this one; what it gives is handed
// out unchanged.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the contract, which is the same.
        self.given(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above; the memory came from there.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; the memory came from there.
        self.given(unsafe { System.realloc(memory, layout, size) })
    }
}
