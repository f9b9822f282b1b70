//! Binary trees whose nodes own each other, or refer to each other by keys: built from the leaves, walked, and dropped
//! from the root.

use std::{alloc::Layout, hint::black_box, ptr::NonNull};

use millpond::{Allocator, For, Local};
use opool::{LocalPool, PoolAllocator, RefLocalGuard};

use super::kinds::{
    ArenaOf, HandWrittenKind, Keyed, KeyedKind, OwningKind, PluralAllocs, PluralBoxes, PoolBoxes, SlabKind,
    SlotMapKind, SlotsKind, ThinBoxes,
};
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

/// What is done with the trees of a contender.
trait Task {
    fn runner<F: Forest<Link: 'static> + 'static>(name: &'static str, forest: F) -> Runner;
}

/// Builds a tree and drops it.
struct Build;

impl Task for Build {
    fn runner<F: Forest<Link: 'static> + 'static>(name: &'static str, mut forest: F) -> Runner {
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
}

/// Walks a tree.
struct Walk;

impl Task for Walk {
    fn runner<F: Forest<Link: 'static> + 'static>(name: &'static str, mut forest: F) -> Runner {
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
}

fn runners<T: Task>() -> Vec<Runner> {
    vec![
        T::runner("raw Local<Blocks>", Blocks(Local::new(millpond::Blocks::new()))),
        T::runner("Slots", Keys::<SlotsKind>::new()),
        T::runner("hand-written keys", Keys::<HandWrittenKind>::new()),
        T::runner(
            "raw, each with its pool",
            Referring(Box::leak(Box::new(Local::new(millpond::Blocks::new())))),
        ),
        T::runner("Pool, PoolBox", Owning::<PoolBoxes>::new()),
        T::runner("ThinPool, ThinBox", Owning::<ThinBoxes>::new()),
        T::runner("slab", Keys::<SlabKind>::new()),
        T::runner("slotmap", Keys::<SlotMapKind>::new()),
        T::runner("plurality, Alloc", Owning::<PluralAllocs>::new()),
        T::runner("plurality, Box", Owning::<PluralBoxes>::new()),
        T::runner("opool, LocalPool", Objects(Box::leak(Box::new(LocalPool::new_prefilled(NODES, Leaves))))),
        T::runner("Arena", InArena(millpond::Arena::new())),
        T::runner("typed-arena", InArena(typed_arena::Arena::new())),
    ]
}

pub fn build_and_drop() -> Vec<Runner> {
    runners::<Build>()
}

pub fn walk() -> Vec<Runner> {
    runners::<Walk>()
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

/// Pools whose handles own their nodes.
struct Owning<K: OwningKind>(&'static K::Pool<Node<Handle<K>>>);

struct Handle<K: OwningKind>(K::Handle<Node<Handle<K>>>);

impl<K: OwningKind> Owning<K> {
    fn new() -> Self {
        Self(Box::leak(Box::new(K::new())))
    }
}

impl<K: OwningKind> Forest for Owning<K> {
    type Link = Handle<K>;

    fn plant(&mut self, node: Node<Handle<K>>) -> Handle<K> {
        Handle(K::put(self.0, node))
    }

    fn look<'a>(&'a self, link: &'a Handle<K>) -> &'a Node<Handle<K>> {
        &link.0
    }

    fn fell(&mut self, root: Handle<K>) {
        drop(root);
    }
}

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
struct InArena<A>(A);

impl<A: ArenaOf<Node<Raw>>> Forest for InArena<A> {
    type Link = Raw;

    fn plant(&mut self, node: Node<Raw>) -> Raw {
        Raw(self.0.put(node))
    }

    fn look<'a>(&'a self, link: &'a Raw) -> &'a Node<Raw> {
        // SAFETY: a node is live until its arena is cleared, which consumes the root.
        unsafe { link.0.as_ref() }
    }

    fn fell(&mut self, _: Raw) {
        self.0.clear();
    }
}

/// Collections that refer to nodes by keys.
struct Keys<C: KeyedKind>(C::Of<Node<KeyLink<C>>>);

struct KeyLink<C: KeyedKind>(<C::Of<Node<KeyLink<C>>> as Keyed<Node<KeyLink<C>>>>::Key);

impl<C: KeyedKind> Keys<C> {
    fn new() -> Self {
        Self(Keyed::new())
    }
}

impl<C: KeyedKind> Forest for Keys<C> {
    type Link = KeyLink<C>;

    fn plant(&mut self, node: Node<KeyLink<C>>) -> KeyLink<C> {
        KeyLink(self.0.insert(node))
    }

    fn look<'a>(&'a self, link: &'a KeyLink<C>) -> &'a Node<KeyLink<C>> {
        self.0.get(link.0).expect("there is a node for every key")
    }

    fn fell(&mut self, root: KeyLink<C>) {
        let children = self.0.remove(root.0).and_then(|node| node.children);
        children.into_iter().flatten().for_each(|child| self.fell(child));
    }
}
