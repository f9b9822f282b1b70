//! Bump arenas, compared with `bumpalo` and `bump-scope`: filling and resetting, scopes, frames and requests.

use std::{alloc::Layout, hint::black_box, sync::Mutex};

use bump_scope::alloc::Allocator as _;
use bumpalo::Bump;
use millpond::{Allocator, ArenaAlloc, ArenaPool, Frames, Linear, Local, Owned, Stack};

use crate::{
    cpp,
    harness::{Runner, compare},
    report::Mix,
};

/// Number of blocks allocated before all are freed, and in a scope.
const FILL: usize = 1000;
const IN_SCOPE: usize = 10;

pub const MIXES: &[Mix] = &[
    Mix {
        name: "arena",
        what: "allocate 1,000 blocks of 8 to 64 bytes, reset; per block",
        run: || compare(arenas),
    },
    Mix {
        name: "scope",
        what: "allocate 10 such blocks in a scope, end it; per block",
        run: || compare(scopes),
    },
    Mix {
        name: "frames",
        what: "1,000 values of 32 bytes a frame, two frames there; per value",
        run: || compare(frames),
    },
    Mix {
        name: "requests",
        what: "10 values of 32 bytes a request, in an arena of its own; per value",
        run: || compare(|| requests(IN_SCOPE)),
    },
    Mix {
        name: "large-requests",
        what: "1,000 values of 32 bytes a request, in an arena of its own; per value",
        run: || compare(|| requests(FILL)),
    },
];

/// Sizes that the compiler does not know, with a cheap way to iterate over them.
pub fn layouts() -> Vec<Layout> {
    (0..FILL).map(|step| Layout::from_size_align(8 + step * 7 % 8 * 8, 8).expect("a layout")).collect()
}

/// Runs `round`, which allocates every layout and frees all, as often as needed.
fn filling(name: &'static str, mut round: impl FnMut(&[Layout]) + 'static) -> Runner {
    let layouts = layouts();
    let run = move |count: usize| {
        let rounds = count.div_ceil(FILL);
        (0..rounds).for_each(|_| round(&layouts));
        rounds * FILL
    };
    Runner { name, run: Box::new(run) }
}

/// Runs `round`, which allocates some layouts in a scope, for all layouts, as often as needed.
fn scoping(name: &'static str, mut round: impl FnMut(&[Layout]) + 'static) -> Runner {
    filling(name, move |layouts| layouts.chunks(IN_SCOPE).for_each(&mut round))
}

fn arenas() -> Vec<Runner> {
    let mut bumpalo = bumpalo::Bump::with_capacity(1 << 16);
    let mut bump_scope: bump_scope::Bump = bump_scope::Bump::with_size(1 << 16);
    let mut owned = Owned::new(Linear::with_capacity(1 << 16));
    let mut local = Local::new(Linear::with_capacity(1 << 16));
    let mut stack = Local::new(Stack::with_capacity(1 << 16));
    let sizes: Vec<usize> = layouts().iter().map(Layout::size).collect();
    let monotonic = move |count: usize| {
        cpp::monotonic(&sizes, count.div_ceil(FILL));
        count.div_ceil(FILL) * FILL
    };
    vec![
        filling("bumpalo", move |layouts| {
            for &layout in layouts {
                black_box(bumpalo.alloc_layout(layout));
            }
            bumpalo.reset();
        }),
        filling("bump-scope", move |layouts| {
            for &layout in layouts {
                let _ = black_box((&bump_scope).allocate(layout));
            }
            bump_scope.reset();
        }),
        filling("Owned<Linear>", move |layouts| {
            for &layout in layouts {
                let _ = black_box(owned.allocate(layout));
            }
            owned.reset();
        }),
        filling("Local<Linear>", move |layouts| {
            for &layout in layouts {
                let _ = black_box(Allocator::allocate(&local, layout));
            }
            local.reset();
        }),
        filling("Local<Stack>", move |layouts| {
            for &layout in layouts {
                let _ = black_box(Allocator::allocate(&stack, layout));
            }
            stack.reset();
        }),
        Runner { name: "pmr::monotonic_buffer", run: Box::new(monotonic) },
    ]
}

fn scopes() -> Vec<Runner> {
    let mut bump_scope: bump_scope::Bump = bump_scope::Bump::with_size(1 << 16);
    let mut scoped = Local::new(Stack::with_capacity(1 << 16));
    let marked = Local::new(Stack::with_capacity(1 << 16));
    vec![
        scoping("bump-scope, scoped", move |layouts| {
            bump_scope.scoped(|scope| {
                for &layout in layouts {
                    let _ = black_box((&*scope).allocate(layout));
                }
            });
        }),
        scoping("Local<Stack>, scope", move |layouts| {
            scoped.scope(|scope| {
                for &layout in layouts {
                    let _ = black_box(Allocator::allocate(scope, layout));
                }
            });
        }),
        scoping("Local<Stack>, mark and release", move |layouts| {
            let mark = marked.mark();
            for &layout in layouts {
                let _ = black_box(Allocator::allocate(&marked, layout));
            }
            // SAFETY: the mark is the newest, and the blocks allocated since are not used any more.
            unsafe { marked.release(mark) };
        }),
    ]
}

/// Runs `round`, which creates `each` values and drops them, as often as needed.
fn values(name: &'static str, each: usize, mut round: impl FnMut(usize) + 'static) -> Runner {
    let run = move |count: usize| {
        let rounds = count.div_ceil(each);
        (0..rounds).for_each(|_| round(each));
        rounds * each
    };
    Runner { name, run: Box::new(run) }
}

fn frames() -> Vec<Runner> {
    let mut bumps = [Bump::new(), Bump::new()];
    let mut frames = Frames::<2>::new();
    vec![
        values("two bumpalos", FILL, move |each| {
            bumps.swap(0, 1);
            bumps[0].reset();
            (0..each).for_each(|number| _ = black_box(bumps[0].alloc([number; 4])));
        }),
        values("Frames", FILL, move |each| {
            frames.next_frame();
            (0..each).for_each(|number| _ = black_box(frames.alloc([number; 4])));
        }),
    ]
}

fn requests(each: usize) -> Vec<Runner> {
    let bumps = Mutex::new(Vec::new());
    let arenas = ArenaPool::new();
    vec![
        values("bumpalos in a Mutex<Vec<_>>", each, move |each| {
            let mut bump: Bump = bumps.lock().expect("no thread panics").pop().unwrap_or_default();
            (0..each).for_each(|number| _ = black_box(bump.alloc([number; 4])));
            bump.reset();
            bumps.lock().expect("no thread panics").push(bump);
        }),
        values("a new bumpalo", each, move |each| {
            let bump = Bump::new();
            (0..each).for_each(|number| _ = black_box(bump.alloc([number; 4])));
        }),
        values("ArenaPool", each, move |each| {
            let arena = arenas.get();
            (0..each).for_each(|number| _ = black_box(arena.alloc([number; 4])));
        }),
    ]
}
