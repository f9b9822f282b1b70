//! What was written is read once, whenever it is looked for.

use super::{super::*, *};
use std::{boxed::Box, fs, vec::Vec};

/// A process image with one stream, whose window is in memory until it is copied to the file.
struct Image {
    folder: tempfile::TempDir,
    window: Box<Aligned>,
    stream: Box<StreamWriter>,
    units: u64,
    time: u64,
}

#[repr(C, align(4096))]
struct Aligned([u8; UNIT]);

impl Image {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("live")).unwrap();
        let (mut window, mut stream) = (Box::new(Aligned([0; UNIT])), Box::<StreamWriter>::default());
        // SAFETY: only this stream uses the memory, which lives as long.
        unsafe { stream.set_window((&raw mut *window).cast(), UNIT) };
        Self { folder, window, stream, units: 0, time: 0 }
    }

    fn file(&self, name: &str) -> File {
        let path = self.folder.path().join(name);
        File::options().write(true).create(true).truncate(false).open(path).unwrap()
    }

    /// Logs events at the next times.
    fn log(&mut self, count: usize) {
        for _ in 0..count {
            if !self.stream.has_room() {
                self.file("3").write_all_at(&self.window.0, self.units * UNIT as u64).unwrap();
                self.units += 1;
                self.stream.start_anew();
            }
            self.time += 1;
            let (kind, address) = (Kind::Allocate, self.time as usize * 16);
            let call = LoggedCall { kind, address, usable: 0, size: 8, align: 0, caller: 7 };
            // SAFETY: there is room.
            unsafe { self.stream.log_any(&call, self.time) };
        }
    }

    /// Makes what is in the window visible.
    fn show(&self) {
        self.file("live/3").write_all_at(&self.window.0, UNIT as u64).unwrap();
    }
}

fn times(tail: &mut Tail) -> Vec<u64> {
    let mut times = Vec::new();
    tail.look().unwrap();
    let left = tail.read(usize::MAX, |stream, event| {
        assert_eq!((stream, event.address), (0, event.ticks * 16));
        times.push(event.ticks);
    });
    assert_eq!(left.unwrap(), None);
    times
}

#[test]
fn events_are_read_once_however_much_is_written_between_looks() {
    let mut image = Image::new();
    let mut tail = Tail::new(image.folder.path(), 3);
    assert_eq!(times(&mut tail), [], "no file is there yet");
    let mut expected = 1..;
    for count in [1, 0, 5, 4000, 84, 1, 20_000, 7, 4_095, 12_285] {
        image.log(count);
        image.show();
        assert_eq!(times(&mut tail), expected.by_ref().take(count).collect::<Vec<_>>());
    }
}

#[test]
fn a_unit_counts_when_the_window_has_the_next() {
    let mut image = Image::new();
    let mut tail = Tail::new(image.folder.path(), 3);
    image.log(100);
    image.show();
    assert_eq!(times(&mut tail).len(), 100);
    // The unit was written out, but the window that is seen is still the old one.
    image.log(5000);
    assert_eq!(times(&mut tail), []);
    image.show();
    assert_eq!(times(&mut tail), (101..=5100).collect::<Vec<_>>());
}

#[test]
fn units_in_the_reserve_follow_the_window() {
    let mut image = Image::new();
    let mut tail = Tail::new(image.folder.path(), 3);
    image.log(10);
    image.show();
    assert_eq!(times(&mut tail).len(), 10);
    let mut next = Box::new(Aligned([0; UNIT]));
    // SAFETY: only this stream uses the memory, which lives as long.
    unsafe { image.stream.continue_in((&raw mut *next).cast()) };
    image.window = next;
    image.window.0[std::mem::offset_of!(Window, image)] = 3;
    for from in [11, 31] {
        image.log(20);
        let reserve = image.file("reserve");
        reserve.write_all_at(&[0; UNIT], 0).unwrap();
        reserve.write_all_at(&image.window.0, UNIT as u64).unwrap();
        assert_eq!(times(&mut tail), (from..from + 20).collect::<Vec<_>>());
    }
}

#[test]
fn some_units_are_read_at_a_time() {
    let mut image = Image::new();
    let mut tail = Tail::new(image.folder.path(), 3);
    image.log(20_000);
    image.show();
    tail.look().unwrap();
    let mut last = 0;
    let until = tail.read(2, |_, event| last = event.ticks).unwrap();
    assert_eq!(until, Some(last));
    assert_eq!(times(&mut tail).last(), Some(&20_000));
}
