//! The registry: which pools it knows, and what its exporters publish.

use std::{
    alloc::Layout,
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use millpond::{
    Allocator, Blocks, Fixed, Heap, Inspect, Linear, Local, Locked, Tlsf,
    guard::{Observe, Stats},
    observe::{DuplicateName, PrometheusText, Registry},
};

fn names(registry: &Registry) -> Vec<String> {
    registry.read().into_iter().map(|(name, _)| name).collect()
}

fn take(pool: &impl Allocator, size: usize) {
    let layout = Layout::from_size_align(size, 8).expect("a layout");
    let _ = pool.allocate(layout).expect("the heap has room");
}

#[test]
fn pools_are_listed_until_they_are_dropped() {
    static ALWAYS: Locked<Tlsf> = Locked::new(Tlsf::new());
    let registry = Registry::new();
    let (b, c) = (Arc::new(Locked::<_>::new(Tlsf::new())), Arc::new(Locked::<_>::new(Linear::new())));
    registry.watch("c", &c).expect("the name is free");
    registry.watch("b", &b).expect("the name is free");
    registry.watch_static("a", &ALWAYS).expect("the name is free");
    let publisher = registry.publish("d").expect("the name is free");
    assert_eq!(names(&registry), ["a", "b", "c"], "nothing was published yet");
    publisher.publish(&Local::new(Linear::new()));
    assert_eq!(names(&registry), ["a", "b", "c", "d"]);
    assert_eq!(registry.watch("d", &b), Err(DuplicateName("d".into())));
    assert_eq!(format!("{registry:?}"), r#"{"a", "b", "c", "d"}"#);
    drop((c, publisher));
    assert_eq!(names(&registry), ["a", "b"]);
    registry.watch("c", &b).expect("the name is free again");
    drop(registry.publish("d").expect("and so is this one"));
    drop(b);
    assert_eq!(names(&registry), ["a"]);
}

#[test]
fn shared_pools_are_read_and_local_ones_publish() {
    let registry = Arc::new(Registry::new());
    let shared = Arc::new(Locked::<_>::new(Stats::new(Blocks::<Fixed<64>>::new())));
    registry.watch("shared", &shared).expect("the name is free");
    let (published, seen) = (Arc::new(std::sync::Barrier::new(2)), Arc::new(std::sync::Barrier::new(2)));
    let local = {
        let (registry, published, seen) = (registry.clone(), published.clone(), seen.clone());
        std::thread::spawn(move || {
            let pool = Local::new(Blocks::<Fixed<32>>::new());
            let publisher = registry.publish("local").expect("the name is free");
            take(&pool, 8);
            publisher.publish(&pool);
            take(&pool, 8);
            published.wait();
            seen.wait();
        })
    };
    published.wait();
    take(&*shared, 8);
    let all = registry.read();
    let live: Vec<_> = all.iter().map(|(name, metrics)| (name.as_str(), metrics.live)).collect();
    assert_eq!(live, [("local", 32), ("shared", 64)], "what was not published is not known");
    seen.wait();
    local.join().expect("it does not panic");
    assert_eq!(names(&registry), ["shared"]);
}

#[test]
fn pool_may_use_the_registry_while_it_is_read() {
    static REGISTRY: Registry = Registry::new();
    static ASKED: OnceLock<usize> = OnceLock::new();
    struct Curious;
    impl Inspect for Curious {
        fn stats(&self) -> millpond::observe::PoolStats {
            let _ = ASKED.set(names_of_others());
            millpond::observe::PoolStats::default()
        }

        fn owns(&self, _: *const u8) -> bool {
            false
        }

        fn check(&self) -> Result<(), millpond::observe::InvariantError> {
            Ok(())
        }
    }
    fn names_of_others() -> usize {
        let late = Arc::new(Locked::<_>::new(Linear::new()));
        REGISTRY.watch("late", &late).map_or(0, |()| 1)
    }
    let curious = Arc::new(Curious);
    REGISTRY.watch("curious", &curious).expect("the name is free");
    assert_eq!(names(&REGISTRY), ["curious"]);
    assert_eq!(ASKED.get(), Some(&1));
}

/// Checks the rules of the format's documentation: every line is a sample or one of two kinds of comment; a metric is
/// one group, with its help and type first and once; names and labels are well formed; no series appears twice.
fn is_well_formed(text: &str) -> BTreeSet<(String, String)> {
    assert!(text.is_empty() || text.ends_with('\n'));
    let mut series = BTreeSet::new();
    let mut families = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, words) = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(help);
        assert!(!words.contains('\\') && !words.is_empty());
        assert!(families.insert(name.to_owned()), "{name} comes twice");
        assert!(name.starts_with(|c: char| c.is_ascii_alphabetic()));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
        let kind = lines.next().expect("a type");
        let kind = kind.strip_prefix(&format!("# TYPE {name} ")).expect(kind);
        assert_eq!(kind, if name.ends_with("_total") { "counter" } else { "gauge" });
        let mut samples = 0;
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let rest = sample.strip_prefix(&format!("{name}{{pool=\"")).expect(sample);
            let (label, value) = label(rest);
            let number = value.strip_prefix("} ").expect(sample);
            number.parse::<u64>().expect("a whole number");
            assert!(series.insert((name.to_owned(), label)), "{sample} comes twice");
            samples += 1;
        }
        assert_ne!(samples, 0, "{name} is announced for nothing");
    }
    series
}

/// Returns the value of a label, and the text behind its closing quote.
fn label(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().map(|(_, char)| char) {
                Some('n') => '\n',
                Some(char @ ('\\' | '"')) => char,
                other => panic!("{other:?} is not to be escaped"),
            }),
            _ => value.push(char),
        }
    }
    panic!("the label {text} does not end");
}

