//! Writes streams, without allocating: the recorder does so in the recorded program.
//!
//! The window of a stream is mapped from a file, and records are written first and counted afterwards, so nothing is
//! lost if the process is killed at any instruction. A full window is written out and reused. That is two to four times
//! cheaper per event than mapping new parts of a large file, because the pages of the window stay in the page table and
//! in the processor's cache.

use core::{
    ffi::c_void,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence},
};

use super::{
    CALLERS, Kind, NOTE, NoteKind, RECORDS_FOLLOW, Record, UNIT, Window, caller_index, record::TEXT,
};

/// Max records that are written at once: for a note, a mark, the note and the parts of its text; for an event, which needs
/// fewer, a mark, a caller, an extra, its usable bytes and the event itself.
const MOST: u32 = 2 + (NOTE / TEXT) as u32;

/// Bytes of memory in the window of a new stream. Most processes and threads need no more.
pub const FIRST: usize = 4096;

/// A call that is logged as one event.
#[derive(Clone, Copy, Debug)]
pub struct LoggedCall {
    /// What was called.
    pub kind: Kind,
    /// The address of the block.
    pub address: usize,
    /// The usable bytes of the block; 0: unknown.
    pub usable: usize,
    /// The size that was requested.
    pub size: usize,
    /// The alignment that was requested; 0: default.
    pub align: usize,
    /// An address in the code of the caller, or a stack: see `caller_of_stack`.
    pub caller: usize,
}

/// Writes one stream. All zeros are a valid value: a stream that is full and has no window. The recorder's memory for
/// streams is all zeros again in a child of `fork`.
#[repr(C)]
#[derive(Debug)]
pub struct StreamWriter {
    /// The window to which records are written.
    window: *mut Window,
    /// Number of records in the window; the window's own count is updated afterwards.
    used: u32,
    /// Number of records up to which [`Self::log`] may write: the capacity, or 0 if it must not read the clock.
    quick: AtomicU32,
    /// Number of records for which the window has memory.
    capacity: u32,
    /// The time to which times of records are relative.
    base: u64,
    /// The thread of the events since the last mark.
    thread: u32,
    /// The number of the stream in the process.
    pub number: u32,
    /// Whether a thread uses the stream.
    pub taken: AtomicU32,
    /// The stream that was created before this one.
    pub next: AtomicPtr<StreamWriter>,
    /// Memory that the recorder keeps with the stream, for the thread that uses it.
    pub companion: AtomicPtr<c_void>,
    /// The callers that the reader knows, by index.
    callers: [u64; CALLERS],
}

impl Default for StreamWriter {
    fn default() -> Self {
        Self {
            window: null_mut(),
            used: 0,
            quick: AtomicU32::new(0),
            capacity: 0,
            base: 0,
            thread: 0,
            number: 0,
            taken: AtomicU32::new(0),
            next: AtomicPtr::new(null_mut()),
            companion: AtomicPtr::new(null_mut()),
            callers: [0; CALLERS],
        }
    }
}

impl StreamWriter {
    /// Sets the window of a new stream: `memory` bytes, all zeros.
    ///
    /// # Safety
    ///
    /// The window must stay mapped, and only this stream may use it.
    pub unsafe fn set_window(&mut self, window: *mut Window, memory: usize) {
        self.window = window;
        // SAFETY: the caller guarantees that the window is mapped and used only by this stream.
        unsafe {
            (*window).stream.store(self.number, Ordering::Relaxed);
            (*window).valid.store(RECORDS_FOLLOW, Ordering::Relaxed);
        }
        self.set_memory(memory);
    }

    /// Leaves the full window as it is, as one unit, and continues with the next sequence number in another window of
    /// [`UNIT`] bytes, all zeros. The next call must be logged by [`Self::log_any`], so that the unit begins with a mark.
    ///
    /// # Safety
    ///
    /// As for [`Self::set_window`].
    pub unsafe fn continue_in(&mut self, window: *mut Window) {
        // SAFETY: the caller guarantees the same for the new window; a stream with records has one.
        unsafe {
            let sequence = (*self.window).sequence.load(Ordering::Relaxed) + 1;
            (*window).sequence.store(sequence, Ordering::Relaxed);
            self.used = 0;
            self.set_window(window, UNIT);
        }
    }

    /// Sets the number of bytes of memory in the window.
    pub fn set_memory(&mut self, bytes: usize) {
        let (is_new, quick) = (self.capacity == 0, self.quick.load(Ordering::Relaxed));
        self.capacity = ((bytes - size_of::<Window>()) / size_of::<Record>()) as u32;
        if is_new || quick != 0 {
            let (relaxed, capacity) = (Ordering::Relaxed, self.capacity);
            // If this fails, another thread has called `decline` meanwhile.
            let _ = self.quick.compare_exchange(quick, capacity, relaxed, relaxed);
        }
    }

    /// Makes [`Self::log`] decline all calls, because it would read a clock that must not be read, or because there is more
    /// to log. Any thread may call this, not only the one that writes the stream.
    pub fn decline(&self) {
        self.quick.store(0, Ordering::Relaxed);
    }

