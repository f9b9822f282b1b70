//! Guards that choose between two pools, or two allocators.

mod fallback;
mod pair;
mod segregator;

pub use fallback::Fallback;
pub use segregator::Segregator;
