//! Colours and glyphs. The only file that knows either.
//!
//! Reads: environment variables, once, through [`Theme::from_environment`].
//!
//! Invariant: no state is told by colour alone: each style has an attribute or stands beside a
//! glyph, so that the screen means the same without colours and in ASCII.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use crate::tui::flame::tree::FrameKind;
use crate::tui::terminal::palette::{self, Palette};

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
    /// Any.
    True,
}

/// What the terminal's background is like, on which most is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// Light text on dark.
    #[default]
    Dark,
    /// Dark text on light.
    Light,
}

/// What the user says about the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing: the terminal is asked.
    #[default]
    Auto,
    /// It is this.
    Is(Background),
}

/// What the file of the theme says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The background.
    pub wanted: Option<Wanted>,
    /// How many colours.
    pub colors: Option<Colors>,
}

impl Choice {
    /// Reads words such as `light 256`; a line that begins with `#` is a comment.
    ///
    /// # Errors
    /// A sentence about the first word that means nothing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut choice = Self::default();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for word in lines.flat_map(str::split_whitespace) {
            match word {
                "auto" => choice.wanted = Some(Wanted::Auto),
                "dark" => choice.wanted = Some(Wanted::Is(Background::Dark)),
                "light" => choice.wanted = Some(Wanted::Is(Background::Light)),
                "16" => choice.colors = Some(Colors::Sixteen),
                "256" => choice.colors = Some(Colors::Indexed),
                "true" => choice.colors = Some(Colors::True),
                other => {
                    return Err(format!(
                        "{other}: expected dark, light or auto, and 16, 256 or true"
                    ));
                }
            }
        }
        Ok(choice)
    }
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
    /// What is drawn on.
    pub background: Background,
    /// Characters.
    pub glyphs: Glyphs,
}

