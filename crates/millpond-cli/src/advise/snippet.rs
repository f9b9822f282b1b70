//! Advice as Rust to paste.

use std::fmt::Write as _;

use super::Block;
use crate::units::percent;

/// A type, its sizes and what makes one.
pub(super) fn rust(program: &str, blocks: &[Block], covered: f64) -> String {
    let sizes: Vec<_> = blocks.iter().map(|block| block.size.to_string()).collect();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "use millpond::{{Classes, ClassesError, Local}};\n\
         \n\
         /// Block sizes that cover {} of the allocations of {program}.\n\
         const SIZES: [usize; {}] = [{}];\n\
         \n\
         fn pool() -> Result<Local<Classes>, ClassesError> {{\n    \
             Ok(Local::new(Classes::with_sizes(&SIZES)?))\n\
         }}\n",
        percent(covered),
        sizes.len(),
        sizes.join(", "),
    );
    text
}
