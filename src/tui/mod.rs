//! Explores a database in the terminal: one filter set, several views.
//!
//! ```text
//!  input ─┐                       ┌─ view: state → cells
//!  signals├─▶ Message ─▶ update ──┤
//!  worker ┘     ▲     (pure)      └─ Effect ─▶ effects: clipboard, editor, files
//!               └───────────────────────────── worker: SQL, source files
//! ```
//!
//! Invariants:
//! - The drawing thread never waits for the database or for a file.
//! - The terminal is restored on every exit that can be caught.

pub mod view;
pub mod app;
pub mod data;
pub mod input;
pub mod terminal;
pub mod flame;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyEvent};

use crate::database::builtin::Catalog;
use crate::database::completion::Names;
use crate::database::error::OpenError;
use crate::tui::app::effects::EffectRunner;
use crate::tui::app::message::{Effect, Message, Response, Sides};
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{start, update};
use crate::tui::app::worker::Workers;
use crate::tui::input::event_thread::{EventThread, TerminalEvent};
use crate::tui::input::keylog::Log;
use crate::tui::terminal::osc11::{Osc11Event, Osc11Parser};
use crate::tui::terminal::signals::Signal;
use crate::tui::terminal::terminal_guard::{Guard, Mouse};
use crate::tui::terminal::theme::{BackgroundChoice, Colors, Theme, ThemeSettings};
use crate::tui::view::screen;

/// The shortest time between two frames: events that arrive faster are drawn together.
const MIN_FRAME_TIME: Duration = Duration::from_millis(6);

/// Events that are handled before the next frame, so that a flood of events can't stop the drawing.
const EVENTS_PER_FRAME_MAX: usize = 256;

/// Interval of [`Message::Tick`] while a request runs (the status line shows its time), and otherwise.
const TICK_BUSY: Duration = Duration::from_millis(125);
const TICK_IDLE: Duration = Duration::from_millis(1000);

/// Options of the explorer.
#[derive(Clone, Debug, Default)]
pub struct TuiOptions {
    /// Built-in queries; `None`: those of rheaper and of the user.
    pub catalog: Option<Catalog>,
    /// Whether mouse events are requested.
    pub mouse: Mouse,
    /// A database to compare with; the explorer then starts with the comparison.
    pub compare: Option<PathBuf>,
    /// Keys to replay at the start, each after all earlier requests are answered.
    pub keys: Vec<KeyEvent>,
    /// A new file to record all keys in.
    pub record_keys: Option<PathBuf>,
    /// Colours and glyphs; `None`: as the environment says.
    pub theme: Option<Theme>,
    /// The terminal's background; `None`: as `theme.txt` or the terminal says.
    pub background: Option<BackgroundChoice>,
    /// Writes exports; `None`: exports are disabled.
    pub exporter: Option<crate::tui::app::export::Writer>,
}

/// Why the explorer could not start or had to end.
#[derive(Debug)]
pub enum TuiError {
    /// The database can't be opened.
    Open(OpenError),
    /// The terminal can't be used.
    Terminal(io::Error),
    /// The key log can't be created or written.
    Keys(io::Error),
}

impl fmt::Display for TuiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Keys(error) => write!(f, "can't write the key log: {error}"),
            Self::Terminal(error) => write!(f, "can't use the terminal: {error}"),
        }
    }
}

impl std::error::Error for TuiError {}

impl From<OpenError> for TuiError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<io::Error> for TuiError {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}

/// Explores a database until the user quits.
///
/// # Errors
/// When the database can't be opened or the terminal can't be used.
pub fn run(database: &Path, options: &TuiOptions) -> Result<(), TuiError> {
    let first = crate::tui::app::worker::open(database)?;
    let log = options.record_keys.as_deref().map(Log::create).transpose();
    let log = log.map_err(TuiError::Keys)?;
    let problems =
        crate::tui::input::key_lookup::configure(&crate::tui::terminal::user_files::keys());
    let (sender, events) = channel();
    let signal_sender = sender.clone();
    crate::tui::terminal::signals::watch(move |signal| {
        drop(signal_sender.send(InputEvent::Signal(signal)));
    })?;
    let mut app = initial_state(database, &first, options);
    if let Some(problem) = problems.first() {
        let more = problems.len() - 1;
        let rest = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        app.show_error(format!("keys.txt: {problem}{rest}"));
    }
    let worker_sender = sender.clone();
    let workers = Workers::start(database, first, move |answer| {
        drop(worker_sender.send(InputEvent::Response(Box::new(answer))));
    })?;
    let mut appearance = appearance(&mut app, options);
    let mut guard = Guard::acquire(options.mouse)?;
    if appearance.osc11.is_waiting() {
        guard.send(crate::tui::terminal::osc11::QUERY)?;
    }
    let input = EventThread::start(move |event| drop(sender.send(InputEvent::Terminal(event))))?;
    let effects_runner = EffectRunner::new(database, guard, input, workers, options.mouse);
    let mut replay = KeyReplay { pending: options.keys.clone().into(), log };
    explore(app, effects_runner, &events, &mut replay, &mut appearance)
}