    /// Returns the number of bytes of memory in the window.
    pub fn memory(&self) -> usize {
        size_of::<Window>() + self.capacity as usize * size_of::<Record>()
    }

    /// Returns the contents of the window for writing out: its start, and the number of bytes in use.
    pub fn contents(&self) -> (*const u8, usize) {
        (self.window.cast(), size_of::<Window>() + self.used as usize * size_of::<Record>())
    }

    /// Returns whether the stream has lost its window by a `fork`.
    pub fn is_lost(&self) -> bool {
        self.window.is_null()
    }

    /// Returns whether there is room for any event.
    pub fn has_room(&self) -> bool {
        self.capacity - self.used >= MOST
    }

    /// Returns whether the window has its max size.
    pub fn is_grown(&self) -> bool {
        self.memory() >= UNIT
    }

    /// Logs a call that takes one record; if it takes more, or there is no room, does nothing and returns `false`.
    /// `ticks` reads the clock.
    #[inline(always)]
    pub fn log(
        &mut self,
        kind: Kind,
        address: usize,
        size: usize,
        caller: usize,
        ticks: impl FnOnce() -> u64,
    ) -> bool {
        let index = caller_index(caller as u64);
        // SAFETY: `index` is below the length of the table.
        let known = unsafe { *self.callers.get_unchecked(index) };
        let (used, window) = (self.used, self.window);
        if used >= self.quick.load(Ordering::Relaxed) || known != caller as u64 {
            return false;
        }
        let offset = ticks().wrapping_sub(self.base);
        if (offset | size as u64) >> 32 != 0 {
            return false;
        }
        let record = Record::event(kind, address as u64, index, offset as u32, size as u32);
        self.used = used + 1;
        // SAFETY: there is room for one record, as checked above, and the window is that of this stream.
        unsafe {
            window.add(1).cast::<Record>().add(used as usize).write(record);
            (*window).used.store(used + 1, Ordering::Release);
        }
        true
    }

    /// Logs any call.
    ///
    /// # Safety
    ///
    /// The stream must have room for any event.
    pub unsafe fn log_any(&mut self, call: &LoggedCall, now: u64) {
        let mut offset = now.wrapping_sub(self.base);
        let index = caller_index(call.caller as u64);
        // SAFETY: there is room for `MOST` records, and at most five are written; `index` is below the length of the
        // table.
        unsafe {
            if self.used == 0 || offset >> 32 != 0 {
                offset = 0;
                self.base = now;
                self.put(Record::mark(self.thread, now));
            }
            let known = self.callers.get_unchecked_mut(index);
            if *known != call.caller as u64 {
                *known = call.caller as u64;
                self.put(Record::caller(call.caller as u64));
            }
            if call.align != 0 || call.size as u64 >> 32 != 0 {
                let align = call.align.min(1 << 31) as u32;
                self.put(Record::extra(align, call.size as u64));
            }
            if call.usable != 0 {
                self.put(Record::usable(call.usable as u64));
            }
            let address = call.address as u64;
            self.put(Record::event(call.kind, address, index, offset as u32, call.size as u32));
        }
        self.publish();
    }

    /// Hands the stream to this thread: later events are of this thread. `now` is the time.
    ///
    /// # Safety
    ///
    /// The stream must have room for any event.
    pub unsafe fn hand_to(&mut self, thread: u32, now: u64) {
        self.thread = thread;
        if self.used != 0 {
            self.base = now;
            // SAFETY: the caller guarantees that there is room.
            unsafe { self.put(Record::mark(thread, self.base)) };
            self.publish();
        }
    }

    /// Logs a note about the thread, with as much of the text as fits.
    ///
    /// # Safety
    ///
    /// The stream must have room for any event.
    pub unsafe fn note(&mut self, kind: NoteKind, number: u32, text: &[u8], now: u64) {
        let text = text.get(..NOTE).unwrap_or(text);
        // SAFETY: there is room for `MOST` records: a mark, the note and its text.
        unsafe {
            if self.used == 0 {
                self.base = now;
                self.put(Record::mark(self.thread, now));
            }
            self.put(Record::note(kind, number, text.len() as u8, now));
            for part in text.chunks(TEXT) {
                self.put(Record::text(part));
            }
        }
        self.publish();
    }

    /// Empties the window after it was written out. The next call must be logged by [`Self::log_any`], so that the unit
    /// begins with a mark.
    pub fn start_anew(&mut self) {
        self.used = 0;
        self.publish();
        // SAFETY: a stream with records has a window.
        unsafe { (*self.window).sequence.fetch_add(1, Ordering::Release) };
        // A reader that sees a later record also sees that the unit is another.
        fence(Ordering::Release);
    }

    /// Writes a record without counting it yet.
    ///
    /// # Safety
    ///
    /// The stream must have room for the record.
    #[inline(always)]
    unsafe fn put(&mut self, record: Record) {
        // SAFETY: the caller guarantees `used < capacity`, so the place is within the window's memory, which only this stream uses.
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
