//! What a report says from replays, and about blocks that are selected.

use serde_json::Value;

use super::{embedded, page_with, shown, sum};
use crate::support::{fill_sites, write_trace_of};

#[test]
fn verdict_and_gains_are_in_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("sites.mpt");
    write_trace_of(&trace, 800_000, fill_sites);
    let data = embedded(&page_with(&trace, &["--rounds", "1"]));
    assert_eq!(data["not_replayed"], Value::Null);
    let text = data["verdict"]["text"].as_str().unwrap();
    assert!(text.contains("1 round cannot tell a difference from chance"), "{text}");
    let allocators = data["verdict"]["allocators"].as_array().unwrap();
    assert!(allocators.len() >= 4, "{allocators:?}");
    for allocator in allocators {
        let each = &allocator["ns_per_event"];
        assert!(each.is_null() || each["median"].as_f64().unwrap() > 0.0, "{each}");
        assert_eq!(each.is_null(), allocator["total_ns"].is_null());
        assert_eq!(allocator["time"] == "", allocator["title"] == data["verdict"]["baseline"]);
    }
    let advice = &data["advice"];
    let gains = advice["advised"].as_array().unwrap().iter().filter_map(|site| site["gain"].as_str());
    assert!(gains.clone().count() == 5 && gains.clone().all(|gain| gain.contains("replayed alone: ")));
    assert!(advice["together"]["gain"].as_str().unwrap().contains("replayed together: "), "{advice}");

    let data = embedded(&page_with(&trace, &["--no-replay"]));
    assert_eq!((&data["verdict"], &data["advice"]["together"]), (&Value::Null, &Value::Null));
    for place in [&data, &data["advice"], &data["fragmentation"]] {
        assert_eq!(place["not_replayed"], "The report was made with --no-replay.");
    }
}

#[test]
fn selected_blocks_are_those_of_show() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("sites.mpt");
    write_trace_of(&trace, 800_000, fill_sites);
    let first = shown(&trace, &[])["by_site"][0]["frames"][0]["function"].as_str().unwrap().to_owned();
    for options in [["--size", "64"], ["--site", &first], ["--thread", "1"]] {
        let page = page_with(&trace, &[&options[..], &["--no-replay"]].concat());
        let (data, shown) = (embedded(&page), shown(&trace, &options));
        for field in ["trace", "selection", "by_phase", "by_thread"] {
            assert_eq!(data[field], shown[field], "{field}");
        }
        assert_eq!(data["selection"]["options"].as_str().unwrap().replace('\'', ""), options.join(" "));
        for field in ["allocations", "bytes", "live_bytes"] {
            assert_eq!(sum(&data["sites"], field), sum(&shown["by_site"], field), "{field}");
        }
    }
    // Maps and the verdict are about all blocks.
    let whole = embedded(&page_with(&trace, &["--rounds", "1"]));
    let data = embedded(&page_with(&trace, &["--rounds", "1", "--size", "64"]));
    let requested = |data: &Value| data["fragmentation"]["heaps"][0]["requested"].clone();
    assert_eq!(requested(&data), requested(&whole));
    assert!(data["verdict"].is_object());
    let why = data["advice"]["not_replayed"].as_str().unwrap();
    assert!(why.contains("--size 64 selects only some of the blocks"), "{why}");
}