impl Theme {
    /// What `NO_COLOR`, `TERM`, `COLORTERM`, `COLORFGBG`, the locale and `RHEAPER_ASCII` say.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let colors = if set("NO_COLOR").is_some() || term == "dumb" || term == "vt100" {
            Colors::Off
        } else if set("COLORTERM").is_some_and(|it| it == "truecolor" || it == "24bit")
            || term.ends_with("-direct")
        {
            Colors::True
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
        let background = match set("COLORFGBG").as_deref().map(last_number) {
            Some(Some(7 | 9..=15)) => Background::Light,
            _ => Background::Dark,
        };
        Self { colors, background, glyphs }
    }

    /// What the user has chosen; that there are to be no colours stays so.
    #[must_use]
    pub fn chosen(mut self, choice: Choice) -> Self {
        if let Some(Wanted::Is(background)) = choice.wanted {
            self.background = background;
        }
        self.colors = match (self.colors, choice.colors) {
            (Colors::Off, _) | (_, None) => self.colors,
            (_, Some(colors)) => colors,
        };
        self
    }

    /// The colours; `None`: attributes only.
    pub fn palette(self) -> Option<&'static Palette> {
        Some(match (self.colors, self.background) {
            (Colors::Off, _) => return None,
            (Colors::Sixteen, Background::Dark) => &palette::DARK_16,
            (Colors::Sixteen, Background::Light) => &palette::LIGHT_16,
            (Colors::Indexed, Background::Dark) => &palette::DARK_256,
            (Colors::Indexed, Background::Light) => &palette::LIGHT_256,
            (Colors::True, Background::Dark) => &palette::DARK_TRUE,
            (Colors::True, Background::Light) => &palette::LIGHT_TRUE,
        })
    }

    fn fg(self, color: fn(&Palette) -> Color) -> Style {
        self.palette().map_or(Style::new(), |palette| Style::new().fg(color(palette)))
    }

    /// What stands out: names of regions, the current tab.
    pub fn title(self) -> Style {
        self.fg(|it| it.accent).add_modifier(Modifier::BOLD)
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
            _ => self.fg(|it| it.dim),
        }
    }

    /// What is of the last filter set and will be replaced; the title says so as well.
    pub fn stale(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Numbers that matter.
    pub fn number(self) -> Style {
        self.fg(|it| it.number)
    }

    /// Errors; beside a `!`.
    pub fn error(self) -> Style {
        self.fg(|it| it.bad).add_modifier(Modifier::BOLD)
    }

    /// What matches a search.
    pub fn matched(self) -> Style {
        self.fg(|it| it.matched).add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    /// A chip of the filter set.
    pub fn chip(self) -> Style {
        self.fg(|it| it.good).add_modifier(Modifier::BOLD)
    }

    /// A key in the footer or in help.
    pub fn key(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The frame around a pane.
    pub fn border(self, focus: Focus) -> Style {
        match focus {
            Focus::Here => self.fg(|it| it.accent).add_modifier(Modifier::BOLD),
            Focus::Elsewhere => self.dim(),
        }
    }

    /// What the label of a suspect looks like; the words differ as well.
    pub fn suspect(self, label: &str) -> Style {
        match label {
            "steady leak" | "growing container" => {
                self.fg(|it| it.bad).add_modifier(Modifier::BOLD)
            }
            "partial leak" | "freed at shutdown" => self.fg(|it| it.number),
            "bounded" | "quiet" | "start-up constant" | "constant" => self.fg(|it| it.good),
            _ => Style::new(),
        }
    }

    /// A cell of a flamegraph. Its edges are drawn as glyphs, so that it is told apart anyway.
    pub fn cell(self, kind: FrameKind, name: &str) -> Style {
        let Some(palette) = self.palette() else {
            return match kind {
                FrameKind::Own => Style::new().add_modifier(Modifier::BOLD),
                _ => Style::new(),
            };
        };
        let one_of = |colors: &[Color]| {
            let hash = name
                .bytes()
                .fold(5381usize, |hash, byte| hash.wrapping_mul(33) ^ usize::from(byte));
            colors.get(hash % colors.len().max(1)).copied().unwrap_or(palette.unknown)
        };
        let color = match kind {
            FrameKind::Own => one_of(palette.own),
            FrameKind::Dependency => one_of(palette.dependency),
            FrameKind::Std | FrameKind::Runtime => palette.library,
            FrameKind::Unknown => palette.unknown,
        };
        Style::new().bg(color).fg(palette.ink)
    }

    /// One of the bands of a stacked chart; its letter tells it as well.
    pub fn stacked(self, rank: usize) -> Style {
        let Some(palette) = self.palette() else {
            return Style::new();
        };
        Style::new().bg(palette.bands[rank % palette.bands.len()]).fg(palette.ink)
    }

    /// Numbers of something that changed; the sign stands beside them.
    pub fn change(self, change: Change) -> Style {
        match change {
            Change::Grown => self.fg(|it| it.bad),
            Change::Shrunk => self.fg(|it| it.good),
            Change::Both => self.fg(|it| it.number),
            Change::None => Style::new(),
        }
    }

    /// The same as a cell of a flamegraph, whose edge is [`change_glyph`](Self::change_glyph).
    pub fn change_cell(self, change: Change) -> Style {
        let Some(palette) = self.palette() else {
            return match change {
                Change::Grown => Style::new().add_modifier(Modifier::BOLD),
                Change::None => self.dim(),
                Change::Shrunk | Change::Both => Style::new(),
            };
        };
        let [grown, shrunk, both] = palette.changes;
        let color = match change {
            Change::Grown => grown,
            Change::Shrunk => shrunk,
            Change::Both => both,
            Change::None => return self.dim(),
        };
        Style::new().bg(color).fg(palette.ink)
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
        self.fg(|it| it.keyword).add_modifier(Modifier::BOLD)
    }

    /// Text in quotes.
    pub fn sql_string(self) -> Style {
        self.fg(|it| it.good)
    }

    /// Numbers in SQL.
    pub fn sql_number(self) -> Style {
        self.fg(|it| it.number)
    }

    /// Parameters.
    pub fn sql_parameter(self) -> Style {
        self.fg(|it| it.matched).add_modifier(Modifier::BOLD)
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

/// The background in `foreground;background`, numbers of the sixteen.
fn last_number(colors: impl AsRef<str>) -> Option<u8> {
    colors.as_ref().rsplit(';').next()?.trim().parse().ok()
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
