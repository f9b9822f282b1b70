//! Call sites: where a program asks for memory, apart from the functions through which it does.
//!
//! The innermost frames of most stacks are those of `operator new`, of containers, or of the program's own wrapper of
//! `malloc`, which say nothing about who wanted the memory. They are skipped, up to the first frame that does.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use foldhash::fast::FixedState;
use millpond_trace::{Stacks, analysis::Site as Stack};

use super::Usage;
use crate::symbols::{Function, Names};

/// Namespaces of standard libraries.
const LIBRARIES: [&str; 6] = ["std::", "alloc::", "core::", "hashbrown::", "__gnu_cxx::", "__rust"];
/// Parts of the names of functions that allocate for others, in lower case.
const ALLOCATORS: [&str; 4] = ["alloc", "strdup", "operator new", "memalign"];
/// A function through which at least this share of all allocations comes, from at least this many functions, allocates
/// for others, whatever its name; so do those that it calls for that.
const NEARLY_ALL: f64 = 0.9;
const CALLERS: usize = 3;
/// How far outwards such functions are looked for.
const DEPTH: usize = 8;

/// A place in the program that allocates.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// What it allocated.
    pub(crate) usage: Usage,
    /// The functions through which it allocates, innermost first, in the stack that allocated most.
    pub(crate) through: Vec<Rc<Function>>,
    /// The function that it is in, and those that had called it in that stack, up to the outermost.
    pub(crate) frames: Vec<Rc<Function>>,
    /// Number of stacks.
    pub(crate) stacks: u64,
}

/// The sites of a trace.
pub(crate) struct Sites {
    /// All sites, those with the most bytes first. Stacks without frames make up a site without frames.
    pub(crate) list: Vec<Site>,
    /// The place in the list for each stack that allocated or resized.
    pub(crate) of_stack: HashMap<u32, u32, FixedState>,
}

/// Returns all sites.
pub(crate) fn sites(used: &[Stack], stacks: &Stacks, names: &Names) -> Sites {
    let mut search = Search::new(calls(used), stacks, names);
    search.find_wrappers();
    // Groups are large, and a table of them would be half empty.
    let mut places: HashMap<Option<u32>, usize, FixedState> = HashMap::default();
    let mut groups: Vec<Group> = Vec::new();
    for used in used.iter().filter(|used| used.allocations + used.resizes > 0) {
        let stack = used.stack;
        let telling = search.telling(stack);
        let place = *places.entry(telling.map(|(_, function)| function)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Group::default());
        }
        let group = &mut groups[place];
        group.usage.add(used);
        group.stacks.push(stack);
        if group.stacks.len() == 1 || used.bytes > group.most {
            (group.most, group.stack, group.skipped) =
                (used.bytes, stack, telling.map_or(0, |(skipped, _)| skipped));
        }
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.usage.bytes), group.stack));
    let numbered = (0..).zip(&groups);
    let of_stack =
        numbered.flat_map(|(at, group)| group.stacks.iter().map(move |&stack| (stack, at))).collect();
    Sites { list: groups.iter().map(|group| search.site(group)).collect(), of_stack }
}

/// Returns the numbers of the functions that allocate for others, by their names or by how much they allocate.
pub(crate) fn skipped(used: &[Stack], stacks: &Stacks, names: &Names) -> Vec<u32> {
    let mut search = Search::new(calls(used), stacks, names);
    search.find_wrappers();
    (0..).zip(search.skipped).filter(|(_, is_skipped)| *is_skipped).map(|(function, _)| function).collect()
}

/// Returns for each of these stacks, which have asked for memory so often, the site: how many functions are skipped, and
/// the number of the first that is not; `None` if the stack has no frames.
pub(crate) fn places(calls: Vec<(u32, u64)>, stacks: &Stacks, names: &Names) -> Vec<Option<(usize, u32)>> {
    let mut search = Search::new(calls, stacks, names);
    search.find_wrappers();
    search.calls.iter().map(|&(stack, _)| search.telling(stack)).collect()
}

/// Returns the stacks that asked for memory, and how often.
fn calls(used: &[Stack]) -> Vec<(u32, u64)> {
    let calls = used.iter().map(|used| (used.stack, used.allocations + used.resizes));
    calls.filter(|&(_, calls)| calls > 0).collect()
}

/// The stacks of a site.
#[derive(Default)]
struct Group {
    usage: Usage,
    stacks: Vec<u32>,
    /// The stack with the most bytes, these bytes, and how many of its functions are skipped.
    stack: u32,
    most: u64,
    skipped: usize,
}

struct Search<'a> {
    /// Every stack that allocated or resized, and how often.
    calls: Vec<(u32, u64)>,
    stacks: &'a Stacks,
    names: &'a Names,
    /// Whether each function, by its number, is skipped.
    skipped: Vec<bool>,
    /// A number for each name, by the function's number: a function has one for all its lines.
    same_name: Vec<u32>,
}

impl<'a> Search<'a> {
    fn new(calls: Vec<(u32, u64)>, stacks: &'a Stacks, names: &'a Names) -> Self {
        let mut numbers = HashMap::<&str, u32, FixedState>::default();
        let mut same_name = Vec::new();
        for function in names.functions() {
            let fresh = numbers.len() as u32;
            same_name.push(*numbers.entry(&function.name).or_insert(fresh));
        }
        let skipped = names.functions().iter().map(|function| allocates_for_others(function)).collect();
        Self { calls, stacks, names, skipped, same_name }
    }

