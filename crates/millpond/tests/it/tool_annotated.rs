//! The guard that shows blocks to valgrind and AddressSanitizer: the conformance kit, and what these tools report about
//! a program that is wrong on purpose.
//!
//! That program is this one: each of the functions below runs in a process of its own.

use std::{
    alloc::Layout,
    env,
    hint::black_box,
    process::{Command, Output},
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use millpond::{
    Allocator, Blocks, Classes, Fixed, Heap, Linear, Local, Locked, Magazine, Pages, Tlsf,
    guard::{Canary, Poison, Quarantine, Stats, ToolAnnotated},
    observe::Reporter,
    testing::{TrackingParent, conformance},
};

use crate::{
    again,
    conformance::{MIXED, an_arena_on_every_parent, on_every_parent, only_leaks, shell},
};

const KIT: Reporter = Reporter::named("kit").with_hook(only_leaks);

#[test]
fn around_pools() {
    on_every_parent((112, 8), || ToolAnnotated::<_, 4>::new(Blocks::<Fixed<128>>::new()).reporting(KIT));
    on_every_parent((112, 8), || {
        ToolAnnotated::<_, 4>::new(Blocks::<(Fixed<128>, Magazine)>::new()).reporting(KIT)
    });
    an_arena_on_every_parent(MIXED, || {
        ToolAnnotated::<_, 64>::new(Linear::new()).reporting(KIT).holding(1000)
    });
    on_every_parent(MIXED, || ToolAnnotated::<_, 4>::new(Tlsf::new()).reporting(KIT));
}

#[test]
fn around_allocators_and_other_guards() {
    let tlsf = || Local::new_in(Tlsf::without_quick_list(), TrackingParent::default());
    shell(MIXED, || ToolAnnotated::<_, 4>::around(tlsf()).reporting(KIT));
    conformance(|| ToolAnnotated::<_, 4>::around(Poison::new(Heap)).reporting(KIT));
    shell(MIXED, || {
        let inside = Canary::new(Quarantine::<_, 3>::new(Poison::new(Classes::new())));
        Locked::<_, _>::new_in(
            ToolAnnotated::<_, 4>::new(Stats::new(inside)).reporting(KIT),
            TrackingParent::default(),
        )
    });
    shell(MIXED, || {
        let twice = ToolAnnotated::<_, 4>::new(ToolAnnotated::<_, 4>::new(Tlsf::new()).reporting(KIT));
        Local::new_in(Canary::new(twice.reporting(KIT)), TrackingParent::default())
    });
}

const LAYOUT: Layout = Layout::new::<[u8; 48]>();

type Pool = Local<ToolAnnotated<Blocks<Fixed<64>>>, Pages>;

fn pool() -> Pool {
    Local::new_in(ToolAnnotated::new(Blocks::new()), Pages)
}

fn take(pool: &impl Allocator) -> NonNull<u8> {
    pool.allocate(LAYOUT).expect("the heap has room").cast()
}

fn culprit_that_reads_what_was_freed() {
    let pool = pool();
    let block = take(&pool);
    // SAFETY: the second call is wrong on purpose; the memory is the pool's.
    unsafe {
        block.write(1);
        pool.deallocate(block, LAYOUT);
        black_box(block.read_volatile());
    }
}

fn culprit_that_writes_behind_a_block() {
    let pool = pool();
    let block = take(&pool);
    // SAFETY: wrong on purpose; the memory is the guard's.
    unsafe {
        block.add(48).write_volatile(1);
        pool.deallocate(block, LAYOUT);
    }
}

fn culprit_that_decides_by_what_was_never_written() {
    let pool = pool();
    for _ in 0..2 {
        let block = take(&pool);
        // SAFETY: wrong on purpose; the memory is the pool's.
        unsafe {
            if block.read_volatile() == 7 {
                eprintln!("seven");
            }
            block.write_bytes(0, 48);
            pool.deallocate(block, LAYOUT);
        }
    }
}

fn culprit_that_forgets_a_block() {
    let pool: &'static Pool = Box::leak(Box::new(pool()));
    KEPT.store(ptr::from_ref(pool).cast_mut(), Relaxed);
    // The pool knows where its chunk begins, so the first block does not look lost.
    black_box(take(pool));
    forget_one(pool);
    wipe_the_stack();
}

/// Removes pointers to the block that earlier calls left on the stack.
#[inline(never)]
fn wipe_the_stack() {
    black_box([0u8; 1 << 16]);
}

/// Keeps the pool itself from being a leak.
static KEPT: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

#[inline(never)]
fn forget_one(pool: &Pool) {
    black_box(take(pool));
}

fn culprit_that_drops_a_pool_too_early() {
    let pool = pool();
    forget_one(&pool);
}

/// A correct program: memory is reused, reset, trimmed and released.
#[test]
fn innocent() {
    let mut pool = Local::new(ToolAnnotated::<_, 2>::new(Tlsf::new()).reporting(KIT));
    for _ in 0..3 {
        let blocks: Vec<NonNull<u8>> = (0..200).map(|_| take(&pool)).collect();
        for &block in &blocks {
            // SAFETY: the block is live and of this layout.
            unsafe { block.write_bytes(3, 48) };
        }
        for &block in &blocks[..150] {
            // SAFETY: the block is live, and freed once.
            unsafe { pool.deallocate(block, LAYOUT) };
        }
        let wide = Layout::new::<[u8; 96]>();
        // SAFETY: the block is live, grows and shrinks, and is freed.
        unsafe {
            let block = pool.grow(blocks[199], LAYOUT, wide).expect("the heap has room").cast::<u8>();
            assert_eq!(block.add(47).read_volatile(), 3);
            block.write_bytes(4, 96);
            let block = pool.shrink(block, wide, LAYOUT).expect("the heap has room").cast::<u8>();
            assert_eq!(block.add(47).read_volatile(), 4);
            pool.deallocate(block, LAYOUT);
        }
        let zeroed = pool.allocate_zeroed(LAYOUT).expect("the heap has room").cast::<[u8; 48]>();
        // SAFETY: the block is live, and zero.
        assert_eq!(unsafe { zeroed.read_volatile() }, [0; 48]);
        pool.reset();
        pool.trim();
    }
    // Around an allocator, zeroed memory is zero already when the guard hands it out.
    let around = ToolAnnotated::<_, 2>::around(Local::new(Tlsf::new())).reporting(KIT);
    let zeroed = around.allocate_zeroed(LAYOUT).expect("the heap has room");
    // SAFETY: the block is live, and zero.
    unsafe {
        assert_eq!(zeroed.cast::<[u8; 48]>().read_volatile(), [0; 48]);
        around.deallocate(zeroed.cast(), LAYOUT);
    }
    let memory = vec![1u8; 100_000];
    assert!(black_box(memory).iter().all(|&byte| byte == 1));
}

/// The variable that selects one of the functions above.
const CULPRIT: &str = "MILLPOND_CULPRIT";

/// Runs in the processes that the tests below start.
#[test]
fn culprit() {
    match env::var(CULPRIT).as_deref() {
        Ok("culprit_that_reads_what_was_freed") => culprit_that_reads_what_was_freed(),
        Ok("culprit_that_writes_behind_a_block") => culprit_that_writes_behind_a_block(),
        Ok("culprit_that_decides_by_what_was_never_written") => {
            culprit_that_decides_by_what_was_never_written()
        }
        Ok("culprit_that_forgets_a_block") => culprit_that_forgets_a_block(),
        Ok("culprit_that_drops_a_pool_too_early") => culprit_that_drops_a_pool_too_early(),
        Ok("innocent") => innocent(),
        _ => eprintln!("{CULPRIT} names no function: nothing is done wrong"),
    }
}

/// Runs one of the functions above in a process of its own.
fn run(program: &mut Command, name: &str) -> (Output, String) {
    program
        .args(["--exact", "--nocapture", "--test-threads=1", "tool_annotated::culprit"])
        .env(CULPRIT, name);
    let output = program.output().expect("the program runs");
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("running 1 test"), "{name}:\n{said}");
    (output, said)
}

