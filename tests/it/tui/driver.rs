//! The explorer without a terminal: messages in, buffers out, requests run synchronously.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use rheaper::database::builtin::Catalog;
use rheaper::database::completion::Names;
use rheaper::database::{CancelToken, Database};
use rheaper::tui::app::message::{
    Effect, Message, Request, RequestId, Response, ResponseBody, Sides,
};
use rheaper::tui::app::state::App;
use rheaper::tui::app::update::{start, update};
use rheaper::tui::app::worker;
use rheaper::tui::terminal::theme::Theme;
use rheaper::tui::view::screen;

/// The state, its database, pending requests and other effects.
pub(crate) struct Driver {
    pub(crate) app: App,
    pub(crate) other_effects: Vec<Effect>,
    pub(crate) pending: VecDeque<Request>,
    cancelled: Vec<RequestId>,
    database: Database,
    path: PathBuf,
}

impl Driver {
    /// Starts on a database and answers the first requests.
    pub(crate) fn new(path: &Path, size: (u16, u16)) -> Self {
        let database = worker::open(path).unwrap();
        let catalog = Catalog::built_in();
        let mut app = App::default();
        app.overview.name = "server.db".into();
        app.path = path.to_string_lossy().into_owned();
        app.sql.names = Names::of(&database, &catalog).unwrap();
        app.catalog = catalog.iter().cloned().collect();
        let mut driver = Self {
            app,
            other_effects: Vec::new(),
            pending: VecDeque::new(),
            cancelled: Vec::new(),
            database,
            path: path.to_owned(),
        };
        let effects = start(&mut driver.app);
        driver.queue_effects(effects);
        driver.send(Message::Resize(size.0, size.1));
        driver.answer_all();
        driver
    }

    /// Starts with another database to compare with.
    pub(crate) fn comparing(path: &Path, before: &Path, size: (u16, u16)) -> Self {
        let mut driver = Self::new(path, size);
        let before = Some(before.to_owned());
        driver.app.compare.start(Sides { before, windows: Default::default() });
        driver.press("8");
        driver
    }

    /// Sends a message without answering its requests.
    pub(crate) fn send(&mut self, message: Message) {
        let effects = update(&mut self.app, message);
        self.queue_effects(effects);
    }

    /// Answers the oldest request, unless it was cancelled.
    pub(crate) fn answer_one(&mut self) {
        let Some(request) = self.pending.pop_front() else {
            return;
        };
        if self.cancelled.contains(&request.id) {
            return;
        }
        let mut result =
            worker::execute(&self.database, &self.path, request.body, &CancelToken::new());
        if let Ok(ResponseBody::Table(table)) = &mut result {
            table.elapsed = Duration::from_millis(1);
        }
        let elapsed = Duration::from_millis(1);
        self.send(Message::Response(Response { id: request.id, elapsed, result }));
    }

    /// Answers all requests.
    pub(crate) fn answer_all(&mut self) {
        while !self.pending.is_empty() {
            self.answer_one();
        }
    }

    /// Presses keys and answers all requests after each; special keys are `<Enter>` and so on.
    pub(crate) fn press(&mut self, keys: &str) {
        self.each_key(keys, Self::answer_all);
    }

    /// Presses keys without answering requests.
    pub(crate) fn press_unanswered(&mut self, keys: &str) {
        self.each_key(keys, |_| {});
    }

    fn each_key(&mut self, keys: &str, mut then: impl FnMut(&mut Self)) {
        let mut rest = keys;
        while let Some(first) = rest.chars().next() {
            let end = rest.find('>').filter(|_| first == '<' && rest.len() > 1);
            let (name, after) = rest.split_at(end.map_or(first.len_utf8(), |end| end + 1));
            rest = after;
            self.send(Message::Key(key(name)));
            then(self);
        }
    }

    /// Draws the screen.
    pub(crate) fn draw(&self, theme: Theme) -> Buffer {
        let area = Rect::new(0, 0, self.app.size.0, self.app.size.1);
        let mut buffer = Buffer::empty(area);
        screen::render_into(&mut buffer, area, &self.app, theme);
        buffer
    }

    /// The text of the screen.
    pub(crate) fn text(&self) -> String {
        text(&self.draw(Theme::default()))
    }

    fn queue_effects(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(request) => self.pending.push_back(request),
                Effect::Cancel(id) => self.cancelled.push(id),
                other => self.other_effects.push(other),
            }
        }
    }
}

/// A key by its name.
fn key(name: &str) -> KeyEvent {
    let named = |code| KeyEvent::new(code, KeyModifiers::NONE);
    match name.trim_start_matches('<').trim_end_matches('>') {
        "Enter" if name.len() > 1 => named(KeyCode::Enter),
        "Esc" => named(KeyCode::Esc),
        "Tab" => named(KeyCode::Tab),
        "Back" => named(KeyCode::Backspace),
        "Up" => named(KeyCode::Up),
        "PgUp" => named(KeyCode::PageUp),
        "PgDn" => named(KeyCode::PageDown),
        "Down" => named(KeyCode::Down),
        "Left" => named(KeyCode::Left),
        "Right" => named(KeyCode::Right),
        "F5" => named(KeyCode::F(5)),
        "F6" => named(KeyCode::F(6)),
        "F4" => named(KeyCode::F(4)),
        "^S" => KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL),
        "^U" => KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL),
        _ => named(KeyCode::Char(name.chars().next().unwrap())),
    }
}

/// The text of a buffer, without blanks at the ends of lines.
pub(crate) fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let lines = buffer.content.chunks(width).map(|row| {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs of cells with the same style, without the default style, one line per row.
pub(crate) fn styles(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut lines = Vec::new();
    for (y, row) in buffer.content.chunks(width).enumerate() {
        let mut runs: Vec<(usize, usize, String)> = Vec::new();
        for (x, cell) in row.iter().enumerate() {
            let style = spelled(cell.style());
            match runs.last_mut() {
                Some(run) if run.1 == x && run.2 == style => run.1 += 1,
                _ => runs.push((x, x + 1, style)),
            }
        }
        let lines_of_row: Vec<String> = runs
            .into_iter()
            .filter(|run| !run.2.is_empty())
            .map(|(from, to, style)| format!("{from}-{}{style}", to - 1))
            .collect();
        if !lines_of_row.is_empty() {
            lines.push(format!("{y}: {}", lines_of_row.join(", ")));
        }
    }
    lines.join("\n")
}

fn spelled(style: Style) -> String {
    let mut words = String::new();
    for (name, color) in [("", style.fg), ("on ", style.bg)] {
        if let Some(color) = color.filter(|it| *it != Color::Reset) {
            words.push_str(&format!(" {name}{color:?}"));
        }
    }
    if !style.add_modifier.is_empty() {
        let names = style.add_modifier.iter_names().map(|(name, _): (&str, Modifier)| name);
        words.push_str(&format!(" {}", names.collect::<Vec<_>>().join("+")));
    }
    words
}
