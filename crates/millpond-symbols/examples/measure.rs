//! Measures how long it takes to look addresses up: `cargo run --release -p millpond-symbols --example measure -- FILE
//! [COUNT]`. The addresses are spread evenly over the file's code.

use std::{env, error::Error, time::Instant};

use millpond_symbols::{Module, Options, Symbolizer, build_id};
use object::{Object as _, ObjectSegment as _};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("which FILE?")?;
    let count: u64 = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let bytes = std::fs::read(&path)?;
    let object = object::File::parse(&*bytes)?;
    let code =
        object.segments().find(|segment| segment.permissions().executable()).ok_or("it has no code")?;
    let (offset, size) = code.file_range();
    let module = Module {
        path: path.as_str().into(),
        build_id: build_id(path.as_ref())?,
        start: 0,
        end: size,
        offset,
    };
    let cache = env::temp_dir().join(format!("millpond-symbols-{}", std::process::id()));
    let symbolizer = Symbolizer::new(Options { cache: Some(cache.clone()), ..Options::default() });
    let step = (size / count).max(1);
    let addresses: Vec<_> = (0..size).step_by(step as usize).take(count as usize).collect();
    println!("{} addresses in {size} bytes of code", addresses.len());
    for (what, addresses) in [("one", &addresses[..1]), ("all", &addresses), ("all, cached", &addresses)] {
        let started = Instant::now();
        let symbols = symbolizer.resolve(&module, addresses);
        let elapsed = started.elapsed();
        let frames =
            addresses.iter().map(|&address| symbols.frames(address)).filter(|frames| frames.len() > 0);
        let (named, frames) = frames.fold((0, 0), |(named, all), frames| (named + 1, all + frames.len()));
        println!("{what:<12} {elapsed:.2?}: {named} with {frames} frames, by {:?}", symbols.origin());
    }
    std::fs::remove_dir_all(cache)?;
    Ok(())
}
