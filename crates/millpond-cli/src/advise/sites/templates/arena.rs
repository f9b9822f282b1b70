use millpond::Arena;

/// Creates an arena for `site`. `ArenaAlloc::alloc` moves a value into it; dropping the arena frees all of them.
fn site_arena() -> Arena {
    Arena::new()
}
