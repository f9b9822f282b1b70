use millpond::{Classes, Local, pool::ClassesError};

/// Creates a pool of blocks for `site`.
fn site_pool() -> Result<Local<Classes>, ClassesError> {
    Ok(Local::new(Classes::with_sizes(&[24, 4321])?))
}
