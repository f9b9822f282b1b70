thread_local! {
    /// The buffer of `site`, which keeps its memory.
    static SITE_BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Calls a function with the buffer, empty and with room for 4321 bytes. The function must not call this one.
fn with_site_buffer<R>(function: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    SITE_BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.reserve(4321);
        function(buffer)
    })
}
