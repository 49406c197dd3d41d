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
//! - The terminal is given back in every exit that can be caught.

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
use crate::tui::app::effects::EffectContext;
use crate::tui::app::message::{Answer, Effect, Message, Sides};
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{start, update};
use crate::tui::app::worker::Workers;
use crate::tui::input::events::{Input, Read};
use crate::tui::input::keylog::Log;
use crate::tui::terminal::osc11::{Listener, Osc11Parser};
use crate::tui::terminal::screen::{Guard, Mouse};
use crate::tui::terminal::signals::Signal;
use crate::tui::terminal::theme::{Choice, Colors, Theme, Wanted};
use crate::tui::view::screen;

/// Between two frames at least, so that a flood of keys is drawn once.
const FRAME: Duration = Duration::from_millis(6);

/// Events that are taken before a frame is drawn again.
const FLOOD_MAX: usize = 256;

/// Between two looks at the clock while something runs, and otherwise.
const TICK_BUSY: Duration = Duration::from_millis(125);
const TICK_IDLE: Duration = Duration::from_millis(1000);

/// What may differ from one start to another.
#[derive(Clone, Debug, Default)]
pub struct TuiOptions {
    /// The queries; `None`: the built-in ones and the user's.
    pub catalog: Option<Catalog>,
    /// Whether the mouse is asked for.
    pub mouse: Mouse,
    /// A database to compare with: the first thing that is shown.
    pub compare: Option<PathBuf>,
    /// Keys that are pressed first, each when all questions before it are answered.
    pub keys: Vec<KeyEvent>,
    /// A new file in which the keys that are pressed are written down.
    pub record_keys: Option<PathBuf>,
    /// Colours and glyphs; those of the environment if it is not given.
    pub theme: Option<Theme>,
    /// What the background is like; what the user's file says, or the terminal, if it is not given.
    pub wanted: Option<Wanted>,
    /// What writes exports; without, there are none.
    pub exporter: Option<crate::tui::app::export::Writer>,
}

/// Why the explorer could not begin or go on.
#[derive(Debug)]
pub enum TuiError {
    /// The database can't be asked.
    Open(OpenError),
    /// The terminal can't be used.
    Terminal(io::Error),
    /// The log of keys can't be begun or written.
    Keys(io::Error),
}

impl fmt::Display for TuiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Keys(error) => write!(f, "the log of keys can't be written: {error}"),
            Self::Terminal(error) => write!(f, "the terminal can't be used: {error}"),
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
    let problems = crate::tui::input::keymap::configure(&crate::tui::terminal::user_files::keys());
    let (sender, events) = channel();
    let of_signals = sender.clone();
    crate::tui::terminal::signals::watch(move |signal| {
        drop(of_signals.send(InputEvent::Signal(signal)));
    })?;
    let mut app = first_state(database, &first, options);
    if let Some(problem) = problems.first() {
        let more = problems.len() - 1;
        let rest = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        app.show_error(format!("keys.txt: {problem}{rest}"));
    }
    let of_workers = sender.clone();
    let workers = Workers::start(database, first, move |answer| {
        drop(of_workers.send(InputEvent::Answer(Box::new(answer))));
    })?;
    let mut look = look(&mut app, options);
    let mut guard = Guard::take(options.mouse)?;
    if look.listener.is_listening() {
        guard.send(crate::tui::terminal::osc11::QUESTION)?;
    }
    let input = Input::start(move |read| drop(sender.send(InputEvent::Read(read))))?;
    let outside = EffectContext::new(database, guard, input, workers, options.mouse);
    let mut presses = KeyReplay { left: options.keys.clone().into(), log };
    explore(app, outside, &events, &mut presses, &mut look)
}

/// How everything looks, and whether the terminal is still to say something about it.
struct Look {
    theme: Theme,
    listener: Listener,
}

impl Look {
    /// How long the first frame waits for the terminal's answer yet.
    fn hold(&self, elapsed: Duration) -> Option<Duration> {
        let left = crate::tui::terminal::osc11::HOLD.checked_sub(elapsed)?;
        self.listener.is_listening().then_some(left)
    }

    /// A key, or the terminal's answer, which looks like keys.
    fn hear(&mut self, key: KeyEvent) -> Vec<Message> {
        match self.listener.hear(key) {
            Osc11Parser::Held => Vec::new(),
            Osc11Parser::Keys(keys) => keys.into_iter().map(Message::Key).collect(),
            Osc11Parser::Background(background) => {
                self.theme.background = background;
                Vec::new()
            }
        }
    }

    fn expire(&mut self, elapsed: Duration) -> Vec<Message> {
        match self.listener.is_listening() && elapsed > crate::tui::terminal::osc11::PATIENCE {
            true => self.listener.end().into_iter().map(Message::Key).collect(),
            false => Vec::new(),
        }
    }
}