    /// Iterates over the functions in a stack, innermost first.
    fn functions(&self, stack: u32) -> impl Iterator<Item = u32> {
        self.names.in_stack(self.stacks, stack)
    }

    /// Returns the first function in a stack that is not skipped, and how many are; if none is telling, the
    /// outermost of all.
    fn telling(&self, stack: u32) -> Option<(usize, u32)> {
        let mut functions = self.functions(stack).enumerate();
        let telling = functions.find(|&(_, function)| !self.skipped[function as usize]);
        telling.or_else(|| self.functions(stack).enumerate().last())
    }

    /// Looks for functions through which nearly all allocations come.
    fn find_wrappers(&mut self) {
        let total: u64 = self.calls.iter().map(|&(_, calls)| calls).sum();
        for _ in 0..DEPTH {
            let wrappers = self.wrappers((total as f64 * NEARLY_ALL) as u64);
            if wrappers.is_empty() {
                return;
            }
            for (skipped, name) in self.skipped.iter_mut().zip(&self.same_name) {
                *skipped |= wrappers.contains(name);
            }
        }
    }

    /// Follows the callers of the first telling functions outwards as long as at least `least` allocations come through
    /// one function, and returns the names on the way, if several functions call the last of them.
    fn wrappers(&self, least: u64) -> Vec<u32> {
        let skipped = |stack: u32| self.telling(stack).map_or(0, |(skipped, _)| skipped);
        let starts = self.calls.iter().map(|&(stack, calls)| (stack, calls, skipped(stack)));
        let starts: Vec<_> = starts.collect();
        let mut names = Vec::new();
        for depth in 0..DEPTH {
            let mut counts: HashMap<u32, (u64, BTreeSet<u32>), FixedState> = HashMap::default();
            for (stack, calls, skipped) in &starts {
                let outside = self.functions(*stack).skip(skipped + depth);
                let mut functions = outside.map(|function| self.same_name[function as usize]);
                let Some(name) = functions.next() else { continue };
                let (allocations, callers) = counts.entry(name).or_default();
                *allocations += calls;
                callers.extend(functions.next().filter(|_| callers.len() < CALLERS));
            }
            let common = counts.into_iter().find(|(_, (allocations, _))| *allocations >= least);
            let Some((name, (_, callers))) = common else { break };
            names.push(name);
            if callers.len() >= CALLERS {
                return names;
            }
        }
        Vec::new()
    }

    fn site(&self, group: &Group) -> Site {
        let all = self.names.functions();
        let mut functions = self.functions(group.stack).map(|function| Rc::clone(&all[function as usize]));
        let through = functions.by_ref().take(group.skipped).collect();
        Site { usage: group.usage, through, frames: functions.collect(), stacks: group.stacks.len() as u64 }
    }
}

/// Returns whether a function allocates for others, judged by its name.
fn allocates_for_others(function: &Function) -> bool {
    let name = &function.name;
    // `<alloc::vec::Vec<T> as …>::extend` belongs to the library, `<program::Item as core::fmt::Debug>::fmt` does not.
    let bare = name.trim_start_matches(['<', '&']);
    let bare = bare.strip_prefix("void ").unwrap_or(bare);
    if LIBRARIES.iter().any(|library| bare.starts_with(library)) {
        return true;
    }
    let own = own_name(name).to_lowercase();
    function.is_named && ALLOCATORS.iter().any(|part| own.contains(part))
}

/// Returns the last part of a function's path, without generic arguments and parameters.
fn own_name(name: &str) -> String {
    let mut depth = 0_i32;
    let outside = name.chars().filter(|&letter| {
        depth += i32::from(letter == '<') - i32::from(letter == '>');
        depth == 0 && letter != '>'
    });
    let path: String = outside.take_while(|&letter| letter != '(').collect();
    path.rsplit("::").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skips(name: &str) -> bool {
        allocates_for_others(&Function { name: name.into(), is_named: true, ..Function::default() })
    }

    #[test]
    fn functions_that_allocate_for_others_are_known_by_name() {
        for name in [
            "malloc",
            "operator new(unsigned long)",
            "jv_mem_alloc",
            "luaM_realloc_",
            "xstrdup",
            "std::vector<int, std::allocator<int> >::push_back(int const&)",
            "void std::__sort<int*>(int*, int*)",
            "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
            "<program::Pool<u8> as program::Source>::allocate",
            "hashbrown::raw::RawTable<T>::reserve",
            "__rust_alloc",
        ] {
            assert!(skips(name), "{name}");
        }
        for name in [
            "main",
            "parse_token",
            "deep::Inner<std::allocator<int> >::here(std::allocator<int>)",
            "<program::Item as core::fmt::Debug>::fmt",
            "program::load",
            "standard::load",
        ] {
            assert!(!skips(name), "{name}");
        }
        assert!(!allocates_for_others(&Function { name: "alloc.so+0x1234".into(), ..Function::default() }));
    }
}
