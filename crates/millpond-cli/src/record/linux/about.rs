//! What a trace says about its process besides the events: threads, marks and samples.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use millpond_trace::{
    Mark, Sample, Thread,
    raw::{self, FromBytes, Note, NoteKind, OuterMark, ThreadName},
};

/// What `millpond` saw from outside, of all processes.
#[derive(Default)]
pub(super) struct Outside {
    samples: HashMap<u64, Vec<raw::Sample>>,
    /// The last name of each thread, by image and number in the system.
    names: HashMap<(u32, u32), String>,
    marks: Vec<OuterMark>,
}

impl Outside {
    /// Reads it from the directory of a recording.
    pub(super) fn read(directory: &Path) -> Self {
        let read = |name: &str| fs::read(directory.join(name)).unwrap_or_default();
        let mut outside = Self { marks: OuterMark::all(&read("marks")).collect(), ..Self::default() };
        for sample in raw::Sample::all(&read("samples")) {
            outside.samples.entry(sample.image).or_default().push(sample);
        }
        for ThreadName { image, thread, name } in ThreadName::all(&read("threads")) {
            outside.names.insert((image, thread), text(&name));
        }
        outside
    }

    /// Returns the samples of a process image. `time` converts ticks to the time in its trace; `None`: too early.
    pub(super) fn samples(&self, image: u32, time: impl Fn(u64) -> Option<u64>) -> Vec<Sample> {
        let samples = self.samples.get(&image.into()).into_iter().flatten();
        let sample = |&raw::Sample { ticks, resident, anonymous, page_faults, cpu_ns, .. }: &raw::Sample| {
            Some(Sample { time: time(ticks)?, resident, anonymous, page_faults, cpu_ns })
        };
        samples.filter_map(sample).collect()
    }

    /// Returns the marks of a process image, in time order: those among its notes, and those that were set from outside.
    pub(super) fn marks(&self, notes: &[Note], time: impl Fn(u64) -> Option<u64>) -> Vec<Mark> {
        let own = notes.iter().filter(|note| note.kind == NoteKind::Mark);
        let own = own.map(|note| (note.ticks, text(&note.text)));
        let outer = self.marks.iter().map(|mark| (mark.ticks, text(&mark.name)));
        let mark = |(ticks, name)| Some(Mark { time: time(ticks)?, name });
        let mut marks: Vec<_> = own.chain(outer).filter_map(mark).collect();
        marks.sort_by_key(|mark| mark.time);
        marks
    }

    /// Returns the threads of a process image, by the recorder's numbers. A thread has the name that it had at its end,
    /// or else the one that was seen last from outside, or else that at its start.
    pub(super) fn threads(
        &self,
        image: u32,
        notes: &[Note],
        time: impl Fn(u64) -> Option<u64>,
    ) -> Vec<Thread> {
        let mut threads: BTreeMap<u32, Thread> = BTreeMap::new();
        let starts = notes.iter().filter(|note| note.kind == NoteKind::ThreadStart);
        for note in starts {
            let seen = self.names.get(&(image, note.number)).cloned();
            let thread = Thread {
                number: note.thread,
                name: seen.unwrap_or_else(|| text(&note.text)),
                started: time(note.ticks).unwrap_or(0),
                ended: None,
            };
            threads.insert(note.thread, thread);
        }
        for note in notes.iter().filter(|note| note.kind == NoteKind::ThreadEnd) {
            if let Some(thread) = threads.get_mut(&note.thread) {
                thread.ended = time(note.ticks);
                if !note.text.is_empty() {
                    thread.name = text(&note.text);
                }
            }
        }
        threads.into_values().collect()
    }
}

/// Returns a text without the zeros after it.
pub(super) fn text(bytes: &[u8]) -> String {
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: NoteKind, thread: u32, ticks: u64, text: &str) -> Note {
        Note { ticks, thread, kind, number: 70 + thread, text: text.into() }
    }

    #[test]
    fn threads_have_their_last_names() {
        let mut outside = Outside::default();
        outside.names.insert((3, 71), "seen".into());
        outside.names.insert((3, 72), "seen".into());
        let notes = [
            note(NoteKind::ThreadStart, 0, 10, "program"),
            note(NoteKind::ThreadStart, 1, 20, "program"),
            note(NoteKind::ThreadStart, 2, 30, "program"),
            note(NoteKind::ThreadEnd, 2, 40, "last"),
        ];
        let threads = outside.threads(3, &notes, |ticks| ticks.checked_sub(5));
        let told = threads.iter().map(|thread| (&*thread.name, thread.started, thread.ended));
        let expected = [("program", 5, None), ("seen", 15, None), ("last", 25, Some(35))];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn marks_from_inside_and_outside_are_in_order() {
        let mut name = [0; 120];
        name[..5].copy_from_slice(b"outer");
        let marks = [OuterMark { ticks: 20, name }, OuterMark { ticks: 2, name }];
        let outside = Outside { marks: marks.to_vec(), ..Outside::default() };
        let notes = [note(NoteKind::Mark, 0, 30, "b"), note(NoteKind::Mark, 1, 10, "a")];
        let marks = outside.marks(&notes, |ticks| ticks.checked_sub(5));
        let told: Vec<_> = marks.iter().map(|mark| (mark.time, &*mark.name)).collect();
        assert_eq!(told, [(5, "a"), (15, "outer"), (25, "b")], "what was before the process is left out");
    }
}