#[test]
fn prometheus_text_is_well_formed() {
    let names = ["plain", "a \"quoted\" one", "back\\slash", "two\nlines", "größe {x=\"1\"} 2", ""];
    let registry = Registry::new();
    let pools = names.map(|name| {
        let pool = Arc::new(Locked::<_>::new(Stats::new(Blocks::<Fixed<64>>::new())));
        registry.watch(name, &pool).expect("the name is free");
        take(&*pool, 8);
        pool
    });
    let without_counts = Arc::new(Locked::<_>::new(Linear::new()));
    registry.watch("without counts", &without_counts).expect("the name is free");

    let text = registry.prometheus();
    let series = is_well_formed(&text);
    let of = |metric: &str| -> BTreeSet<&str> {
        series.iter().filter(|(name, _)| name == metric).map(|(_, label)| label.as_str()).collect()
    };
    assert_eq!(of("millpond_pool_allocations_total"), BTreeSet::from(names));
    assert_eq!(of("millpond_pool_held_bytes").len(), 7);
    assert!(!text.contains("millpond_pool_limit_left"), "no pool has a limit");
    for sample in [
        "millpond_pool_live_bytes{pool=\"plain\"} 64\n",
        "millpond_pool_peak_bytes{pool=\"two\\nlines\"} 8\n",
        "millpond_pool_allocations_total{pool=\"back\\\\slash\"} 1\n",
        "# HELP millpond_pool_held_bytes Bytes taken from the parent.\n# TYPE millpond_pool_held_bytes gauge\n",
    ] {
        assert!(text.contains(sample), "{sample}");
    }
    assert_eq!(is_well_formed(&PrometheusText(&[] as &[(&str, _)]).to_string()).len(), 0);
    drop(pools);
}

#[cfg(feature = "metrics")]
mod recorder {
    use std::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    };

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
    };

    use super::*;

    /// Keeps recorded values: a gauge's bits, or a counter's number.
    #[derive(Default)]
    struct Book(Mutex<Vec<(char, Key, Arc<AtomicU64>)>>);

    impl Book {
        fn register(&self, kind: char, key: &Key) -> Arc<AtomicU64> {
            let number = Arc::new(AtomicU64::new(0));
            self.0.lock().expect("no thread panicked").push((kind, key.clone(), number.clone()));
            number
        }
    }

    impl Recorder for Book {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.register('c', key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.register('g', key))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn metrics_crate_gets_all_pools() {
        let registry = Registry::new();
        let pool = Arc::new(Locked::<_>::new(Stats::new(Blocks::<Fixed<64>>::new())));
        registry.watch("packets", &pool).expect("the name is free");
        (0..3).for_each(|_| take(&*pool, 8));
        let book = Book::default();
        with_local_recorder(&book, || registry.record());
        let book = book.0.lock().expect("no thread panicked");
        let value = |kind: char, name: &str| {
            let (_, key, value) =
                book.iter().find(|(of, key, _)| (*of, key.name()) == (kind, name)).expect("it was recorded");
            assert_eq!(
                key.labels().map(|label| (label.key(), label.value())).collect::<Vec<_>>(),
                [("pool", "packets")]
            );
            value.load(Relaxed)
        };
        assert_eq!(value('c', "millpond_pool_allocations_total"), 3);
        assert_eq!(f64::from_bits(value('g', "millpond_pool_live_bytes")), 192.0);
        assert!(!book.iter().any(|(_, key, _)| key.name() == "millpond_pool_limit_left"));
    }
}

#[cfg(feature = "tracing")]
mod subscriber {
    use std::{collections::BTreeMap, fmt::Debug, sync::Mutex};

    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span,
        subscriber::with_default,
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Book(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

    struct Page<'a>(&'a mut BTreeMap<String, String>);

    impl Visit for Page<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.insert(field.name().to_owned(), format!("{value:?}"));
        }
    }

    impl Subscriber for Book {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "millpond"
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut fields = BTreeMap::new();
            event.record(&mut Page(&mut fields));
            self.0.lock().expect("no thread panicked").push(fields);
        }
    }

    #[test]
    fn tracing_crate_gets_metrics() {
        let pool = Local::new(Stats::new(Blocks::<Fixed<64>>::new()));
        take(&pool, 8);
        let metrics = pool.metrics();
        let book = Book::default();
        with_default(book.clone(), || metrics.trace("a \"pool\""));
        let book = book.0.lock().expect("no thread panicked");
        assert_eq!(book.len(), 1);
        let expected =
            [("pool", "\"a \\\"pool\\\"\""), ("live", "64"), ("capacity", "256"), ("allocations", "1")];
        for (field, value) in expected {
            assert_eq!(book[0].get(field).map(String::as_str), Some(value), "{:?}", book[0]);
        }
        assert!(!book[0].contains_key("left"), "what is not known is left out");
    }
}

#[test]
fn parent_may_read_the_registry_while_a_pool_grows() {
    let registry = Arc::new(Registry::new());
    let (seen, calls) = (registry.clone(), Arc::new(std::sync::Mutex::new(Vec::new())));
    let heard = calls.clone();
    // While the pool grows, neither it nor the registry is locked.
    let watch = move |_| heard.lock().expect("no thread panicked").push(names(&seen).len());
    let pool = Arc::new(Locked::<_, _>::new_in(Tlsf::new(), Observe::new(Heap, watch)));
    registry.watch("growing", &pool).expect("the name is free");
    take(&*pool, 100);
    assert_eq!((&calls.lock().expect("no thread panicked")[..], registry.read()[0].1.chunks), (&[1][..], 1));
}
