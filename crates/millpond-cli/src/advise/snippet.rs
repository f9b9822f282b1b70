//! Advice as Rust to paste.

use super::Block;
use crate::units::percent;

/// What makes a pool of these sizes.
pub(super) fn rust(program: &str, blocks: &[Block], covered: f64) -> String {
    let sizes = sizes(program, blocks, covered);
    format!("use millpond::{{Classes, ClassesError, Local}};\n\n{sizes}\n{POOL}")
}

/// The same, and what makes one on huge pages.
pub(super) fn rust_huge(program: &str, blocks: &[Block], covered: f64) -> String {
    let sizes = sizes(program, blocks, covered);
    let largest = blocks.last().map_or(0, |block| block.size);
    format!(
        "use millpond::{{Classes, ClassesError, Heap, Linear, Local, Segregate, TunedPages}};\n\n\
         {sizes}\n\
         {POOL}\n\
         /// On huge pages; blocks larger than {largest} bytes come from the heap.\n\
         type OnHugePages = Segregate<Local<Classes, Local<Linear, TunedPages>>, Heap>;\n\n\
         {ON_HUGE_PAGES}"
    )
}

fn sizes(program: &str, blocks: &[Block], covered: f64) -> String {
    let sizes: Vec<_> = blocks.iter().map(|block| block.size.to_string()).collect();
    format!(
        "/// Block sizes that cover {} of the allocations of {program}.\nconst SIZES: [usize; {}] = [{}];\n",
        percent(covered),
        sizes.len(),
        sizes.join(", "),
    )
}

const POOL: &str = "\
fn pool() -> Result<Local<Classes>, ClassesError> {
    Ok(Local::new(Classes::with_sizes(&SIZES)?))
}
";

const ON_HUGE_PAGES: &str = "\
fn pool_on_huge_pages() -> Result<OnHugePages, ClassesError> {
    let classes = Classes::with_sizes(&SIZES)?;
    let pages = Local::new_in(Linear::new(), TunedPages::new().transparent_huge_pages());
    Ok(Segregate::new(SIZES[SIZES.len() - 1], Local::new_in(classes, pages), Heap))
}
";
