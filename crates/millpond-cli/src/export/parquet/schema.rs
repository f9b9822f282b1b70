//! The tables of a data set and their columns. `PARQUET.md` describes them; a test compares the two.

use super::table::{
    Column,
    Kind::{Counter, Flag, Number, Text},
};

/// Increased if a column changes its meaning or is removed; new tables and columns do not change it.
pub(super) const VERSION: u32 = 1;

/// A table. All have the column `process`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema {
    /// The name of its folder.
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
}

const PROCESS: Column = Column::new("process", Number);

pub(super) const EVENTS: Schema = Schema {
    name: "events",
    columns: &[
        Column::optional("host", Text),
        Column::new("service", Text),
        Column::optional("version", Text),
        PROCESS,
        Column::new("event", Counter),
        Column::optional("time_ns", Counter),
        Column::optional("thread", Number),
        Column::new("operation", Text),
        Column::new("size", Number),
        Column::optional("old_size", Number),
        Column::optional("alignment", Number),
        Column::new("block", Counter),
        Column::optional("lifetime_ns", Counter),
        Column::optional("stack", Number),
        Column::optional("site", Number),
        Column::optional("block_stack", Number),
        Column::new("block_site", Number),
        Column::optional("block_thread", Number),
        Column::optional("temporary", Flag),
    ],
};

pub(super) const SITES: Schema = Schema {
    name: "sites",
    columns: &[
        PROCESS,
        Column::new("site", Number),
        Column::optional("function", Text),
        Column::optional("file", Text),
        Column::optional("line", Number),
        Column::optional("callers", Text),
        Column::new("stacks", Number),
    ],
};

pub(super) const STACKS: Schema = Schema {
    name: "stacks",
    columns: &[
        PROCESS,
        Column::new("stack", Number),
        Column::optional("parent", Number),
        Column::new("frame", Number),
        Column::optional("site", Number),
    ],
};

pub(super) const FRAMES: Schema = Schema {
    name: "frames",
    columns: &[
        PROCESS,
        Column::new("frame", Number),
        Column::new("depth", Number),
        Column::new("function", Text),
        Column::optional("file", Text),
        Column::optional("line", Number),
        Column::new("kind", Text),
        Column::optional("address", Number),
        Column::optional("module", Number),
        Column::optional("module_offset", Number),
    ],
};

pub(super) const MODULES: Schema = Schema {
    name: "modules",
    columns: &[
        PROCESS,
        Column::new("module", Number),
        Column::new("path", Text),
        Column::optional("build_id", Text),
        Column::optional("first_address", Number),
        Column::optional("end_address", Number),
        Column::optional("file_offset", Number),
        Column::new("loaded_ns", Number),
        Column::optional("unloaded_ns", Number),
    ],
};

pub(super) const THREADS: Schema = Schema {
    name: "threads",
    columns: &[
        PROCESS,
        Column::new("thread", Number),
        Column::optional("name", Text),
        Column::new("from_ns", Number),
        Column::optional("to_ns", Number),
    ],
};

pub(super) const MARKS: Schema =
    Schema { name: "marks", columns: &[PROCESS, Column::new("time_ns", Number), Column::new("name", Text)] };

pub(super) const SAMPLES: Schema = Schema {
    name: "samples",
    columns: &[
        PROCESS,
        Column::new("time_ns", Number),
        Column::new("resident_bytes", Number),
        Column::new("anonymous_bytes", Number),
        Column::new("page_faults", Number),
        Column::new("cpu_ns", Number),
    ],
};

pub(super) const PROCESSES: Schema = Schema {
    name: "processes",
    columns: &[
        Column::new("schema", Number),
        Column::optional("host", Text),
        Column::new("service", Text),
        Column::optional("version", Text),
        PROCESS,
        Column::new("name", Text),
        Column::new("command_line", Text),
        Column::optional("build_id", Text),
        Column::optional("pid", Number),
        Column::optional("parent_pid", Number),
        Column::optional("unix_ns", Number),
        Column::optional("wall_ns", Number),
        Column::optional("cpu_ns", Number),
        Column::new("events", Number),
        Column::new("allocations", Number),
        Column::new("resizes", Number),
        Column::new("frees", Number),
        Column::new("requested_bytes", Number),
        Column::new("peak_bytes", Number),
        Column::new("peak_blocks", Number),
        Column::new("peak_event", Number),
        Column::new("live_at_end", Number),
        Column::new("ending", Text),
        Column::optional("exit_status", Number),
        Column::optional("origin", Text),
        Column::new("lacks", Text),
        Column::optional("selection", Text),
    ],
};

/// All tables. The last one says which runs are complete.
pub(super) const ALL: [Schema; 9] =
    [EVENTS, SITES, STACKS, FRAMES, MODULES, THREADS, MARKS, SAMPLES, PROCESSES];

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the rows of the page: names of columns and their types, below the name of each table.
    fn documented() -> Vec<(String, Vec<(String, String)>)> {
        let page = include_str!("../../../PARQUET.md");
        let sections = page.split("\n### `").skip(1);
        let rows = |section: &str| {
            let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
            cells
                .map(|(name, rest)| (name.to_owned(), rest.split(" |").next().unwrap_or_default().to_owned()))
                .collect()
        };
        sections
            .map(|section| (section.split('`').next().unwrap_or_default().to_owned(), rows(section)))
            .collect()
    }

    #[test]
    fn tables_and_documentation_agree() {
        let described = |column: &Column| {
            let kind = match column.kind {
                Number | Counter => "number",
                Text => "text",
                Flag => "flag",
            };
            (column.name.to_owned(), format!("{kind}{}", if column.is_optional { ", null" } else { "" }))
        };
        let tables = ALL.iter().map(|table| {
            let columns = table.columns.iter().map(described);
            (table.name.to_owned(), columns.collect())
        });
        assert_eq!(documented(), tables.collect::<Vec<_>>());
    }
}
