//! Analyses of several processes of one program, taken together.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{Analysis, Site};
use crate::file::{Frame, FrameKind, Module, Tables};

/// The sites of several traces. Stacks are the same if their frames are at the same offsets of the same files, wherever
/// these were mapped: files with a build id are recognised by it, others by their path.
///
/// Figures are sums over all traces, except [`Site::max_live_bytes`], which is the most in one of them, and those that
/// make sense for one trace only: [`Site::threads`] and [`Site::checkpoints`] are zeros.
#[derive(Clone, Debug, Default)]
pub struct Union {
    /// The modules and stacks to which the sites refer; all other tables are empty.
    pub tables: Tables,
    /// Every stack, in the order of its first event.
    pub sites: Vec<Site>,
    modules: HashMap<ModuleKey, u32, FixedState>,
    frames: HashMap<Frame, u32, FixedState>,
    nodes: HashMap<(u32, u32), u32, FixedState>,
    /// The index in `sites` of each stack.
    places: HashMap<u32, usize, FixedState>,
}

/// What makes a mapping the same in two processes: the file, and which part of it is mapped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ModuleKey {
    build_id: Vec<u8>,
    /// Empty if there is a build id.
    path: String,
    offset: u64,
    length: u64,
}

impl Union {
    /// Adds a trace: its tables, after it has been read to its end, and its analysis. Returns `None` if there are more than
    /// 4,294,967,295 stacks in all.
    pub fn add(&mut self, tables: &Tables, analysis: &Analysis) -> Option<()> {
        let modules: Vec<u32> =
            tables.modules.iter().map(|module| self.module(module)).collect::<Option<_>>()?;
        let frame = |frame: &Frame| self.frame(frame, tables, &modules);
        let frames: Vec<u32> = tables.stacks.frames().iter().map(frame).collect::<Option<_>>()?;
        // Parents have smaller numbers than their children.
        let mut stacks = vec![0_u32];
        for node in tables.stacks.nodes().iter().skip(1) {
            let stack = self.node(stacks[node.parent as usize], frames[node.frame as usize])?;
            stacks.push(stack);
        }
        for site in &analysis.sites {
            let stack = *stacks.get(site.stack as usize)?;
            let fresh = self.sites.len();
            let place = *self.places.entry(stack).or_insert(fresh);
            if place == fresh {
                self.sites.push(Site {
                    stack,
                    threads: (0, 0),
                    checkpoints: Default::default(),
                    ..site.clone()
                });
            } else {
                self.sites[place].add(site);
            }
        }
        Some(())
    }

    fn module(&mut self, module: &Module) -> Option<u32> {
        let path = if module.build_id.is_empty() { module.path.clone() } else { String::new() };
        let length = module.end.saturating_sub(module.start);
        let key = ModuleKey { build_id: module.build_id.clone(), path, offset: module.offset, length };
        let fresh = u32::try_from(self.tables.modules.len()).ok()?;
        Some(*self.modules.entry(key).or_insert_with(|| {
            self.tables.modules.push(Module { loaded: 0, unloaded: None, ..module.clone() });
            fresh
        }))
    }

    /// Returns the number of a frame, at the address that it would have had in the trace that had its module first.
    fn frame(&mut self, frame: &Frame, tables: &Tables, modules: &[u32]) -> Option<u32> {
        let (module, address) = match frame.module {
            _ if frame.kind == FrameKind::Cut => (None, 0),
            Some(module) => {
                let here = modules[module as usize];
                let (old, new) = (&tables.modules[module as usize], &self.tables.modules[here as usize]);
                (Some(here), frame.address.wrapping_sub(old.start).wrapping_add(new.start))
            }
            None => (None, frame.address),
        };
        let frame = Frame { address, module, kind: frame.kind };
        let fresh = u32::try_from(self.frames.len()).ok()?;
        let number = *self.frames.entry(frame).or_insert(fresh);
        if number == fresh {
            self.tables.stacks.push_frame(frame);
        }
        Some(number)
    }

    fn node(&mut self, parent: u32, frame: u32) -> Option<u32> {
        if let Some(&node) = self.nodes.get(&(parent, frame)) {
            return Some(node);
        }
        let node = self.tables.stacks.push(parent, frame)?;
        self.nodes.insert((parent, frame), node);
        Some(node)
    }
}
