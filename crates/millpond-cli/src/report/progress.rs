//! How far the replay is, on a terminal; nothing anywhere else.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error that goes away when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar with a word for what is going on.
    pub(crate) fn new(what: &str) -> Self {
        let bar = ProgressBar::no_length().with_message(what.to_owned());
        // A style that does not parse would leave the default one.
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// One of `all` turns is done.
    pub(crate) fn turn(&self, all: u64) {
        self.0.set_length(all);
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
