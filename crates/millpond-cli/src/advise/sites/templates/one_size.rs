use millpond::{Blocks, Fixed, Local};

/// Creates a pool of blocks for `site`. For values of one type, `millpond::Pool<T>` does the same.
fn site_pool() -> Local<Blocks<Fixed<4321>>> {
    Local::new(Blocks::new())
}
