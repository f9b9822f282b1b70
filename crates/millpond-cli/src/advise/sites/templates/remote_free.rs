use millpond::{Blocks, Fixed, shell::RemoteFree};

/// Creates a pool of blocks for `site`. The thread that allocates uses what `try_own` returns; all others free through
/// the pool itself.
fn site_pool() -> RemoteFree<Fixed<4321>> {
    RemoteFree::new(Blocks::new())
}