#[test]
fn valgrind_sees_into_a_pool() {
    const WHAT: &str = "what valgrind says";
    if !again::slow_tests_are_wanted(WHAT) {
        return;
    }
    let Some(this) = again::this_program(WHAT) else { return };
    if asan_is_in_this_program() {
        return again::skipped(WHAT, "this program is built with AddressSanitizer");
    }
    // Valgrind may be missing, or made for other machines, and a program with a sanitizer's runtime cannot run under
    // it.
    let tried = Command::new("valgrind").arg("--quiet").arg(this.get_program()).arg("--list").output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        return again::skipped(WHAT, "valgrind is not installed, or cannot run this program");
    }
    let expect = |name: &str, words: &[&str]| {
        let valgrind = &mut Command::new("valgrind");
        valgrind.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
        valgrind.args(["--error-exitcode=9"]).arg(this.get_program());
        let (output, said) = run(valgrind, name);
        let innocent = words.is_empty();
        assert_eq!(output.status.code() == Some(0), innocent, "{name}: {}\n{said}", output.status);
        for word in words {
            assert!(said.contains(word), "{name} lacks {word:?}:\n{said}");
        }
    };
    expect("innocent", &[]);
    expect(
        "culprit_that_reads_what_was_freed",
        &["Invalid read of size 1", "is 0 bytes inside a block of size 48 free'd", "Block was alloc'd at"],
    );
    expect(
        "culprit_that_writes_behind_a_block",
        &["Invalid write of size 1", "is 0 bytes after a block of size 48 alloc'd"],
    );
    expect("culprit_that_decides_by_what_was_never_written", &["depends on uninitialised value"]);
    expect(
        "culprit_that_forgets_a_block",
        &["48 bytes in 1 blocks are definitely lost", "tool_annotated::forget_one"],
    );
    expect("culprit_that_drops_a_pool_too_early", &["1 blocks (48 bytes in total) were never freed"]);
}

/// The runtime of AddressSanitizer prints its options when it is asked.
fn asan_is_in_this_program() -> bool {
    let this = env::current_exe().expect("a program knows where it is");
    let asked = Command::new(this).arg("--list").env("ASAN_OPTIONS", "help=1").output();
    asked.is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("AddressSanitizer"))
}

#[test]
fn address_sanitizer_sees_into_a_pool() {
    const WHAT: &str = "what AddressSanitizer says";
    let Some(this) = again::this_program(WHAT) else { return };
    if !asan_is_in_this_program() {
        return again::skipped(WHAT, "this program is built without it");
    }
    let expect = |name: &str, words: &[&str]| {
        let (output, said) = run(Command::new(this.get_program()).env_remove("ASAN_OPTIONS"), name);
        assert_eq!(output.status.success(), words.is_empty(), "{name}: {}\n{said}", output.status);
        for word in words {
            assert!(said.contains(word), "{name} lacks {word:?}:\n{said}");
        }
    };
    expect("innocent", &[]);
    expect("culprit_that_reads_what_was_freed", &["use-after-poison", "READ of size 1"]);
    expect("culprit_that_writes_behind_a_block", &["use-after-poison", "WRITE of size 1"]);
    expect("culprit_that_drops_a_pool_too_early", &["1 blocks (48 bytes in total) were never freed"]);
}
