//! Signal handlers: what they interrupt is part of their stacks, and may be a walk.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::support::{COMPARED, Library, check, compared, frames, stack};

type Here = extern "C" fn();
type Stepwise = unsafe extern "C" fn(Here, Here, i64, i32, i32) -> i64;

/// Returns a library for tests that interrupt each instruction; `None` where modules are found by a function that takes a
/// lock: a handler that jumps away from it, or a second thread, would wait forever.
fn interrupted_program() -> Option<Library> {
    if std::env::var_os("WITHOUT_SEARCH").is_some() { None } else { program() }
}

fn program() -> Option<Library> {
    Library::build("stacks.c", "signals", &["-Wl,-z,lazy"])
}

#[test]
fn handlers_on_the_same_stack_and_on_another() {
    let Some(program) = program() else { return };
    // SAFETY: that is its type.
    let handlers: unsafe extern "C" fn(Here, i32) = unsafe { program.function("handlers") };
    compared(200, || {
        for round in 0..6 {
            // SAFETY: `check` is such a function.
            unsafe { handlers(check, round % 2) }
        }
    });
}

#[test]
fn every_instruction_of_prologues_stubs_and_the_kernels_code() {
    let Some(program) = program() else { return };
    // SAFETY: these are their types.
    let (stepwise, various): (Stepwise, Here) =
        unsafe { (program.function("stepwise"), program.function("various")) };
    compared(500, || {
        // SAFETY: both are such functions.
        let steps = [0, 1].map(|other| unsafe { stepwise(check, various, 0, other, 16) });
        assert!(steps.iter().all(|&steps| steps > 300), "{steps:?}");
    });
}

/// The number of the stack that the last call of `inner` found.
static INNER: AtomicU32 = AtomicU32::new(0);

/// Called from one place, to find equal stacks.
extern "C" fn inner() {
    INNER.store(stack(1000), Relaxed);
}

/// Finds another stack each time, deeper than that of the walk it interrupts, and compares a few.
extern "C" fn outer() {
    stack(1000);
    if COMPARED.load(Relaxed).is_multiple_of(8) {
        check();
    } else {
        COMPARED.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_walk_is_interrupted_after_each_instruction() {
    let Some(program) = interrupted_program() else { return };
    // SAFETY: that is its type.
    let stepwise: Stepwise = unsafe { program.function("stepwise") };
    extern "C" fn nothing() {}
    // Runs `inner`, and returns the number of instructions, and the stack that it finds.
    let run = |handler: Here, other_stack, room| {
        // SAFETY: both are such functions.
        let steps = unsafe { stepwise(handler, inner, 0, other_stack, room) };
        (steps, frames(INNER.load(Relaxed)))
    };
    compared(1000, || {
        // The first call reads the rules, but the frames of the second are in another place.
        for (other_stack, room) in [(0, 64), (1, 128), (0, 64), (1, 192)] {
            let [(steps, interrupted), (_, undisturbed)] =
                [outer as Here, nothing].map(|handler| run(handler, other_stack, room));
            assert!(steps > 100);
            assert_eq!(interrupted, undisturbed);
        }
    });
}

#[test]
fn a_handler_jumps_away_after_each_instruction_of_a_walk() {
    let Some(program) = interrupted_program() else { return };
    // SAFETY: these are their types.
    let (stepwise, recursion): (Stepwise, unsafe extern "C" fn(Here)) =
        unsafe { (program.function("stepwise"), program.function("recursion")) };
    compared(1000, || {
        for steps in (1..200).step_by(3).chain((200..2000).step_by(41)) {
            // SAFETY: all are such functions.
            let made =
                unsafe { stepwise(outer, inner, steps, (steps & 1) as i32, (1 + steps % 64) as i32 * 16) };
            check();
            if made < steps {
                break;
            }
            if steps % 50 == 0 {
                // SAFETY: `check` is such a function.
                unsafe { recursion(check) };
            }
        }
    });
}
