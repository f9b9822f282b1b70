//! What the user has chosen.

use millpond_trace::Mark;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::{
    cli,
    top::{Column, Generation, Snapshot},
};

/// What follows from a key, in the order of importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    Nothing,
    /// The same snapshot is shown in another way.
    Draw,
    /// Another snapshot is needed.
    Refresh,
    End,
}

/// What is shown, and how.
pub(super) struct View {
    pub(super) column: Column,
    pub(super) is_reversed: bool,
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) is_typing: bool,
    pub(super) is_paused: bool,
    pub(super) has_help: bool,
    pub(super) generation: Generation,
    /// Marks that the user has set.
    pub(super) marks: Vec<Mark>,
    /// The first row that is shown, and how many fit.
    pub(super) top: usize,
    pub(super) page: usize,
    pub(super) note: Option<String>,
    /// Whether colours may be used.
    pub(super) has_colours: bool,
    /// The mark that was named on the command line, until it is found.
    wanted: Option<String>,
}

impl View {
    pub(super) fn new(arguments: &cli::Top) -> Self {
        Self {
            column: arguments.column(),
            is_reversed: false,
            filter: arguments.filter.clone().unwrap_or_default(),
            is_typing: false,
            is_paused: false,
            has_help: false,
            generation: Generation::default(),
            marks: Vec::new(),
            top: 0,
            page: 1,
            note: None,
            has_colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            wanted: arguments.since.clone(),
        }
    }

    /// Returns whether the picture does not change.
    pub(super) fn is_held(&self) -> bool {
        self.is_paused
    }

    /// Selects the mark that was named on the command line, as soon as it has been set.
    pub(super) fn choose_mark(&mut self, snapshot: &Snapshot) {
        if let Some(generation) =
            self.wanted.as_deref().and_then(|mark| Generation::of(Some(mark), &snapshot.marks).ok())
        {
            self.generation = generation;
            self.wanted = None;
        }
    }

    /// Reacts to a key.
    pub(super) fn key(&mut self, key: KeyEvent, snapshot: &Snapshot) -> Action {
        let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if with_control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Action::End;
        }
        if self.is_typing {
            return self.typed(key.code);
        }
        match key.code {
            KeyCode::Char('q') => return Action::End,
            KeyCode::Char('?' | 'h') => self.has_help = !self.has_help,
            KeyCode::Esc if self.has_help => self.has_help = false,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                return Action::Refresh;
            }
            KeyCode::Left | KeyCode::Char('<') => self.sort_by(-1),
            KeyCode::Right | KeyCode::Char('>') => self.sort_by(1),
            KeyCode::Char('m' | '[' | ']' | 'b') => return self.mark(key.code, snapshot),
            other => self.scroll(other, snapshot.rows.len()),
        }
        Action::Draw
    }

    fn typed(&mut self, code: KeyCode) -> Action {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_typing = false;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) => self.filter.push(letter),
            _ => {}
        }
        self.top = 0;
        Action::Draw
    }

    fn sort_by(&mut self, step: isize) {
        let columns = Column::ALL.len() - usize::from(self.generation.mark == 0);
        let at = Column::ALL.iter().position(|&column| column == self.column).unwrap_or(0);
        self.column = Column::ALL[(at as isize + step).rem_euclid(columns as isize) as usize];
    }

    fn mark(&mut self, code: KeyCode, snapshot: &Snapshot) -> Action {
        let count = snapshot.marks.len();
        let Generation { mark, is_closed } = self.generation;
        match code {
            KeyCode::Char('m') => {
                let name = format!("top {}", self.marks.len() + 1);
                self.marks.push(Mark { time: snapshot.time, name });
                self.generation = Generation { mark: count + 1, is_closed: false };
            }
            KeyCode::Char(']') => self.generation.mark = if mark < count { mark + 1 } else { 0 },
            KeyCode::Char('[') => self.generation.mark = mark.checked_sub(1).unwrap_or(count),
            _ => self.generation.is_closed = !is_closed,
        }
        if self.generation.mark == 0 && self.column == Column::Selected {
            self.column = Column::Live;
        } else if mark == 0 && self.generation.mark > 0 {
            self.column = Column::Selected;
        }
        Action::Refresh
    }

    fn scroll(&mut self, code: KeyCode, rows: usize) {
        let last = rows.saturating_sub(1);
        self.top = match code {
            KeyCode::Up | KeyCode::Char('k') => self.top.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.top + 1,
            KeyCode::PageUp => self.top.saturating_sub(self.page),
            KeyCode::PageDown => self.top + self.page,
            KeyCode::Home => 0,
            KeyCode::End => last,
            _ => self.top,
        }
        .min(last);
    }
}
