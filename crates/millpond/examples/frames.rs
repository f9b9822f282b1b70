//! The frame loop of a small game: memory for a frame is in the arena of that frame, which is reset when its turn comes
//! again.
//!
//! A fountain of 300 drops, for 60 frames. The list of visible drops is freed with its frame; the picture is kept for
//! one more frame, so that only changed characters need to be sent to the screen. The heap is asked for memory only in
//! the first frames: the next frame starts in constant time, however much the oldest one allocated, and reuses its
//! chunks.

use millpond::{Allocator, Arena, ArenaAlloc, Frames, Heap, Linear, Local, arena::FrameHandle, guard::Stats};

/// A drop flies for many frames, so it is not in the arena. Units are tenths of a character.
struct Drop {
    place: [i32; 2],
    speed: [i32; 2],
}

const WIDTH: i32 = 60;
const HEIGHT: i32 = 12;

type Picture = [[u8; WIDTH as usize]; HEIGHT as usize];

fn main() {
    let heap = Stats::new(Heap);
    let mut frames: Frames<2, _> = Frames::with_memory(|| Local::new_in(Linear::new(), &heap));
    let mut drops: Vec<_> = (0..300).map(launch).collect();
    let mut last: Option<FrameHandle<Picture>> = None;
    for number in 1..=60 {
        (0..).zip(&mut drops).for_each(|(number, drop)| fly(drop, number));
        let (picture, visible) = draw(&drops, &frames);
        // The picture of the last frame is still there. The one before is not: requesting it would return `None`.
        let changes = last.and_then(|last| frames.get(last)).map_or(0, |last| changes(last, picture));
        if number == 60 {
            picture.iter().for_each(|row| println!("{}", String::from_utf8_lossy(row).trim_end()));
        }
        if [1, 2, 60].contains(&number) {
            let (held, asked) = (frames.stats().held, heap.counts().total.blocks);
            println!("frame {number}: {visible} drops visible, {changes} characters to send");
            println!("    {held} bytes held; the heap was asked {asked} time(s) so far");
        }
        last = Some(frames.persist(*picture));
        // While a reference to memory of this frame was still in use, this would not compile.
        frames.next_frame();
    }
}

/// Puts a drop at the mouth of the fountain.
fn launch(number: i32) -> Drop {
    Drop { place: [WIDTH * 5, HEIGHT * 10], speed: [number % 25 - 12, -(number % 7) - 12] }
}

fn fly(drop: &mut Drop, number: i32) {
    drop.speed[1] += 1; // it falls
    for axis in 0..2 {
        drop.place[axis] += drop.speed[axis];
    }
    if drop.place[1] > (HEIGHT + number % 20) * 10 {
        *drop = launch(number);
    }
}

/// Draws a frame in its arena; returns how many drops are visible.
fn draw<'f, M: Allocator>(drops: &[Drop], arena: &'f Arena<M>) -> (&'f Picture, usize) {
    let cells = drops.iter().map(|drop| drop.place.map(|place| place.div_euclid(10)));
    let list = arena.alloc_iter(cells.filter(|[x, y]| (0..WIDTH).contains(x) && (0..HEIGHT).contains(y)));

    let picture = arena.alloc([[b' '; WIDTH as usize]; HEIGHT as usize]);
    for &[x, y] in &*list {
        picture[y as usize][x as usize] = b'o';
    }
    (picture, list.len())
}

/// Returns how many characters differ.
fn changes(old: &Picture, new: &Picture) -> usize {
    old.iter().flatten().zip(new.iter().flatten()).filter(|(old, new)| old != new).count()
}
