/// Creates a vector with room for 4321 bytes, which are enough for nearly all vectors of `site`.
fn site_vec<T>() -> Vec<T> {
    Vec::with_capacity(4321_usize.div_ceil(size_of::<T>().max(1)))
}