/// The theme, and the pending query for the terminal's background.
struct Appearance {
    theme: Theme,
    osc11: Osc11Parser,
}

impl Appearance {
    /// How much longer the first frame waits for the terminal's background.
    fn first_frame_delay(&self, elapsed: Duration) -> Option<Duration> {
        let left = crate::tui::terminal::osc11::FIRST_FRAME_DELAY.checked_sub(elapsed)?;
        self.osc11.is_waiting().then_some(left)
    }

    /// Takes a key, which may be part of the terminal's response.
    fn feed_key(&mut self, key: KeyEvent) -> Vec<Message> {
        match self.osc11.feed(key) {
            Osc11Event::Pending => Vec::new(),
            Osc11Event::Keys(keys) => keys.into_iter().map(Message::Key).collect(),
            Osc11Event::Background(background) => {
                self.theme.background = background;
                Vec::new()
            }
        }
    }

    fn expire(&mut self, elapsed: Duration) -> Vec<Message> {
        match self.osc11.is_waiting() && elapsed > crate::tui::terminal::osc11::RESPONSE_TIMEOUT {
            true => self.osc11.finish().into_iter().map(Message::Key).collect(),
            false => Vec::new(),
        }
    }
}

fn appearance(app: &mut App, options: &TuiOptions) -> Appearance {
    let variable = |name: &str| std::env::var(name).ok();
    let theme = options.theme.unwrap_or_else(|| Theme::from_environment(variable));
    let mut settings = ThemeSettings::parse(&crate::tui::terminal::user_files::theme())
        .unwrap_or_else(|problem| {
            app.show_error(format!("theme.txt: {problem}"));
            ThemeSettings::default()
        });
    settings.background = options.background.or(settings.background);
    let theme = theme.with_settings(settings);
    // The Linux console prints escape sequences that it does not know.
    let asks_terminal = settings.background.unwrap_or_default() == BackgroundChoice::Auto
        && theme.colors != Colors::Off
        && variable("TERM").is_some_and(|term| term != "linux");
    let osc11 = if asks_terminal { Osc11Parser::new() } else { Osc11Parser::default() };
    Appearance { theme, osc11 }
}

/// Everything that wakes up the drawing thread.
enum InputEvent {
    Terminal(TerminalEvent),
    Signal(Signal),
    Response(Box<Response>),
}

/// Keys to replay, and the log of keys.
struct KeyReplay {
    pending: VecDeque<KeyEvent>,
    log: Option<Log>,
}

/// Why the loop ended.
enum ExitReason {
    Quit,
    Signal(i32),
}

fn initial_state(
    database: &Path,
    connection: &crate::database::Database,
    options: &TuiOptions,
) -> App {
    let catalog = options.catalog.clone().unwrap_or_else(|| {
        Catalog::with_user(crate::database::builtin::user_directory().as_deref()).0
    });
    let mut app = App::default();
    app.mouse = options.mouse;
    app.exporter = options.exporter;
    let name = database.file_name().unwrap_or(database.as_os_str());
    app.overview.name = name.to_string_lossy().into_owned();
    app.path = database.to_string_lossy().into_owned();
    app.sql.names = Names::of(connection, &catalog).unwrap_or_default();
    app.catalog = catalog.iter().cloned().collect();
    app.sql.history = crate::tui::terminal::user_files::history();
    app.suspects.patterns = crate::tui::terminal::user_files::suppressions();
    if let Some(before) = &options.compare {
        let sides = Sides { before: Some(before.clone()), windows: Default::default() };
        app.compare.start(sides);
        app.view = ViewKind::Compare;
    }
    app
}

