//! `millpond top` in a terminal.

mod draw;
mod view;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use self::view::{Action, View};
use crate::{
    cli,
    top::{Places, Snapshot, Source, State, interval},
};

/// The interval at which events are read.
const TURN: Duration = Duration::from_millis(100);

/// Shows a program until the user ends it. The terminal is restored in any case.
pub(crate) fn show(source: Box<dyn Source>, places: Places, arguments: &cli::Top) -> Result<ExitCode> {
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)
            .context("cannot handle signals")?;
    }
    // This also restores the terminal after a panic.
    let terminal = ratatui::try_init().context("cannot use the terminal; --once prints one table")?;
    let session = Session {
        terminal,
        view: View::new(arguments),
        source,
        places,
        interval: interval(arguments),
        signal: Arc::clone(&signal),
        has_keys_on_stdin: io::stdin().is_terminal(),
    };
    let shown = session.run();
    // If the terminal was closed, there is nothing to restore, and nowhere to report an error.
    let _ = ratatui::try_restore();
    shown?;
    Ok(match signal.load(Relaxed) as u8 {
        0 => ExitCode::SUCCESS,
        number => ExitCode::from(128 + number),
    })
}

struct Session {
    terminal: DefaultTerminal,
    view: View,
    source: Box<dyn Source>,
    places: Places,
    interval: Duration,
    /// The signal that arrived; 0: none.
    signal: Arc<AtomicUsize>,
    /// Whether keys come from standard input, as they do if it is a terminal.
    has_keys_on_stdin: bool,
}

impl Session {
    fn run(mut self) -> Result<()> {
        let mut state = State::Behind(0.0);
        let mut next = Instant::now();
        let mut snapshot = self.snapshot(&state);
        loop {
            state = if self.view.is_held() && !self.source.about().is_live {
                state
            } else {
                self.source.advance()?
            };
            let now = Instant::now();
            if now >= next && !self.view.is_held() {
                self.look_up(&mut snapshot)?;
                snapshot = self.snapshot(&state);
                self.draw(&snapshot)?;
                next = now + self.interval;
            }
            let wait = match state {
                State::Behind(_) => Duration::ZERO,
                _ => TURN.min(next.saturating_duration_since(Instant::now())).max(Duration::from_millis(10)),
            };
            if self.signal.load(Relaxed) != 0 {
                return Ok(());
            }
            match self.react(wait, &snapshot)? {
                Action::Nothing => {}
                Action::End => return Ok(()),
                Action::Draw => self.draw(&snapshot)?,
                Action::Refresh => {
                    snapshot = self.snapshot(&state);
                    self.draw(&snapshot)?;
                }
            }
            self.source.hold(self.view.is_held());
        }
    }

    /// Looks up call sites, if there are new ones, and says so if it may take a while.
    fn look_up(&mut self, snapshot: &mut Snapshot) -> Result<()> {
        if self.places.are_due(&*self.source) {
            if self.places.sites().is_empty() {
                self.view.note = Some("looking up the names of functions ...".into());
                self.draw(snapshot)?;
                self.view.note = None;
            }
            self.places.look_up(&mut *self.source)?;
        }
        Ok(())
    }

    fn snapshot(&mut self, state: &State) -> Snapshot {
        let (source, places) = (&*self.source, &self.places);
        let snapshot = Snapshot::take(source, places, state.clone(), self.view.generation, &self.view.marks);
        self.view.choose_mark(&snapshot);
        snapshot
    }

    fn draw(&mut self, snapshot: &Snapshot) -> Result<()> {
        let (view, about) = (&mut self.view, self.source.about());
        self.terminal.draw(|frame| draw::draw(frame, view, about, snapshot)).context("cannot draw")?;
        Ok(())
    }

    /// Waits for keys and for changes of the terminal's size.
    fn react(&mut self, wait: Duration, snapshot: &Snapshot) -> Result<Action> {
        let mut action = Action::Nothing;
        let mut wait = wait;
        if self.has_keys_on_stdin {
            // Crossterm never stops waiting for keys of a terminal that was closed. Not every program that closes one sends
            // a signal.
            if is_closed(wait)? {
                // Whatever is dropped would write to the terminal.
                std::process::exit(128 + SIGHUP);
            }
            wait = Duration::ZERO;
        }
        while action != Action::End && is_ready(wait)? {
            let next = match event::read().context("cannot read from the terminal")? {
                Event::Key(key) if key.kind != KeyEventKind::Release => self.view.key(key, snapshot),
                Event::Resize(..) => Action::Draw,
                _ => Action::Nothing,
            };
            action = action.max(next);
            wait = Duration::ZERO;
        }
        Ok(action)
    }
}

/// Waits until there is something to read from standard input, or a signal arrives; returns whether it was closed.
fn is_closed(wait: Duration) -> Result<bool> {
    let stdin = io::stdin();
    let mut ends = [PollFd::new(&stdin, PollFlags::IN)];
    let wait = Timespec::try_from(wait).context("cannot wait so long")?;
    match rustix::event::poll(&mut ends, Some(&wait)) {
        Ok(_) => Ok(ends[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error).context("cannot wait for keys"),
    }
}

/// Waits until there is something to read from the terminal.
fn is_ready(wait: Duration) -> Result<bool> {
    match event::poll(wait) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        ready => ready.context("cannot read from the terminal"),
    }
}
