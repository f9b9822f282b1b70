//! Guards that choose between two pools, or two allocators.

mod fallback;
mod routed;
mod routed_pool;
mod segregator;

pub use fallback::Fallback;
pub use routed::Routed;
pub use segregator::Segregator;
