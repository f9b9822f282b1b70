use millpond::{Cached, Classes, pool::ClassesError};

/// Creates a pool of blocks for `site` that any thread may use. Each thread caches free blocks.
fn site_pool() -> Result<Cached<Classes>, ClassesError> {
    Ok(Cached::new(Classes::with_sizes(&[24, 4321])?))
}
