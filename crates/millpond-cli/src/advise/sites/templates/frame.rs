use millpond::Arena;

/// Runs a phase whose blocks of `site` come from the arena, and frees all of them at its end. The arena keeps its memory
/// for the next phase.
fn site_phase<R>(arena: &mut Arena, phase: impl FnOnce(&Arena) -> R) -> R {
    let result = phase(arena);
    arena.reset();
    result
}
