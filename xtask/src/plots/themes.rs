//! Which plots there are, and what each shows.

use super::scale::Kind;

/// A file in `docs/bench`.
pub(super) struct Plot {
    /// The file's name without its ending.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) panels: &'static [Panel],
}

/// Contenders by mixes, or by whatever the columns show. The columns share a logarithmic axis.
pub(super) struct Panel {
    pub(super) kind: Kind,
    /// The contenders that are shown; all if there are none.
    pub(super) only: &'static [&'static str],
    /// The contenders that are left out.
    pub(super) without: &'static [&'static str],
    pub(super) columns: &'static [Column],
}

/// One measure of one case of one mix.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) mix: &'static str,
    pub(super) case: &'static str,
    pub(super) measure: &'static str,
    pub(super) shown: Shown,
}

/// What a column shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The ratio to the first contender.
    Ratio,
    /// The median itself, in this unit.
    Value(&'static str),
}

/// A panel of all contenders.
const fn panel(columns: &'static [Column]) -> Panel {
    Panel { kind: Kind::Logarithmic, only: &[], without: &[], columns }
}

/// Times of a mix with one case, as ratios to its first contender.
const fn time(mix: &'static str, title: &'static str) -> Column {
    time_of(mix, "", title)
}

/// The same for one case of a mix.
const fn time_of(mix: &'static str, case: &'static str, title: &'static str) -> Column {
    Column { title, mix, case, measure: "time", shown: Shown::Ratio }
}

/// The median of a measure, in a unit.
const fn value(
    mix: &'static str,
    case: &'static str,
    measure: &'static str,
    title: &'static str,
    unit: &'static str,
) -> Column {
    Column { title, mix, case, measure, shown: Shown::Value(unit) }
}

const ONE_SIZE: &str = "replace a random one of 100,000 blocks of 64 bytes";
const MIXED: &str = "replace a random one of 20,000 blocks of 8 to 1,024 bytes";

