//! Random traces, and reading of whole traces.

use millpond_trace::{At, Call, Event, FrameKind, Op, Outcome, Reader, Start, Summary, TraceError, Writer};

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

    /// Returns a number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A random trace as a file.
pub(crate) struct Trace {
    pub(crate) file: Vec<u8>,
    pub(crate) events: Vec<Event>,
    pub(crate) summary: Summary,
}

/// Writes `count` random events: up to five threads, blocks that die young and old, extreme times and sizes, a growing tree of stacks.
pub(crate) fn random_trace(seed: u64, count: usize) -> Trace {
    let mut random = Random(seed);
    let mut file = Vec::new();
    let start =
        Start {
            program: "/usr/bin/x".into(), arguments: vec!["x".into(), "Ä y".into()], ..Start::default()
        };
    let mut writer = Writer::new(&mut file, &start).unwrap();
    let (mut events, mut live, mut time, mut threads) = (Vec::new(), Vec::new(), 0_u64, Vec::new());
    let mut stacks = 1;
    for _ in 0..count {
        let spread = [10, 300, 1 << 40][random.below(3) as usize];
        time += random.below(spread);
        let thread = u32::MAX - random.below(1 + seed % 5) as u32;
        if stacks < 200 && random.below(20) == 0 {
            let address = [0, random.below(40) * 0x1234_5678, u64::MAX][random.below(3) as usize];
            assert_eq!(
                writer.node(random.below(stacks) as u32, address, FrameKind::Return).unwrap(),
                stacks as u32
            );
            stacks += 1;
        }
        let stack = random.below(stacks) as u32;
        let call = Call::from_byte(random.below(3) as u8).unwrap();
        let at = At { time, thread, stack, call };
        let mask = u64::MAX >> 10 >> random.below(54);
        let size = random.next() & mask;
        let pick = random.below(10);
        let op = if live.is_empty() || pick < 5 {
            let align = if random.below(4) == 0 { 1 << random.below(32) } else { 0 };
            let zeroed = random.below(5) == 0;
            let slot = writer.allocate(at, size, align, zeroed).unwrap();
            live.push(slot);
            Op::Allocate { slot, size, align, zeroed }
        } else {
            let age = if random.below(8) == 0 { live.len() } else { live.len().min(9) };
            let index = live.len() - 1 - random.below(age as u64) as usize;
            if pick < 9 {
                let slot = live.remove(index);
                writer.free(at, slot).unwrap();
                Op::Free { slot }
            } else {
                let slot = live[index];
                writer.resize(at, slot, size).unwrap();
                Op::Resize { slot, size }
            }
        };
        if !threads.contains(&thread) {
            threads.push(thread);
        }
        // Threads are numbered in order of appearance.
        let thread = threads.iter().position(|&seen| seen == thread).unwrap() as u32;
        events.push(Event { time, thread, stack, call, op });
    }
    let summary = writer.finish(Outcome::default()).unwrap();
    Trace { file, events, summary }
}

/// Reads all events.
pub(crate) fn read_all(reader: &mut Reader) -> Result<Vec<Event>, TraceError> {
    let (mut all, mut events) = (Vec::new(), Vec::new());
    while reader.read(&mut events)? {
        assert!((1..=65_536).contains(&events.len()));
        all.extend_from_slice(&events);
    }
    Ok(all)
}

/// Opens and reads a file; only the error matters.
pub(crate) fn verdict(file: Vec<u8>) -> Result<Vec<Event>, TraceError> {
    read_all(&mut Reader::from_bytes(file)?)
}
