//! Colours and glyphs. The only file that knows either.
//!
//! Reads: environment variables, once, through [`Theme::from_environment`].
//!
//! Invariant: no state is told by colour alone: each style has an attribute or stands beside a
//! glyph, so that the screen means the same without colours and in ASCII.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use crate::tui::flame::tree::FrameKind;

/// How many colours the terminal is trusted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// None: attributes only.
    Off,
    /// The terminal's own sixteen.
    #[default]
    Sixteen,
    /// The 256 of xterm.
    Indexed,
}

/// Which characters may be drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Glyphs {
    /// Lines, blocks and arrows.
    #[default]
    Unicode,
    /// ASCII only.
    Ascii,
}

/// How everything looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Colours.
    pub colors: Colors,
    /// Characters.
    pub glyphs: Glyphs,
}

impl Theme {
    /// What `NO_COLOR`, `TERM`, `COLORTERM`, the locale and `RHEAPER_ASCII` say.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let colors = if set("NO_COLOR").is_some() || term == "dumb" || term == "vt100" {
            Colors::Off
        } else if term.contains("256color") || set("COLORTERM").is_some() {
            Colors::Indexed
        } else {
            Colors::Sixteen
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| set(name));
        let is_utf8 = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        let glyphs = match set("RHEAPER_ASCII").is_some() || !is_utf8 || term == "linux" {
            true => Glyphs::Ascii,
            false => Glyphs::Unicode,
        };
        Self { colors, glyphs }
    }

    fn fg(self, color: Color) -> Style {
        match self.colors {
            Colors::Off => Style::new(),
            Colors::Sixteen | Colors::Indexed => Style::new().fg(color),
        }
    }

    /// What stands out: names of regions, the current tab.
    pub fn title(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// The selected row, cell or tab.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The selected row of a pane without the focus.
    pub fn selected_elsewhere(self) -> Style {
        Style::new().add_modifier(Modifier::UNDERLINED)
    }

    /// What need not be read at first.
    pub fn dim(self) -> Style {
        match self.colors {
            Colors::Off => Style::new().add_modifier(Modifier::DIM),
            Colors::Sixteen | Colors::Indexed => Style::new().fg(Color::DarkGray),
        }
    }

    /// What is of the last scope and will be replaced; the title says so as well.
    pub fn stale(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Numbers that matter.
    pub fn number(self) -> Style {
        self.fg(Color::Yellow)
    }

    /// Errors; beside a `!`.
    pub fn error(self) -> Style {
        self.fg(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What matches a search.
    pub fn matched(self) -> Style {
        self.fg(Color::Magenta).add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    /// A chip of the scope.
    pub fn chip(self) -> Style {
        self.fg(Color::Green).add_modifier(Modifier::BOLD)
    }

    /// A key in the footer or in help.
    pub fn key(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The frame around a pane.
    pub fn border(self, focus: Focus) -> Style {
        match focus {
            Focus::Here => self.fg(Color::Cyan).add_modifier(Modifier::BOLD),
            Focus::Elsewhere => self.dim(),
        }
    }

    /// What the label of a suspect looks like; the words differ as well.
    pub fn suspect(self, label: &str) -> Style {
        match label {
            "steady leak" | "growing container" => self.fg(Color::Red).add_modifier(Modifier::BOLD),
            "partial leak" | "freed at shutdown" => self.fg(Color::Yellow),
            "bounded" | "quiet" | "start-up constant" => self.fg(Color::Green),
            _ => Style::new(),
        }
    }

    /// A cell of a flamegraph. Its edges are drawn as glyphs, so that it is told apart anyway.
    pub fn cell(self, kind: FrameKind, name: &str) -> Style {
        match (self.colors, kind) {
            (Colors::Off, FrameKind::Own) => Style::new().add_modifier(Modifier::BOLD),
            (Colors::Off, _) => Style::new(),
            (_, FrameKind::Std | FrameKind::Runtime) => {
                Style::new().bg(Color::Gray).fg(Color::Black)
            }
            (_, FrameKind::Unknown) => Style::new().bg(Color::White).fg(Color::Black),
            (Colors::Sixteen, FrameKind::Own) => Style::new().bg(Color::Yellow).fg(Color::Black),
            (Colors::Sixteen, FrameKind::Foreign) => Style::new().bg(Color::Cyan).fg(Color::Black),
            (Colors::Indexed, _) => {
                // Light colours only, so that black text is readable on each of them.
                const WARM: [u8; 8] = [179, 180, 215, 216, 221, 222, 214, 186];
                const COOL: [u8; 4] = [110, 116, 152, 153];
                let hash = name
                    .bytes()
                    .fold(5381usize, |hash, byte| hash.wrapping_mul(33) ^ usize::from(byte));
                let color = match kind {
                    FrameKind::Own => WARM[hash % WARM.len()],
                    _ => COOL[hash % COOL.len()],
                };
                Style::new().bg(Color::Indexed(color)).fg(Color::Black)
            }
        }
    }

    /// One of the bands of a stacked chart; its letter tells it as well.
    pub fn stacked(self, rank: usize) -> Style {
        const SIXTEEN: [Color; 7] = [
            Color::Yellow,
            Color::Cyan,
            Color::Magenta,
            Color::Green,
            Color::Blue,
            Color::Red,
            Color::White,
        ];
        const INDEXED: [u8; 7] = [222, 116, 182, 151, 110, 216, 187];
        match self.colors {
            Colors::Off => Style::new(),
            Colors::Sixteen => Style::new().fg(SIXTEEN[rank % SIXTEEN.len()]),
            Colors::Indexed => {
                Style::new().bg(Color::Indexed(INDEXED[rank % INDEXED.len()])).fg(Color::Black)
            }
        }
    }

    /// Numbers of something that changed; the sign stands beside them.
    pub fn change(self, change: Change) -> Style {
        match change {
            Change::Grown => self.fg(Color::Red),
            Change::Shrunk => self.fg(Color::Green),
            Change::Both => self.fg(Color::Yellow),
            Change::None => Style::new(),
        }
    }

    /// The same as a cell of a flamegraph, whose edge is [`change_glyph`](Self::change_glyph).
    pub fn change_cell(self, change: Change) -> Style {
        let color = |indexed: u8, plain: Color| match self.colors {
            Colors::Off => Style::new(),
            Colors::Sixteen => Style::new().bg(plain).fg(Color::Black),
            _ => Style::new().bg(Color::Indexed(indexed)).fg(Color::Black),
        };
        match (change, self.colors) {
            (Change::Grown, Colors::Off) => Style::new().add_modifier(Modifier::BOLD),
            (Change::Grown, _) => color(210, Color::Red),
            (Change::Shrunk, _) => color(114, Color::Green),
            (Change::Both, _) => color(222, Color::Yellow),
            (Change::None, _) => self.dim(),
        }
    }

    /// The sign of a change.
    pub fn change_glyph(self, change: Change) -> &'static str {
        match change {
            Change::Grown => "+",
            Change::Shrunk => "-",
            Change::Both => self.glyph("±", "~"),
            Change::None => self.glyph("▏", "|"),
        }
    }

    /// Words of SQL that mean something to SQLite.
    pub fn sql_keyword(self) -> Style {
        self.fg(Color::Blue).add_modifier(Modifier::BOLD)
    }

    /// Text in quotes.
    pub fn sql_string(self) -> Style {
        self.fg(Color::Green)
    }

    /// Numbers in SQL.
    pub fn sql_number(self) -> Style {
        self.fg(Color::Yellow)
    }

    /// Parameters.
    pub fn sql_parameter(self) -> Style {
        self.fg(Color::Magenta).add_modifier(Modifier::BOLD)
    }

    /// Lines for panes.
    pub fn lines(self) -> border::Set<'static> {
        match self.glyphs {
            Glyphs::Unicode => border::PLAIN,
            Glyphs::Ascii => border::Set {
                top_left: "+",
                top_right: "+",
                bottom_left: "+",
                bottom_right: "+",
                vertical_left: "|",
                vertical_right: "|",
                horizontal_top: "-",
                horizontal_bottom: "-",
            },
        }
    }

    /// One of two spellings.
    pub fn glyph(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Ascii => ascii,
        }
    }

    /// A small chart, one character a value, of values from 0 to `max`.
    pub fn spark(self, values: &[u64], max: u64) -> String {
        const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const ASCII: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];
        let signs = match self.glyphs {
            Glyphs::Unicode => BLOCKS,
            Glyphs::Ascii => ASCII,
        };
        let step = |value: u64| u128::from(value) * 7 / u128::from(max.max(1));
        let signs = values.iter().map(|value| signs[step(*value).min(7) as usize]);
        signs.collect()
    }

    /// Replaces what ASCII can't show; the text keeps its width.
    pub fn text(self, text: String) -> String {
        match self.glyphs {
            Glyphs::Unicode => text,
            Glyphs::Ascii if text.is_ascii() => text,
            Glyphs::Ascii => text.chars().map(ascii).collect(),
        }
    }
}

/// Which way something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is more of it.
    Grown,
    /// There is less of it.
    Shrunk,
    /// Parts of it grew, others shrank.
    Both,
    /// It did not.
    None,
}

/// Whether a pane has the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// It has.
    Here,
    /// Another one has.
    Elsewhere,
}

fn ascii(c: char) -> char {
    match c {
        c if c.is_ascii() => c,
        '…' | '±' => '~',
        '·' | '•' | '─' | '━' | '–' | '—' => '-',
        '≥' | '▸' | '▶' | '→' | '›' => '>',
        '≤' | '◂' | '◀' | '←' | '‹' => '<',
        '↑' | '▲' => '^',
        '↓' | '▼' => 'v',
        'µ' => 'u',
        '│' | '┃' | '▏' => '|',
        _ => '?',
    }
}
