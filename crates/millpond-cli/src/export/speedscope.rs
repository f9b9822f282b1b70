//! The format of speedscope: each function once, and for each measure a profile with a sample for each call stack.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum as _;
use millpond_trace::{Reader, analysis::Totals};
use serde::{Serialize, Serializer};

use super::{
    Measure,
    recording::{Recording, UNKNOWN},
};
use crate::trace;

/// A sequence that is computed while it is written.
struct Each<F>(F);

impl<F: Fn() -> I, I: IntoIterator<Item: Serialize>> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a, F, P> {
    #[serde(rename = "$schema")]
    schema: &'a str,
    name: String,
    exporter: &'a str,
    active_profile_index: u32,
    shared: Shared<F>,
    profiles: P,
}

#[derive(Serialize)]
struct Shared<F> {
    frames: F,
}

#[derive(Serialize)]
struct Frame<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<S, W> {
    r#type: &'static str,
    name: &'static str,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    samples: S,
    weights: W,
}

pub(super) fn write(reader: &Reader, recording: &Recording, out: &mut dyn Write) -> Result<()> {
    let functions = recording.names.functions();
    let unknown = Frame { name: UNKNOWN, file: "", line: None };
    let frames = Each(|| {
        let line = |line: u32| Some(line).filter(|&line| line > 0);
        let known = functions.iter().map(move |frame| Frame {
            name: &frame.name,
            file: &frame.file,
            line: line(frame.line),
        });
        known.chain([Frame { ..unknown }])
    });
    let stacks = &reader.tables().stacks;
    let sample = |stack: u32| {
        let mut sample: Vec<u32> = recording.names.in_stack(stacks, stack).collect();
        if sample.is_empty() {
            sample.push(functions.len() as u32);
        }
        sample.reverse();
        sample
    };
    let (sample, totals) = (&sample, recording.totals());
    let profiles = Each(|| {
        let is_known =
            |measure: &&Measure| measure.needs().iter().all(|&lack| !recording.origin.has_no(lack));
        let measures = Measure::value_variants().iter().filter(is_known).filter(|measure| {
            // The viewer needs one profile, and shows nothing of an empty one.
            **measure == Measure::Bytes || measure.of(&totals) > 0
        });
        measures.map(|&measure| {
            let weights =
                move || recording.used().map(move |site| (site.stack, measure.of(&Totals::from(site))));
            let weights = move || weights().filter(|&(_, weight)| weight > 0);
            let (name, unit) = title(measure);
            Profile {
                r#type: "sampled",
                name,
                unit,
                start_value: 0,
                end_value: measure.of(&totals),
                samples: Each(move || weights().map(move |(stack, _)| sample(stack))),
                weights: Each(move || weights().map(|(_, weight)| weight)),
            }
        })
    });
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: trace::command_line(reader),
        exporter: concat!("millpond ", env!("CARGO_PKG_VERSION")),
        active_profile_index: 0,
        shared: Shared { frames },
        profiles,
    };
    serde_json::to_writer(&mut *out, &file)?;
    Ok(writeln!(out)?)
}

/// Returns the name and the unit of a profile.
fn title(measure: Measure) -> (&'static str, &'static str) {
    match measure {
        Measure::Bytes => ("Bytes allocated", "bytes"),
        Measure::Calls => ("Allocations", "none"),
        Measure::Peak => ("Bytes live at the peak", "bytes"),
        Measure::Live => ("Bytes live at the end", "bytes"),
        Measure::Temporary => ("Temporary blocks", "none"),
    }
}
