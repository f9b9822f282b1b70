//! Binary trees whose nodes own each other, or refer to each other by keys: built from the leaves, walked, and dropped
//! from the root.

use std::{alloc::Layout, hint::black_box, ptr::NonNull};

use millpond::{Allocator, ArenaAlloc, For, Key, Local, Pool, PoolBox, ThinPool, typed::ThinBox};
use opool::{LocalPool, PoolAllocator, RefLocalGuard};
use slab::Slab;
use slotmap::{DefaultKey, SlotMap};
use typed_arena::Arena;

use super::hand_written::HandWritten;
use crate::harness::Runner;

/// Levels of a tree.
const LEVELS: u32 = 15;
const NODES: usize = (1 << LEVELS) - 1;

/// A node, for any type of link to its children: 64 bytes if a link is one word.
pub struct Node<L> {
    children: Option<[L; 2]>,
    values: [u64; 6],
}

/// A contender, defined by its type of link to a node.
trait Forest {
    type Link;
    fn plant(&mut self, node: Node<Self::Link>) -> Self::Link;
    fn look<'a>(&'a self, link: &'a Self::Link) -> &'a Node<Self::Link>;
    /// Drops a tree.
    fn fell(&mut self, root: Self::Link);
}

fn build<F: Forest>(forest: &mut F, levels: u32) -> F::Link {
    let children = (levels > 1).then(|| [build(forest, levels - 1), build(forest, levels - 1)]);
    forest.plant(Node { children, values: [u64::from(levels); 6] })
}

fn sum<F: Forest>(forest: &F, link: &F::Link) -> u64 {
    let node = forest.look(link);
    let below = node.children.as_ref().map_or(0, |[left, right]| sum(forest, left) + sum(forest, right));
    node.values[0] + below
}

fn building<F: Forest + 'static>(name: &'static str, mut forest: F) -> Runner {
    let run = move |count: usize| {
        let trees = count.div_ceil(NODES);
        for _ in 0..trees {
            let root = build(&mut forest, LEVELS);
            forest.fell(black_box(root));
        }
        trees * NODES
    };
    Runner { name, run: Box::new(run) }
}

fn walking<F: Forest<Link: 'static> + 'static>(name: &'static str, mut forest: F) -> Runner {
    let root = build(&mut forest, LEVELS);
    let run = move |count: usize| {
        let trees = count.div_ceil(NODES);
        for _ in 0..trees {
            black_box(sum(&forest, black_box(&root)));
        }
        trees * NODES
    };
    Runner { name, run: Box::new(run) }
}

macro_rules! runners {
    ($workload:ident) => {
        vec![
            $workload("raw Local<Blocks>", Blocks(Local::new(millpond::Blocks::new()))),
            $workload("Slots", Slots::new()),
            $workload("hand-written keys", Hands::new()),
            $workload(
                "raw, each with its pool",
                Referring(Box::leak(Box::new(Local::new(millpond::Blocks::new())))),
            ),
            $workload("Pool, PoolBox", Boxes(Box::leak(Box::new(Pool::new())))),
            $workload("ThinPool, ThinBox", Thins(Box::leak(Box::new(ThinPool::new())))),
            $workload("slab", Slabs::new()),
            $workload("slotmap", SlotMaps::new()),
            $workload("plurality, Alloc", PluralBound(Box::leak(Box::new(plurality::Pool::new())))),
            $workload("plurality, Box", Plural(plurality::Pool::new())),
            $workload(
                "opool, LocalPool",
                Objects(Box::leak(Box::new(LocalPool::new_prefilled(NODES, Leaves)))),
            ),
            $workload("Arena", Ours(millpond::Arena::new())),
            $workload("typed-arena", ArenaPool(Arena::new())),
        ]
    };
}

pub fn build_and_drop() -> Vec<Runner> {
    runners!(building)
}

pub fn walk() -> Vec<Runner> {
    runners!(walking)
}

struct Blocks(Local<millpond::Blocks<For<Node<Raw>>>>);

struct Raw(NonNull<Node<Raw>>);

impl Forest for Blocks {
    type Link = Raw;

    fn plant(&mut self, node: Node<Raw>) -> Raw {
        let block = self.0.allocate(Layout::new::<Node<Raw>>()).expect("the heap has room").cast();
        // SAFETY: the block was just allocated for a node.
        unsafe { block.write(node) };
        Raw(block)
    }

    fn look<'a>(&'a self, link: &'a Raw) -> &'a Node<Raw> {
        // SAFETY: a node is live as long as a link leads to it.
        unsafe { link.0.as_ref() }
    }

    fn fell(&mut self, root: Raw) {
        // SAFETY: the link is consumed, and was the only one.
        let node = unsafe { root.0.read() };
        node.children.into_iter().flatten().for_each(|child| self.fell(child));
        // SAFETY: the link is consumed, and was the only one.
        unsafe { self.0.deallocate(root.0.cast(), Layout::new::<Node<Raw>>()) };
    }
}

