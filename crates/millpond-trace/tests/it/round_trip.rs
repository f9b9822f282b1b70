//! What goes in comes out.

use millpond_trace::{Event, Op, Outcome, Reader, Start, Summary, Writer};

/// A small generator of random numbers (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A random trace: the file, the events that went in, and the writer's summary.
pub(crate) fn random_trace(seed: u64, count: usize) -> (Vec<u8>, Vec<Event>, Summary) {
    let mut random = Random(seed);
    let mut file = Vec::new();
    let start = Start { program: "/usr/bin/x".into(), ..Start::default() };
    let mut writer = Writer::new(&mut file, &start).unwrap();
    let (mut events, mut live, mut time) = (Vec::new(), Vec::new(), 0_u64);
    for _ in 0..count {
        let spread = [10, 300, 1 << 40][random.below(3) as usize];
        time += random.below(spread);
        let (thread, caller) = (random.below(1 + seed % 5) as u32, random.below(40) * 0x1234_5678);
        let size = random.next() >> random.below(64);
        let pick = random.below(10);
        let op = if live.is_empty() || pick < 5 {
            let align = if random.below(4) == 0 { 1 << random.below(32) } else { 0 };
            let zeroed = random.below(5) == 0;
            let slot = writer.allocate(time, thread, caller, size, align, zeroed).unwrap();
            live.push(slot);
            Op::Allocate { slot, size, align, zeroed }
        } else {
            let index = live.len() - 1 - random.below(live.len().min(9) as u64) as usize;
            if pick < 9 {
                let slot = live.swap_remove(index);
                writer.free(time, thread, caller, slot).unwrap();
                Op::Free { slot }
            } else {
                let slot = live[index];
                writer.resize(time, thread, caller, slot, size).unwrap();
                Op::Resize { slot, size }
            }
        };
        events.push(Event { time, thread, caller, op });
    }
    let summary = writer.finish(Outcome::default()).unwrap();
    (file, events, summary)
}

/// Everything that a reader gives.
pub(crate) fn read_all(reader: &mut Reader) -> Vec<Event> {
    let (mut all, mut events) = (Vec::new(), Vec::new());
    while reader.read(&mut events).unwrap() {
        all.extend_from_slice(&events);
    }
    all
}

#[test]
fn random_sequences() {
    for (seed, count) in [(1, 1), (2, 100), (3, 65_535), (4, 65_536), (5, 65_537), (6, 300_000)] {
        let (file, events, summary) = random_trace(seed, count);
        let mut reader = Reader::from_bytes(file).unwrap();
        assert_eq!(reader.start().program, "/usr/bin/x");
        assert_eq!(reader.summary(), &summary);
        assert!(read_all(&mut reader) == events, "seed {seed}");
        reader.rewind().unwrap();
        assert!(read_all(&mut reader) == events, "seed {seed}, again");
    }
}
