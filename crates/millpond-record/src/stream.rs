//! Streams: sequences of records that one thread at a time writes.
//!
//! The window of a stream is mapped from a file, and records are written first and counted afterwards, so nothing is
//! lost if the process is killed at any instruction. A full window is written out and reused. That is two to four times
//! cheaper per event than mapping new parts of a large file, because the pages of the window stay in the page table and
//! in the processor's cache.

use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use millpond_trace::raw::{CALLERS, Kind, Record, UNIT, Window, caller_index};

use crate::clock::ticks;

/// Max records per event: two marks (a new thread, and a clock that is behind), a caller, an extra and the event
/// itself.
const MOST: u32 = 5;

/// Bytes of memory in the window of a new stream. Most processes and threads need no more.
pub(crate) const FIRST: usize = 4096;

/// One event.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    pub(crate) address: usize,
    pub(crate) size: usize,
    /// 0: default.
    pub(crate) align: usize,
    pub(crate) caller: usize,
}

/// A stream, in memory that is all zeros in a child of `fork`: there, the stream is full and has no window.
#[repr(C)]
pub(crate) struct Stream {
    /// The window to which records are written.
    window: *mut Window,
    /// Number of records in the window; the window's own count is updated afterwards.
    used: u32,
    /// Number of records for which the window has memory.
    capacity: u32,
    /// The time to which times of records are relative.
    base: u64,
    /// The thread of the events since the last mark.
    thread: u32,
    /// The number of the stream in the process.
    pub(crate) number: u32,
    /// Whether a thread uses the stream.
    pub(crate) taken: AtomicU32,
    /// The stream that was created before this one.
    pub(crate) next: AtomicPtr<Stream>,
    /// The callers that the reader knows, by index.
    callers: [u64; CALLERS],
}

impl Stream {
    /// Sets the window of a new stream: `FIRST` bytes of memory, all zeros.
    ///
    /// # Safety
    ///
    /// The window must stay mapped, and only this stream may use it.
    pub(crate) unsafe fn set_window(&mut self, window: *mut Window) {
        self.window = window;
        // SAFETY: the caller guarantees that the window is mapped and used only by this stream.
        unsafe {
            (*window).stream.store(self.number, Ordering::Relaxed);
            (*window).valid.store(1, Ordering::Relaxed);
        }
        self.set_memory(FIRST);
    }

    /// Sets the number of bytes of memory in the window.
    pub(crate) fn set_memory(&mut self, bytes: usize) {
        self.capacity = ((bytes - size_of::<Window>()) / size_of::<Record>()) as u32;
    }