/// As [`Blocks`], with a reference to the pool in each link.
struct Referring(&'static Local<millpond::Blocks<For<Node<Found>>>>);

struct Found(NonNull<Node<Found>>, &'static Local<millpond::Blocks<For<Node<Found>>>>);

impl Forest for Referring {
    type Link = Found;

    fn plant(&mut self, node: Node<Found>) -> Found {
        let block = self.0.allocate(Layout::new::<Node<Found>>()).expect("the heap has room").cast();
        // SAFETY: the block was just allocated for a node.
        unsafe { block.write(node) };
        Found(block, self.0)
    }

    fn look<'a>(&'a self, link: &'a Found) -> &'a Node<Found> {
        // SAFETY: a node is live as long as a link leads to it.
        unsafe { link.0.as_ref() }
    }

    fn fell(&mut self, root: Found) {
        // SAFETY: the link is consumed, and was the only one.
        let node = unsafe { root.0.read() };
        node.children.into_iter().flatten().for_each(|child| self.fell(child));
        // SAFETY: the link is consumed, and was the only one.
        unsafe { root.1.deallocate(root.0.cast(), Layout::new::<Node<Found>>()) };
    }
}

/// Handles that own their node: a function that puts a node into the pool. Dropping a handle drops the node.
macro_rules! owning {
    ($forest:ident($pool:ty), $link:ident($handle:ty), $put:ident) => {
        struct $forest($pool);

        struct $link($handle);

        impl Forest for $forest {
            type Link = $link;

            fn plant(&mut self, node: Node<$link>) -> $link {
                $link(self.0.$put(node))
            }

            fn look<'a>(&'a self, link: &'a $link) -> &'a Node<$link> {
                &link.0
            }

            fn fell(&mut self, root: $link) {
                drop(root);
            }
        }
    };
}

owning!(Boxes(&'static Pool<Node<Boxed>>), Boxed(PoolBox<'static, Node<Boxed>>), alloc);
owning!(Thins(&'static ThinPool<Node<Thin>>), Thin(ThinBox<'static, Node<Thin>>), alloc);
owning!(Plural(plurality::Pool<Node<PluralBox>>), PluralBox(plurality::Box<Node<PluralBox>>), alloc_box);
owning!(
    PluralBound(&'static plurality::Pool<Node<PluralAlloc>>),
    PluralAlloc(plurality::Alloc<'static, Node<PluralAlloc>>),
    alloc
);

/// A guard of `opool` contains the object itself, so it must be boxed to be a child of another of its type: the pool
/// contains boxes.
struct Objects(&'static LocalPool<Leaves, Box<Node<Object>>>);

struct Object(RefLocalGuard<'static, Leaves, Box<Node<Object>>>);

struct Leaves;

impl PoolAllocator<Box<Node<Object>>> for Leaves {
    fn allocate(&self) -> Box<Node<Object>> {
        Box::new(Node { children: None, values: [0; 6] })
    }
}

impl Forest for Objects {
    type Link = Object;

    fn plant(&mut self, node: Node<Object>) -> Object {
        let mut object = self.0.get();
        **object = node;
        Object(object)
    }

    fn look<'a>(&'a self, link: &'a Object) -> &'a Node<Object> {
        &link.0
    }

    fn fell(&mut self, mut root: Object) {
        // An object is not dropped when it is returned, so its children would stay.
        root.0.children.take().into_iter().flatten().for_each(|child| self.fell(child));
    }
}

/// Arenas, which drop all nodes at once.
macro_rules! in_arena {
    ($forest:ident($arena:ty), $link:ident, |$used:ident| $clear:expr) => {
        struct $forest($arena);

        struct $link(NonNull<Node<$link>>);

        impl Forest for $forest {
            type Link = $link;

            fn plant(&mut self, node: Node<$link>) -> $link {
                $link(NonNull::from(self.0.alloc(node)))
            }

            fn look<'a>(&'a self, link: &'a $link) -> &'a Node<$link> {
                // SAFETY: a node is live until its arena is cleared, which consumes the root.
                unsafe { link.0.as_ref() }
            }

            fn fell(&mut self, _: $link) {
                let $used = &mut self.0;
                $clear;
            }
        }
    };
}

in_arena!(Ours(millpond::Arena), InOurs, |arena| arena.reset());
in_arena!(ArenaPool(Arena<Node<InArena>>), InArena, |arena| *arena = Arena::new());

/// Collections that refer to nodes by keys.
macro_rules! keyed {
    ($forest:ident, $collection:ty, $link:ident($key:ty), $remove:expr) => {
        struct $forest($collection);

        struct $link($key);

        impl $forest {
            fn new() -> Self {
                Self(<$collection>::new())
            }
        }

        impl Forest for $forest {
            type Link = $link;

            fn plant(&mut self, node: Node<$link>) -> $link {
                $link(self.0.insert(node))
            }

            fn look<'a>(&'a self, link: &'a $link) -> &'a Node<$link> {
                self.0.get(link.0).expect("there is a node for every key")
            }

            fn fell(&mut self, root: $link) {
                let node: Option<Node<$link>> = $remove(&mut self.0, root.0);
                let children = node.and_then(|node| node.children);
                children.into_iter().flatten().for_each(|child| self.fell(child));
            }
        }
    };
}

keyed!(Slots, millpond::Slots<Node<Slot>>, Slot(Key<Node<Slot>>), millpond::Slots::remove);
keyed!(Hands, HandWritten<Node<Word>>, Word(u64), HandWritten::remove);
keyed!(Slabs, Slab<Node<Index>>, Index(usize), Slab::try_remove);
keyed!(SlotMaps, SlotMap<DefaultKey, Node<MapKey>>, MapKey(DefaultKey), SlotMap::remove);
