//! The frame loop of a small game: what only one frame needs lies in an arena, which is reset when the frame is drawn.
//!
//! A fountain of 300 drops, for 60 frames. In the arena are the list of what is visible, the rows of the picture and the line
//! of text below it. It asks the heap for memory in the first frames and never again: a reset takes constant time and
//! keeps every chunk.

use millpond::{Allocator, Arena, Heap, Inspect, Linear, Local, Reclaim, Stats};

/// A drop flies for many frames, so it does not lie in the arena. All in tenths of a character.
struct Drop {
    place: [i32; 2],
    speed: [i32; 2],
}

const WIDTH: i32 = 60;
const HEIGHT: i32 = 12;

fn main() {
    let heap = Stats::new(Heap);
    let mut arena = Arena::with_memory(Local::new_in(Linear::new(), &heap));
    let mut drops: Vec<_> = (0..300).map(launch).collect();
    for frame in 1..=60 {
        for (number, drop) in (0..).zip(&mut drops) {
            fly(drop, number);
        }
        let picture = draw(frame, &drops, &arena);
        if frame == 60 {
            println!("{picture}");
        }
        if [1, 2, 60].contains(&frame) {
            let (live, held) = (arena.stats().live, arena.stats().held);
            let asked = heap.counts().total.blocks;
            println!("frame {frame:>2}: {live} bytes of {held}; the heap was asked {asked} time(s) so far");
        }
        // What this frame has put there is gone. While anybody still had a part of it, this would not compile.
        arena.reset();
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

/// Draws a frame, in the arena. The picture lives there, too, until the arena is reset.
fn draw<'f, M: Allocator>(frame: u32, drops: &[Drop], arena: &'f Arena<M>) -> Picture<'f> {
    let rows = arena.alloc_with(|| [[b' '; WIDTH as usize]; HEIGHT as usize]);
    let cells = drops.iter().map(|drop| drop.place.map(|place| place.div_euclid(10)));
    let mut visible = cells.filter(|[x, y]| (0..WIDTH).contains(x) && (0..HEIGHT).contains(y));
    // A slice of just as many as there are.
    let count = visible.clone().count();
    let visible = arena.try_alloc_slice(count, |_| visible.next().unwrap_or_default());
    let visible = visible.expect("the heap has a page for the next frame");
    for &[x, y] in &*visible {
        rows[y as usize][x as usize] = b'o';
    }
    let caption = arena.alloc_str(&format!("frame {frame}: {count} of {} drops are visible", drops.len()));
    Picture { rows, caption }
}

struct Picture<'f> {
    rows: &'f [[u8; WIDTH as usize]],
    caption: &'f str,
}

impl std::fmt::Display for Picture<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for row in self.rows {
            writeln!(f, "{}", String::from_utf8_lossy(row).trim_end())?;
        }
        f.write_str(self.caption)
    }
}