    /// Returns the number of bytes of memory in the window.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Window>() + self.capacity as usize * size_of::<Record>()
    }

    /// Returns the contents of the window for writing out: its start, and the number of bytes in use.
    pub(crate) fn contents(&self) -> (*const u8, usize) {
        (self.window.cast(), size_of::<Window>() + self.used as usize * size_of::<Record>())
    }

    /// Returns whether the stream has lost its window by a `fork`.
    pub(crate) fn is_lost(&self) -> bool {
        self.window.is_null()
    }

    /// Returns whether there is room for any event.
    pub(crate) fn has_room(&self) -> bool {
        self.capacity - self.used >= MOST
    }

    /// Returns whether the window has its max size.
    pub(crate) fn is_grown(&self) -> bool {
        self.memory() >= UNIT
    }

    /// Logs an event that takes one record; if it takes more, or there is no room, does nothing and returns `false`.
    #[inline(always)]
    pub(crate) fn log(&mut self, kind: Kind, address: usize, size: usize, caller: usize) -> bool {
        let index = caller_index(caller as u64);
        // SAFETY: `index` is below the length of the table.
        let known = unsafe { *self.callers.get_unchecked(index) };
        if self.used >= self.capacity || known != caller as u64 {
            return false;
        }
        let offset = ticks().wrapping_sub(self.base);
        if (offset | size as u64) >> 32 != 0 {
            return false;
        }
        // SAFETY: there is room for one record, as checked above.
        unsafe { self.put(Record::event(kind, address as u64, index, offset as u32, size as u32)) };
        self.publish();
        true
    }

    /// Logs any event.
    ///
    /// # Safety
    ///
    /// The stream must have room for any event.
    pub(crate) unsafe fn log_any(&mut self, event: &Event) {
        let now = ticks();
        let mut offset = now.wrapping_sub(self.base);
        let index = caller_index(event.caller as u64);
        // SAFETY: there is room for five records; `index` is below the length of the table.
        unsafe {
            if self.used == 0 || offset >> 32 != 0 {
                offset = 0;
                self.base = now;
                self.put(Record::mark(self.thread, now));
            }
            let known = self.callers.get_unchecked_mut(index);
            if *known != event.caller as u64 {
                *known = event.caller as u64;
                self.put(Record::caller(event.caller as u64));
            }
            if event.align != 0 || event.size as u64 >> 32 != 0 {
                let align = event.align.min(1 << 31) as u32;
                self.put(Record::extra(align, event.size as u64));
            }
            let address = event.address as u64;
            self.put(Record::event(event.kind, address, index, offset as u32, event.size as u32));
        }
        self.publish();
    }

    /// Hands the stream to this thread: later events are of this thread.
    ///
    /// # Safety
    ///
    /// The stream must have room for any event.
    pub(crate) unsafe fn hand_to(&mut self, thread: u32) {
        self.thread = thread;
        if self.used != 0 {
            self.base = ticks();
            // SAFETY: the caller guarantees that there is room.
            unsafe { self.put(Record::mark(thread, self.base)) };
            self.publish();
        }
    }

    /// Empties the window after it was written out.
    pub(crate) fn start_anew(&mut self) {
        self.used = 0;
        self.publish();
        // SAFETY: a stream with records has a window.
        unsafe { (*self.window).sequence.fetch_add(1, Ordering::Release) };
    }

    /// Writes a record without counting it yet.
    ///
    /// # Safety
    ///
    /// The stream must have room for the record.
    #[inline(always)]
    unsafe fn put(&mut self, record: Record) {
        // SAFETY: `used < capacity`, so the place is within the window's memory, which only this stream uses.
        unsafe { self.window.add(1).cast::<Record>().add(self.used as usize).write(record) };
        self.used += 1;
    }

    /// Counts all records written so far.
    #[inline(always)]
    fn publish(&mut self) {
        // SAFETY: a stream with records has a window.
        unsafe { (*self.window).used.store(self.used, Ordering::Release) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millpond_trace::raw::Decoded;
    use std::{boxed::Box, vec::Vec};

    /// Memory for a window, aligned like mapped memory.
    #[repr(C, align(4096))]
    struct Memory([u8; UNIT]);

    fn stream(memory: &mut Memory) -> Box<Stream> {
        // SAFETY: a new stream is all zeros.
        let mut stream: Box<Stream> = unsafe { Box::new(core::mem::zeroed()) };
        // SAFETY: only this test uses the memory, which outlives the stream.
        unsafe { stream.set_window((&raw mut *memory).cast()) };
        stream
    }

    fn records(memory: &Memory) -> Vec<Decoded> {
        let used = Window::from_bytes(&memory.0).unwrap().used.into_inner() as usize;
        let bytes = memory.0[size_of::<Window>()..].chunks_exact(16).take(used);
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
        bytes.map(|bytes| Record([word(&bytes[..8]), word(&bytes[8..])]).decode().unwrap()).collect()
    }

    const EVENT: Event = Event { kind: Kind::Allocate, address: 0x1000, size: 24, align: 0, caller: 0x77 };

    #[test]
    fn a_first_event_brings_mark_and_caller_and_the_next_does_not() {
        let mut memory = Box::new(Memory([0; UNIT]));
        let mut stream = stream(&mut memory);
        assert!(!stream.log(Kind::Allocate, 0x1000, 24, 0x77), "no mark, no caller");
        // SAFETY: the window is empty.
        unsafe { stream.log_any(&EVENT) };
        assert!(stream.log(Kind::Free, 0x1000, 0, 0x77));
        assert!(!stream.log(Kind::Free, 0x1000, 1 << 32, 0x77), "too large for a plain event");
        let records = records(&memory);
        assert!(matches!(records[0], Decoded::Mark { thread: 0, .. }));
        assert_eq!(records[1], Decoded::Caller { address: 0x77 });
        assert!(matches!(
            records[2],
            Decoded::Event { kind: Kind::Allocate, address: 0x1000, size: 24, offset: 0, .. }
        ));
        assert!(matches!(records[3], Decoded::Event { kind: Kind::Free, address: 0x1000, size: 0, .. }));
        assert_eq!(records.len(), 4);
    }

    #[test]
    fn alignment_and_large_sizes_go_before_the_event() {
        let mut memory = Box::new(Memory([0; UNIT]));
        let mut stream = stream(&mut memory);
        // SAFETY: the window is empty.
        unsafe { stream.log_any(&Event { align: 4096, size: 5 << 32, ..EVENT }) };
        assert_eq!(records(&memory)[2], Decoded::Extra { align: 4096, size: 5 << 32 });
        assert_eq!(records(&memory).len(), 4);
    }

    #[test]
    fn a_full_window_takes_nothing_and_starts_anew() {
        let mut memory = Box::new(Memory([0; UNIT]));
        let mut stream = stream(&mut memory);
        // SAFETY: the window is empty.
        unsafe { stream.log_any(&EVENT) };
        let mut count = 3;
        while stream.log(Kind::Free, 0x1000, 0, 0x77) {
            count += 1;
        }
        assert_eq!(count, (FIRST - size_of::<Window>()) / 16);
        assert!(!stream.has_room() && !stream.is_grown());
        stream.set_memory(UNIT);
        assert!(stream.has_room() && stream.is_grown());
        stream.start_anew();
        assert_eq!(records(&memory).len(), 0);
        assert_eq!(Window::from_bytes(&memory.0).unwrap().sequence.into_inner(), 1);
        // SAFETY: the window is empty.
        unsafe { stream.log_any(&EVENT) };
        assert!(matches!(records(&memory)[0], Decoded::Mark { .. }), "every unit begins with a mark");
        assert_eq!(records(&memory).len(), 2, "the caller is known already");
    }

    #[test]
    fn a_stream_says_when_it_changes_hands() {
        let mut memory = Box::new(Memory([0; UNIT]));
        let mut stream = stream(&mut memory);
        // SAFETY: the window is empty.
        unsafe {
            stream.hand_to(3);
            stream.log_any(&EVENT);
            stream.hand_to(4);
            stream.log_any(&EVENT);
        }
        let threads: Vec<u32> = records(&memory)
            .iter()
            .filter_map(|record| match record {
                Decoded::Mark { thread, .. } => Some(*thread),
                _ => None,
            })
            .collect();
        assert_eq!(threads, [3, 4]);
    }
}
