//! Where in the program most allocations come from.

use anyhow::Result;
use millpond_trace::{Reader, analysis};

use crate::{
    cli,
    profile::{self, Site},
    symbols::Names,
    terminal::Progress,
};

/// Max number of call sites that are named, and the share of the allocations from which the others are left out.
const MOST: usize = 5;
const NEARLY_ALL: f64 = 0.9;

/// The call sites with the most allocations.
pub(crate) struct Places {
    /// Each with its share of all allocations, the largest first.
    pub(crate) sites: Vec<(f64, Site)>,
    /// Whether the trace has call stacks, not just the addresses of callers.
    pub(crate) has_stacks: bool,
}

impl Places {
    /// Reads a trace, and the files that have the names of its functions.
    pub(super) fn find(reader: &mut Reader) -> Result<Self> {
        let (progress, all) = (Progress::new("looking for call sites"), reader.summary().events);
        let analysis = analysis::Analysis::read_with(reader, |done| progress.at(done, all))?;
        let tables = reader.tables();
        let names = Names::new(tables, &cli::Places::default());
        let share = |site: &Site| site.usage.allocations as f64 / reader.summary().allocations as f64;
        let found = profile::sites(&analysis.sites, &tables.stacks, &names).list;
        let mut sites: Vec<_> = found.into_iter().map(|site| (share(&site), site)).collect();
        sites.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut told = 0.0;
        let shown = sites.iter().take(MOST).take_while(|(share, _)| {
            let is_shown = told < NEARLY_ALL && *share > 0.0;
            told += share;
            is_shown
        });
        sites.truncate(shown.count());
        Ok(Self { sites, has_stacks: tables.stacks.nodes().iter().any(|node| node.parent != 0) })
    }
}

#[cfg(test)]
mod tests {
    use millpond_trace::{At, FrameKind, Outcome, Start, Writer};

    use super::*;

    /// Finds the places of a trace with this many allocations by each of as many sites, called from `main` or from
    /// nothing known.
    fn found(allocations: &[u64], main: Option<u64>) -> Places {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
        let outer = main.map_or(0, |main| writer.node(0, main, FrameKind::Return).unwrap());
        for (number, &count) in (1..).zip(allocations) {
            let stack = writer.node(outer, number * 0x100, FrameKind::Return).unwrap();
            for _ in 0..count {
                writer.allocate(At { stack, ..At::default() }, 10, 0, false).unwrap();
            }
        }
        writer.finish(Outcome::default()).unwrap();
        Places::find(&mut Reader::from_bytes(file).unwrap()).unwrap()
    }

    #[test]
    fn sites_with_most_allocations_are_named() {
        let places = found(&[5, 50, 1, 30, 14], Some(0x9000));
        assert!(places.has_stacks);
        let told: Vec<_> =
            places.sites.iter().map(|(share, site)| (*share, site.frames[0].name.as_str())).collect();
        assert_eq!(told, [(0.5, "0x1ff"), (0.3, "0x3ff"), (0.14, "0x4ff")]);
        assert_eq!(places.sites[0].1.frames[1].name, "0x8fff");
        assert_eq!(found(&[1; 20], Some(0x9000)).sites.len(), MOST);
    }

    #[test]
    fn callers_alone_are_no_stacks() {
        assert!(!found(&[3, 3, 3, 3], None).has_stacks);
    }
}