pub(super) const PLOTS: &[Plot] = &[
    Plot {
        name: "overview",
        title: "Time of an allocation and its deallocation",
        panels: &[
            Panel {
                kind: Kind::Linear,
                only: &[
                    "hand-written list, behind a reference",
                    "Local<Blocks<Fixed<64>>>",
                    "Local<Blocks<…, Magazine>>",
                    "Local<Classes>, run-time layout",
                    "slab",
                    "mimalloc",
                    "glibc",
                ],
                ..panel(&[
                    value("pair", "", "time", "one block, again", "one thread, ns"),
                    value("fifo", "", "time", "10,000, first first", "one thread, ns"),
                    value("churn", "", "time", "random one of 100,000", "one thread, ns"),
                ])
            },
            Panel {
                kind: Kind::Linear,
                only: &[
                    "hand-written magazine",
                    "Cached<Blocks<Fixed<64>>>",
                    "Cached<Classes>, run-time layout",
                    "mimalloc",
                    "jemalloc",
                    "tcmalloc",
                    "snmalloc",
                    "glibc",
                ],
                ..panel(&[
                    value("shared-pairs", "2 threads", "time", "one block, again", "two threads, ns"),
                    value("shared-replace", "2 threads", "time", "replace in an array", "two threads, ns"),
                    value("shared-tides", "2 threads", "time", "bursts and tides", "two threads, ns"),
                ])
            },
        ],
    },
    Plot {
        name: "blocks",
        title: "Blocks of one size: time beside a hand-written list",
        panels: &[panel(&[
            time("pair", "one block, again"),
            time("lifo", "10,000, last first"),
            time("fifo", "10,000, first first"),
            time("churn", "one of 100,000"),
        ])],
    },
    Plot {
        name: "aged",
        title: "Walking nodes of an aged pool, and trees after frees in some order",
        panels: &[
            panel(&[value("aged", "", "time", "walk an aged pool", "ns per node")]),
            panel(&[
                value("ordered", "freed ascending", "all steps", "freed ascending", "ns: free, build, walk"),
                value(
                    "ordered",
                    "freed in groups of 64",
                    "all steps",
                    "in groups of 64",
                    "ns: free, build, walk",
                ),
                value("ordered", "freed in any order", "all steps", "in any order", "ns: free, build, walk"),
            ]),
        ],
    },
    Plot {
        name: "typed",
        title: "Pools of values and collections with keys: time beside raw blocks",
        panels: &[
            panel(&[
                time("typed-pair", "one value, again"),
                time("typed-fifo", "10,000, first first"),
                time("typed-churn", "one of 100,000"),
                time("typed-fill", "10,000, all at once"),
            ]),
            panel(&[time("typed-tree", "build and drop a tree"), time("typed-walk", "walk a tree")]),
            panel(&[
                time("typed-iterate", "iterate, all there"),
                time("typed-sparse", "iterate, 1 in 10"),
                time("typed-retain", "retain, insert"),
                time("typed-drain", "drain, insert"),
            ]),
        ],
    },
    Plot {
        name: "sizes",
        title: "Blocks of mixed sizes",
        panels: &[
            panel(&[time("classes", "size classes: one of 20,000 blocks of 8 to 1,024 bytes")]),
            panel(&[
                time("mixed", "one region"),
                time("mixed-written", "and written"),
                time("mixed-pair", "one block, again"),
            ]),
            panel(&[time("buddy", "powers of two"), time("buddy-pair", "halve it all, merge")]),
        ],
    },
    Plot {
        name: "arenas",
        title: "Arenas: time beside bumpalo and bump-scope",
        panels: &[
            panel(&[time("arena", "1,000 blocks, reset")]),
            panel(&[time("scope", "10 blocks in a scope")]),
            panel(&[time("frames", "two frames of 1,000 values")]),
            panel(&[
                time("requests", "10 values a request"),
                time("large-requests", "1,000 values a request"),
            ]),
        ],
    },
    Plot {
        name: "cold",
        title: "A new pool of a million blocks on fresh memory",
        panels: &[panel(&[time("cold", "fill a pool on fresh memory")])],
    },
    Plot {
        name: "memory",
        title: "Resident memory of a million blocks of 64 bytes",
        panels: &[
            panel(&[
                value("resident", "", "live", "live", "bytes per block"),
                value("resident", "", "trimmed", "freed and trimmed", "bytes per block"),
            ]),
            Panel {
                without: &["opool, LocalPool, never filled"],
                ..panel(&[value("typed-resident", "", "live", "typed, live", "bytes per value")])
            },
        ],
    },
    Plot {
        name: "latency",
        title: "Single operations",
        panels: &[
            panel(&[
                value("latency", ONE_SIZE, "median", "64 bytes: median", "ns"),
                value("latency", ONE_SIZE, "p99.9", "99.9 %", "ns"),
                value("latency", ONE_SIZE, "worst, repeated", "worst that repeats", "ns"),
            ]),
            panel(&[
                value("latency", MIXED, "median", "mixed sizes: median", "ns"),
                value("latency", MIXED, "p99.9", "99.9 %", "ns"),
                value("latency", MIXED, "worst, repeated", "worst that repeats", "ns"),
            ]),
        ],
    },
    Plot {
        name: "grows",
        title: "One replacement as live blocks grow",
        panels: &[
            panel(&[
                value("grows", "", "n = 1e3", "1,000 live", "ns"),
                value("grows", "", "n = 1e5", "100,000 live", "ns"),
                value("grows", "", "n = 1e7", "10 million live", "ns"),
            ]),
            panel(&[
                value("grows-counts", "", "n = 1e3", "1,000 live", "instructions"),
                value("grows-counts", "", "n = 1e5", "100,000 live", "instructions"),
                value("grows-counts", "", "n = 1e7", "10 million live", "instructions"),
            ]),
        ],
    },
    Plot {
        name: "many",
        title: "A pool that is made, allocates once, and is dropped",
        panels: &[panel(&[
            time("many", "make, allocate, drop"),
            value("many-bytes", "", "all", "memory", "bytes"),
        ])],
    },
    Plot {
        name: "checked",
        title: "What it costs to detect misuse",
        panels: &[
            panel(&[
                time("checked-pair", "one block, again"),
                time("checked-batch", "10,000, first first"),
                time("checked-churn", "one of 100,000"),
            ]),
            panel(&[
                time("checked-tlsf-pair", "Tlsf: one block"),
                time("checked-tlsf-batch", "10,000, first first"),
                time("checked-tlsf-churn", "one of 20,000"),
            ]),
            panel(&[
                time("checked-classes-pair", "Classes: one block"),
                time("checked-classes-batch", "10,000, first first"),
                time("checked-classes-churn", "one of 20,000"),
            ]),
        ],
    },
    Plot {
        name: "shared",
        title: "Pools that two threads share: time beside a hand-written cache per thread",
        panels: &[
            panel(&[
                time_of("shared-pairs", "2 threads", "one block, again"),
                time_of("shared-replace", "2 threads", "replace in an array"),
            ]),
            panel(&[
                time_of("shared-bursts", "2 threads", "bursts of 1 to 64"),
                time_of("shared-tides", "2 threads", "bursts and tides"),
            ]),
            panel(&[
                time_of("shared-handoff", "2 threads", "handed over"),
                time_of("shared-handoff-read", "2 threads", "handed over and read"),
            ]),
        ],
    },
    Plot {
        name: "lock-free",
        title: "Lists, arenas and collections that threads share",
        panels: &[
            panel(&[
                time_of("free-lists", "1 thread", "free lists, 1 thread"),
                time_of("free-lists", "2 threads", "free lists, 2 threads"),
            ]),
            panel(&[
                time_of("bump", "1 thread", "arenas, 1 thread"),
                time_of("bump", "2 threads", "arenas, 2 threads"),
            ]),
            panel(&[
                time_of("typed-shared-pair", "2 threads", "insert and remove"),
                time_of("typed-shared-read", "2 threads", "read"),
            ]),
        ],
    },
    Plot {
        name: "questions",
        title: "Questions to a pool with a million free blocks",
        panels: &[panel(&[
            value("questions", "all free", "stats", "statistics", "µs"),
            value("questions", "all free", "reserve", "reserve 1,000", "µs"),
            value("questions", "all free", "trim", "trim", "µs"),
        ])],
    },
    Plot {
        name: "c",
        title: "Pools behind a call, from C",
        panels: &[
            panel(&[
                time_of("c", "shared, pair", "shared library: one block"),
                time_of("c", "shared, 500, FIFO", "500, first first"),
                time_of("c", "shared, 10,000, life", "a pool's life"),
            ]),
            panel(&[
                time_of("c", "linked, pair", "linked in: one block"),
                time_of("c", "linked, 500, FIFO", "500, first first"),
                time_of("c", "linked, 10,000, life", "a pool's life"),
            ]),
        ],
    },
    Plot {
        name: "cpp",
        title: "Pools of objects and memory resources, from C++",
        panels: &[
            panel(&[
                time_of("cpp", "objects: pair", "one object, again"),
                time_of("cpp", "objects: fifo", "in batches"),
                time_of("cpp", "objects: churn", "random ones"),
                time_of("cpp", "objects: a pool filled and dropped", "fill and drop"),
            ]),
            panel(&[
                time_of("cpp", "resource: pair", "resources: pair"),
                time_of("cpp", "resource: churn", "random ones"),
                time_of("cpp", "std::pmr::list", "a list"),
                time_of("cpp", "std::pmr::unordered_map of strings", "a map of strings"),
            ]),
        ],
    },
    Plot {
        name: "traces",
        title: "Real programs' allocations",
        panels: &[panel(&[
            time("trace-jq", "jq: time"),
            value("trace-jq", "memory", "memory at the peak", "jq: memory", "resident per live byte"),
        ])],
    },
];
