//! Scopes of a stack that are opened and ended in any order, and allocations in them.
//!
//! Each scope has an oracle of its own, which forgets its live blocks when the scope ends. Live blocks of outer scopes
//! must not change meanwhile: they are checked when their scope is the innermost again.

use std::alloc::Layout;

use millpond::{
    Inspect, Local,
    raw::Rewind,
    testing::{Oracle, TrackingParent},
};

use crate::Input;

/// Max number of open scopes.
const DEEPEST: usize = 12;

impl Input<'_> {
    /// Runs it on a stack. Two bytes are an operation: which one, and its size.
    pub fn play_scopes<P: Rewind + Inspect>(&self, pool: impl FnOnce() -> P) {
        let stack = Local::new_in(pool(), TrackingParent::failing(self.fails.clone()));
        let mut around = Vec::new();
        let mut inner = Oracle::new(&stack);
        for &operation in self.operations.as_chunks::<2>().0 {
            let [what, size] = operation.map(usize::from);
            let layout = Layout::from_size_align(size * size, 1 << (what / 8 % 8)).expect("a small layout");
            // A request may be refused.
            match (what % 8, inner.count()) {
                (0 | 1, _) => drop(inner.allocate(layout, size % 2 == 0)),
                (2, 1..) => drop(inner.resize(size % inner.count(), layout, false)),
                (3 | 4, 1..) => inner.deallocate(size % inner.count(), 0),
                (5 | 6, _) if around.len() < DEEPEST => {
                    around.push((stack.mark(), std::mem::replace(&mut inner, Oracle::new(&stack))));
                }
                _ => {
                    if let Some((mark, outer)) = around.pop() {
                        inner.forget();
                        // SAFETY: the mark is the newest, and the blocks allocated since are forgotten.
                        unsafe { stack.release(mark) };
                        inner = outer;
                    }
                }
            }
            stack.check().expect("sound");
        }
        for (mark, outer) in around.into_iter().rev() {
            inner.forget();
            // SAFETY: as above.
            unsafe { stack.release(mark) };
            inner = outer;
        }
    }
}