fn explore(
    mut app: App,
    mut effects_runner: EffectRunner,
    events: &Receiver<InputEvent>,
    replay: &mut KeyReplay,
    appearance: &mut Appearance,
) -> Result<(), TuiError> {
    let begin = Instant::now();
    let size = effects_runner.screen().size()?;
    let mut messages = vec![Message::Resize(size.width, size.height)];
    let mut effects = start(&mut app);
    let reason = loop {
        messages.push(Message::Tick(begin.elapsed()));
        for message in messages.drain(..) {
            if let (Message::Key(key), Some(log)) = (&message, &mut replay.log) {
                log.write(*key).map_err(TuiError::Keys)?;
            }
            effects.extend(update(&mut app, message));
        }
        for effect in effects.drain(..) {
            if matches!(effect, Effect::Quit) {
                return Ok(());
            }
            messages.extend(effects_runner.run(effect)?);
        }
        messages.extend(appearance.expire(begin.elapsed()));
        let first_frame_delay = appearance.first_frame_delay(begin.elapsed());
        if first_frame_delay.is_none() {
            effects_runner.screen().draw(|frame| screen::render(frame, &app, appearance.theme))?;
        }
        panic_for_test();
        let drawn = Instant::now();
        // A replayed key waits for the screen that it was recorded on.
        if app.requests.oldest().is_none()
            && let Some(key) = replay.pending.pop_front()
        {
            messages.push(Message::Key(key));
        }
        let tick = if messages.is_empty() {
            first_frame_delay.unwrap_or(tick(&app))
        } else {
            Duration::ZERO
        };
        if let Some(reason) = wait(events, &mut messages, appearance, drawn, tick) {
            break reason;
        }
    };
    drop(effects_runner);
    match reason {
        ExitReason::Quit => Ok(()),
        ExitReason::Signal(signal) => crate::tui::terminal::signals::terminate_by(signal),
    }
}

/// The interval of ticks.
fn tick(app: &App) -> Duration {
    match app.requests.oldest() {
        Some(_) => TICK_BUSY,
        None => TICK_IDLE,
    }
}

/// Waits for an event and collects those that follow; returns the reason if the explorer ends.
fn wait(
    events: &Receiver<InputEvent>,
    messages: &mut Vec<Message>,
    appearance: &mut Appearance,
    drawn: Instant,
    tick: Duration,
) -> Option<ExitReason> {
    let mut next = match events.recv_timeout(tick) {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => return Some(ExitReason::Quit),
    };
    // Events are handled in portions, so that a flood of them can't stop the drawing.
    let mut left = EVENTS_PER_FRAME_MAX;
    while let Some(event) = next {
        match event {
            InputEvent::Terminal(TerminalEvent::Input(Event::Key(key))) => {
                messages.extend(appearance.feed_key(key));
            }
            InputEvent::Terminal(TerminalEvent::Input(event)) => messages.extend(message(event)),
            InputEvent::Terminal(TerminalEvent::Closed) => {
                return Some(ExitReason::Signal(libc::SIGHUP));
            }
            InputEvent::Signal(Signal::End(signal)) => return Some(ExitReason::Signal(signal)),
            InputEvent::Signal(Signal::Stop) => messages.push(Message::Stop),
            InputEvent::Response(answer) => messages.push(Message::Response(*answer)),
        }
        left -= 1;
        let until_next_frame = MIN_FRAME_TIME.saturating_sub(drawn.elapsed());
        next = if left > 0 { events.recv_timeout(until_next_frame).ok() } else { None };
    }
    None
}

fn message(event: Event) -> Option<Message> {
    match event {
        Event::Key(key) => Some(Message::Key(key)),
        Event::Mouse(mouse) => Some(Message::Mouse(mouse)),
        Event::Paste(text) => Some(Message::Paste(text)),
        Event::Resize(width, height) => Some(Message::Resize(width, height)),
        Event::FocusGained | Event::FocusLost => None,
    }
}

/// Panics if a test asks for it, to check that the terminal is restored. Debug builds only.
fn panic_for_test() {
    #[cfg(debug_assertions)]
    if std::env::var_os("RHEAPER_TEST_PANIC").is_some() {
        panic!("asked to panic");
    }
}
