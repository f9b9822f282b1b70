//! The progress of a task that takes longer than two seconds, with the time left: a bar on a terminal, otherwise an
//! occasional line on standard error.

use std::{
    cell::{Cell, OnceCell},
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// No progress is shown for tasks that take less than this.
const SHORT: Duration = Duration::from_secs(2);
/// If this variable is set, no progress is shown.
const SILENCE: &str = "MILLPOND_NO_PROGRESS";
/// The interval between lines if there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// The progress of one task. The bar is removed when this is dropped.
pub(crate) struct Progress {
    what: &'static str,
    begin: Instant,
    /// When to show progress next, if at all.
    next: Cell<Option<Instant>>,
    bar: OnceCell<ProgressBar>,
}

impl Progress {
    /// Starts a task, with a word that describes it.
    pub(crate) fn new(what: &'static str) -> Self {
        let begin = Instant::now();
        let next = std::env::var_os(SILENCE).is_none().then_some(begin + SHORT);
        Self { what, begin, next: Cell::new(next), bar: OnceCell::new() }
    }

    /// Reports that this much of `all` is done.
    pub(crate) fn at(&self, done: u64, all: u64) {
        if self.next.get().is_none_or(|next| Instant::now() < next) {
            return;
        }
        if stderr().is_terminal() {
            let bar = self.bar.get_or_init(bar);
            bar.set_length(all);
            bar.set_position(done.min(all));
            bar.set_message(format!("{}, {}", self.what, left(self.begin.elapsed(), done, all)));
            self.next.set(Some(Instant::now() + Duration::from_millis(100)));
        } else {
            let percent = done.min(all) * 100 / all.max(1);
            super::eprint(&format!("{}: {percent} %, {}", self.what, left(self.begin.elapsed(), done, all)));
            self.next.set(Some(Instant::now() + INTERVAL));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // If the style does not parse, the default style is used.
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent} %") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// Returns the time left if the task continues at the same speed.
fn left(elapsed: Duration, done: u64, all: u64) -> String {
    if done == 0 {
        return "time left unknown".into();
    }
    let left = elapsed.as_secs_f64() * all.saturating_sub(done) as f64 / done as f64;
    match left.round() as u64 {
        seconds @ 0..=99 => format!("{seconds} s left"),
        seconds => format!("{} min left", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left() {
        let left = |seconds, done, all| left(Duration::from_secs(seconds), done, all);
        assert_eq!(left(3, 0, 10), "time left unknown");
        assert_eq!(left(3, 1, 4), "9 s left");
        assert_eq!(left(3, 4, 4), "0 s left");
        assert_eq!(left(3, 5, 4), "0 s left", "an estimate was too low");
        assert_eq!(left(60, 1, 11), "10 min left");
    }
}