fn look(app: &mut App, options: &TuiOptions) -> Look {
    let variable = |name: &str| std::env::var(name).ok();
    let theme = options.theme.unwrap_or_else(|| Theme::from_environment(variable));
    let mut choice =
        Choice::parse(&crate::tui::terminal::user_files::theme()).unwrap_or_else(|problem| {
            app.show_error(format!("theme.txt: {problem}"));
            Choice::default()
        });
    choice.wanted = options.wanted.or(choice.wanted);
    let theme = theme.chosen(choice);
    // The console of Linux prints what it does not know.
    let is_asked = choice.wanted.unwrap_or_default() == Wanted::Auto
        && theme.colors != Colors::Off
        && variable("TERM").is_some_and(|term| term != "linux");
    let listener = if is_asked { Listener::new() } else { Listener::default() };
    Look { theme, listener }
}

/// Whatever the drawing thread wakes up for.
enum InputEvent {
    Read(Read),
    Signal(Signal),
    Answer(Box<Answer>),
}

/// Keys that come from a file, and a file that keys go to.
struct KeyReplay {
    left: VecDeque<KeyEvent>,
    log: Option<Log>,
}

/// How the loop ended.
enum EndFilter {
    Quit,
    Signal(i32),
}

fn first_state(
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
    app.facts.name = name.to_string_lossy().into_owned();
    app.path = database.to_string_lossy().into_owned();
    app.sql.names = Names::of(connection, &catalog).unwrap_or_default();
    app.catalog = catalog.iter().cloned().collect();
    app.sql.history = crate::tui::terminal::user_files::history();
    app.suspects.patterns = crate::tui::terminal::user_files::accepted();
    if let Some(before) = &options.compare {
        let sides = Sides { before: Some(before.clone()), windows: Default::default() };
        app.compare.begin(sides);
        app.view = ViewKind::Compare;
    }
    app
}

fn explore(
    mut app: App,
    mut outside: EffectContext,
    events: &Receiver<InputEvent>,
    presses: &mut KeyReplay,
    look: &mut Look,
) -> Result<(), TuiError> {
    let begin = Instant::now();
    let size = outside.screen().size()?;
    let mut messages = vec![Message::Resize(size.width, size.height)];
    let mut effects = start(&mut app);
    let ended = loop {
        messages.push(Message::Tick(begin.elapsed()));
        for message in messages.drain(..) {
            if let (Message::Key(key), Some(log)) = (&message, &mut presses.log) {
                log.write(*key).map_err(TuiError::Keys)?;
            }
            effects.extend(update(&mut app, message));
        }
        for effect in effects.drain(..) {
            if matches!(effect, Effect::Quit) {
                return Ok(());
            }
            messages.extend(outside.perform(effect)?);
        }
        messages.extend(look.expire(begin.elapsed()));
        let hold = look.hold(begin.elapsed());
        if hold.is_none() {
            outside.screen().draw(|frame| screen::render(frame, &app, look.theme))?;
        }
        panic_if_asked();
        let drawn = Instant::now();
        // A written key is pressed on the screen that it was meant for.
        if app.asked.oldest().is_none()
            && let Some(key) = presses.left.pop_front()
        {
            messages.push(Message::Key(key));
        }
        let tick = if messages.is_empty() { hold.unwrap_or(tick(&app)) } else { Duration::ZERO };
        if let Some(ended) = wait(events, &mut messages, look, drawn, tick) {
            break ended;
        }
    };
    drop(outside);
    match ended {
        EndFilter::Quit => Ok(()),
        EndFilter::Signal(signal) => crate::tui::terminal::signals::end_by(signal),
    }
}

/// Between two looks at the clock.
fn tick(app: &App) -> Duration {
    match app.asked.oldest() {
        Some(_) => TICK_BUSY,
        None => TICK_IDLE,
    }
}

/// Waits until something happens, then takes whatever else has; gives the end, if that is it.
fn wait(
    events: &Receiver<InputEvent>,
    messages: &mut Vec<Message>,
    look: &mut Look,
    drawn: Instant,
    tick: Duration,
) -> Option<EndFilter> {
    let mut next = match events.recv_timeout(tick) {
        Ok(happened) => Some(happened),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => return Some(EndFilter::Quit),
    };
    // A flood is taken in portions, so that it can't keep the screen from being drawn.
    let mut left = FLOOD_MAX;
    while let Some(happened) = next {
        match happened {
            InputEvent::Read(Read::Event(Event::Key(key))) => messages.extend(look.hear(key)),
            InputEvent::Read(Read::Event(event)) => messages.extend(message(event)),
            InputEvent::Read(Read::Gone) => return Some(EndFilter::Signal(libc::SIGHUP)),
            InputEvent::Signal(Signal::End(signal)) => return Some(EndFilter::Signal(signal)),
            InputEvent::Signal(Signal::Stop) => messages.push(Message::Stop),
            InputEvent::Answer(answer) => messages.push(Message::Answer(*answer)),
        }
        left -= 1;
        let until_next_frame = FRAME.saturating_sub(drawn.elapsed());
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

/// Lets the tests see that a panic gives the terminal back. Nothing of it is in a release.
fn panic_if_asked() {
    #[cfg(debug_assertions)]
    if std::env::var_os("RHEAPER_TEST_PANIC").is_some() {
        panic!("asked to panic");
    }
}
