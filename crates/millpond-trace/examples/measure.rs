//! Measures the size of a trace and the speed of reading, analysing and writing it, on Linux: `cargo run --release -p millpond-trace
//! --example measure -- FILE…`

use std::{env, error::Error, fs, hint::black_box, io};

use millpond_trace::{At, Event, Op, Outcome, Reader, Shape, Visitor, Writer, analysis::Analysis};

fn main() -> Result<(), Box<dyn Error>> {
    for path in env::args().skip(1) {
        let bytes = fs::read(&path)?;
        let length = bytes.len() as f64;
        let mut reader = Reader::from_bytes(bytes)?;
        let events = reader.summary().events as f64;
        let reading = best_of(5, || read(&mut reader))?;
        let both = best_of(3, || copy(&mut reader))?;
        let visiting = best_of(5, || Ok(reader.visit(&mut Nothing)?))?;
        let analysing = best_of(5, || analyse(&mut reader))?;
        let speed = |seconds: f64| events / seconds / 1e6;
        println!(
            "{path}: {events} events of {:.3} bytes; million per second of CPU time: read {:.1}, visited {:.1}, analysed {:.1}, written {:.1}",
            length / events,
            speed(reading),
            speed(visiting),
            speed(analysing),
            speed(both - reading)
        );
    }
    Ok(())
}

/// A visitor that does as little as possible.
struct Nothing;

impl Visitor for Nothing {
    fn shapes(&mut self, shapes: &[Shape]) {
        black_box(shapes);
    }

    #[inline]
    fn event(&mut self, time: u64, _: u32, _: usize, slot: u32) {
        black_box((time, slot));
    }
}

/// Returns the least CPU time of this thread, in seconds, of several runs.
fn best_of(tries: u32, mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut best = f64::MAX;
    for _ in 0..tries {
        let start = cpu_time()?;
        work()?;
        best = best.min(cpu_time()? - start);
    }
    Ok(best)
}

/// Returns the CPU time of this thread in seconds; that of the thread which compresses is not in it.
fn cpu_time() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("no time")?.parse::<f64>()? / 1e9)
}

fn read(reader: &mut Reader) -> Result<(), Box<dyn Error>> {
    let mut events = Vec::new();
    reader.rewind()?;
    while reader.read(&mut events)? {
        black_box(&events);
    }
    Ok(())
}

fn analyse(reader: &mut Reader) -> Result<(), Box<dyn Error>> {
    black_box(Analysis::read(reader)?);
    Ok(())
}

fn copy(reader: &mut Reader) -> Result<(), Box<dyn Error>> {
    let mut events = Vec::new();
    reader.rewind()?;
    let mut writer = Writer::new(io::sink(), reader.start())?;
    let mut stacks = 1;
    while reader.read(&mut events)? {
        for node in &reader.tables().stacks.nodes()[stacks..] {
            let frame = &reader.tables().stacks.frames()[node.frame as usize];
            stacks = writer.node(node.parent, frame.address, frame.kind)? as usize + 1;
        }
        for &Event { time, thread, stack, call, op } in &events {
            let at = At { time, thread, stack, call };
            match op {
                Op::Allocate { size, align, zeroed, .. } => {
                    writer.allocate(at, size, align, zeroed)?;
                }
                Op::Free { slot } => writer.free(at, slot)?,
                Op::Resize { slot, size } => writer.resize(at, slot, size)?,
            }
        }
    }
    writer.finish(Outcome::default())?;
    Ok(())
}
