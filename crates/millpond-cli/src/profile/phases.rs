//! What was allocated when.

use anyhow::Result;
use millpond_trace::{Mark, Reader, Shape, Verb, Visitor};

/// How many phases a recording without marks is divided into.
const PARTS: u64 = 10;

/// A part of the recording: from one mark to the next, or a tenth of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phase {
    /// The mark at its start; empty if there is none.
    pub(crate) name: String,
    /// Nanoseconds since recording began.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Allocations, counting resizes, and bytes requested by them.
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
    /// Blocks freed.
    pub(crate) frees: u64,
    /// Max bytes live in it, and bytes live at its end.
    pub(crate) peak_bytes: u64,
    pub(crate) live_bytes: u64,
}

/// Reads a whole trace and returns its phases. The tables of the reader must be complete.
pub(crate) fn phases(reader: &mut Reader) -> Result<Vec<Phase>> {
    let summary = reader.summary();
    let phases = divide(&reader.tables().marks, summary.wall_ns);
    let mut clock =
        Clock { phases, current: 0, live: 0, sizes: vec![0; summary.slots as usize], shapes: Vec::new() };
    reader.visit(&mut clock)?;
    clock.advance(u64::MAX);
    Ok(clock.phases)
}

/// Returns the phases with nothing counted.
fn divide(marks: &[Mark], end: u64) -> Vec<Phase> {
    let mut starts: Vec<_> = marks.iter().map(|mark| (mark.time.min(end), mark.name.clone())).collect();
    if starts.is_empty() {
        let start = |part: u64| (u128::from(end) * u128::from(part) / u128::from(PARTS)) as u64;
        starts = (0..PARTS).map(|part| (start(part), String::new())).collect();
    }
    starts.sort_by_key(|start| start.0);
    if starts[0].0 > 0 {
        starts.insert(0, (0, String::new()));
    }
    let ends: Vec<_> = starts.iter().skip(1).map(|start| start.0).chain([end]).collect();
    let phase = |((from, name), to)| Phase { name, from, to, ..Phase::default() };
    starts.into_iter().zip(ends).map(phase).collect()
}

struct Clock {
    phases: Vec<Phase>,
    current: usize,
    /// Bytes live now.
    live: u64,
    /// The size of the block in each slot.
    sizes: Vec<u64>,
    shapes: Vec<Shape>,
}

impl Clock {
    /// Ends all phases that are over at this time, except the last.
    fn advance(&mut self, time: u64) {
        loop {
            self.phases[self.current].live_bytes = self.live;
            if self.current + 1 == self.phases.len() || time < self.phases[self.current].to {
                return;
            }
            self.current += 1;
            self.phases[self.current].peak_bytes = self.live;
        }
    }
}

impl Visitor for Clock {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        self.shapes.extend_from_slice(shapes);
    }

    #[inline]
    fn event(&mut self, time: u64, _thread: u32, shape: usize, slot: u32) {
        if time >= self.phases[self.current].to {
            self.advance(time);
        }
        let Shape { verb, size, .. } = self.shapes[shape];
        let phase = &mut self.phases[self.current];
        let before = std::mem::replace(&mut self.sizes[slot as usize], size);
        match verb {
            Verb::Free => {
                phase.frees += 1;
                self.live = self.live.saturating_sub(before);
                return;
            }
            Verb::Resize => self.live = self.live.saturating_sub(before),
            Verb::Allocate { .. } => {}
        }
        phase.allocations += 1;
        phase.bytes = phase.bytes.saturating_add(size);
        self.live = self.live.saturating_add(size);
        phase.peak_bytes = phase.peak_bytes.max(self.live);
    }
}

#[cfg(test)]
mod tests {
    use millpond_trace::{At, Outcome, Start, Writer};

    use super::*;

    fn read(marks: &[(u64, &str)]) -> Vec<Phase> {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
        for &(time, name) in marks {
            writer.mark(&Mark { time, name: name.into() }).unwrap();
        }
        let at = |time| At { time, ..At::default() };
        let a = writer.allocate(at(0), 10, 0, false).unwrap();
        let b = writer.allocate(at(50), 5, 0, false).unwrap();
        writer.resize(at(60), b, 100).unwrap();
        writer.free(at(70), a).unwrap();
        writer.free(at(100), b).unwrap();
        writer.finish(Outcome { wall_ns: 100, ..Outcome::default() }).unwrap();
        let mut reader = Reader::from_bytes(file).unwrap();
        crate::profile::Profile::read(&mut reader).unwrap();
        phases(&mut reader).unwrap()
    }

    #[test]
    fn marks_begin_phases() {
        let phase = |name: &str, from, to, [allocations, bytes, frees, peak_bytes, live_bytes]: [u64; 5]| {
            Phase { name: name.into(), from, to, allocations, bytes, frees, peak_bytes, live_bytes }
        };
        let expected = [
            phase("", 0, 50, [1, 10, 0, 10, 10]),
            phase("load", 50, 65, [2, 105, 0, 110, 110]),
            phase("run", 65, 100, [0, 0, 2, 110, 0]),
        ];
        assert_eq!(read(&[(65, "run"), (50, "load")]), expected);
        assert_eq!(read(&[(0, "all")]), [phase("all", 0, 100, [3, 115, 2, 110, 0])]);
        assert_eq!(read(&[(0, "a"), (0, "b"), (500, "c")]).len(), 3);
    }

    #[test]
    fn without_marks_there_are_tenths() {
        let phases = read(&[]);
        assert_eq!(phases.len(), 10);
        let live: Vec<_> = phases.iter().map(|phase| phase.live_bytes).collect();
        assert_eq!(live, [10, 10, 10, 10, 10, 15, 110, 100, 100, 0]);
        assert_eq!((phases[5].from, phases[5].to), (50, 60));
        assert_eq!(phases.iter().map(|phase| phase.frees).sum::<u64>(), 2);
    }
}
