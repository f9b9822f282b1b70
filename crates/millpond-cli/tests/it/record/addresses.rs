//! Addresses and usable sizes of blocks.

use std::{collections::HashMap, process::Output};

use millpond_trace::{Detail, Reader, Shape, Verb, Visitor};

use super::{Workshop, baseline::library, told};
use crate::support::{millpond, stdout};

/// What the trace says about the blocks of each size, allocated or resized.
#[derive(Default)]
struct Details {
    shapes: Vec<Shape>,
    block: Vec<Detail>,
    at: usize,
    calls: usize,
    by_size: HashMap<u64, Vec<Detail>>,
}

impl Visitor for Details {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes = shapes.to_vec();
        (self.block, self.at) = (Vec::new(), 0);
    }

    fn details(&mut self, details: &[Detail]) {
        self.block = details.to_vec();
        self.calls += 1;
    }

    fn event(&mut self, _: u64, _: u32, shape: usize, _: u32) {
        let Shape { verb, size, .. } = self.shapes[shape];
        if verb != Verb::Free {
            let detail = self.block.get(self.at).copied().unwrap_or_default();
            self.by_size.entry(size).or_default().push(detail);
            self.at += 1;
        }
    }
}

fn details(workshop: &Workshop) -> Details {
    let mut details = Details::default();
    Reader::open(workshop.path("out.mpt")).unwrap().visit(&mut details).unwrap();
    details
}

/// Fails unless the trace has the addresses and usable sizes that the program has printed; returns how many.
fn agree(workshop: &Workshop, output: &Output) -> usize {
    told(output);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let details = details(workshop);
    for line in text.lines() {
        let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let &[size, address, usable] = &numbers[..] else { panic!("{line}") };
        let expected = Detail { address: Some(address), usable: Some(usable), weight: None };
        assert_eq!(details.by_size.get(&size), Some(&vec![expected]), "{line}");
    }
    text.lines().count()
}

#[test]
fn addresses_and_usable_sizes_are_those_of_the_program() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("addresses", &[]) else { return };
    let output = workshop.record_with(&["--addresses"], &program, &[]);
    assert_eq!(agree(&workshop, &output), 209);
    let trace = workshop.trace();
    trace.assert_exact();
    let mut show = millpond();
    show.arg("show").arg(workshop.path("out.mpt")).args(["--json", "--process", "addresses"]);
    let report = stdout(show.env("XDG_CACHE_HOME", workshop.path("cache")).output().unwrap());
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let heap = &report["heap"];
    let number = |field: &str| heap[field].as_u64().unwrap();
    assert_eq!(
        (number("requested_bytes"), number("blocks")),
        (trace.summary.peak_bytes, trace.summary.peak_blocks)
    );
    assert!(number("usable_bytes") > number("requested_bytes"), "{heap}");
    assert!(number("page_bytes") >= number("usable_bytes") && number("page_bytes") % 4096 == 0, "{heap}");
    told(&workshop.record(&program, &[]));
    assert_eq!(details(&workshop).calls, 0, "not recorded unless requested");
}

#[test]
fn usable_sizes_come_from_the_library_that_serves_the_calls() {
    let workshop = Workshop::new();
    let Some(program) = workshop.compile("addresses", &[]) else { return };
    for name in ["jemalloc", "tcmalloc_minimal", "mimalloc"] {
        let Some(library) = library(name) else { continue };
        let mut recorder = workshop.recorder();
        recorder.env("LD_PRELOAD", library).arg("--addresses").arg("--").arg(&program);
        assert_eq!(agree(&workshop, &recorder.output().unwrap()), 209, "{name}");
    }
    // This one has no function for usable sizes, and that of glibc must not read its blocks.
    let Some(library) = workshop.compile("wrapper", &["-shared", "-fPIC"]) else { return };
    let Some(program) = workshop.compile("wrapped", &[]) else { return };
    let mut recorder = workshop.recorder();
    recorder.env("LD_PRELOAD", &library).arg("--addresses").arg("--").arg(&program);
    told(&recorder.output().unwrap());
    let blocks = &details(&workshop).by_size[&1234];
    assert_eq!(blocks.len(), 30);
    assert!(blocks.iter().all(|block| block.address.is_some() && block.usable.is_none()), "{blocks:?}");
}
