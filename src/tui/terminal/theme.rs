//! The theme: colours and glyphs. Only this file and the palette define them.
//!
//! Invariant: colour alone carries no information: each style has an attribute or a glyph next to it,
//! so that the screen has the same meaning without colours and in ASCII.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use crate::tui::flame::tree::FrameKind;
use crate::tui::terminal::palette::{self, Palette};

/// The number of colours of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// None: attributes only.
    Off,
    /// The terminal's 16 colours.
    #[default]
    Sixteen,
    /// The 256 colours of xterm.
    Indexed,
    /// 24-bit colours.
    True,
}

/// The background of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// Light text on dark.
    #[default]
    Dark,
    /// Dark text on light.
    Light,
}

/// The user's setting of the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackgroundChoice {
    /// Query the terminal.
    #[default]
    Auto,
    /// Use this one.
    Fixed(Background),
}

/// Settings of `theme.txt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThemeSettings {
    /// The background.
    pub background: Option<BackgroundChoice>,
    /// The number of colours.
    pub colors: Option<Colors>,
}

impl ThemeSettings {
    /// Parses words such as `light 256`; a line that starts with `#` is a comment.
    ///
    /// # Errors
    /// A message about the first unknown word.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut settings = Self::default();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for word in lines.flat_map(str::split_whitespace) {
            match word {
                "auto" => settings.background = Some(BackgroundChoice::Auto),
                "dark" => settings.background = Some(BackgroundChoice::Fixed(Background::Dark)),
                "light" => settings.background = Some(BackgroundChoice::Fixed(Background::Light)),
                "16" => settings.colors = Some(Colors::Sixteen),
                "256" => settings.colors = Some(Colors::Indexed),
                "true" => settings.colors = Some(Colors::True),
                other => {
                    return Err(format!(
                        "{other}: expected dark, light or auto, and 16, 256 or true"
                    ));
                }
            }
        }
        Ok(settings)
    }
}

/// The characters that may be drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Glyphs {
    /// Unicode lines, blocks and arrows.
    #[default]
    Unicode,
    /// ASCII only.
    Ascii,
}

/// A theme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Colours.
    pub colors: Colors,
    /// The background.
    pub background: Background,
    /// Characters.
    pub glyphs: Glyphs,
}

impl Theme {
    /// The theme by `NO_COLOR`, `TERM`, `COLORTERM`, `COLORFGBG`, the locale and `RHEAPER_ASCII`.
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

    /// Applies the user's settings; without colours it stays so.
    #[must_use]
    pub fn with_settings(mut self, settings: ThemeSettings) -> Self {
        if let Some(BackgroundChoice::Fixed(background)) = settings.background {
            self.background = background;
        }
        self.colors = match (self.colors, settings.colors) {
            (Colors::Off, _) | (_, None) => self.colors,
            (_, Some(colors)) => colors,
        };
        self
    }

    /// The palette; `None`: attributes only.
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

    /// Titles and the current tab.
    pub fn title(self) -> Style {
        self.fg(|it| it.accent).add_modifier(Modifier::BOLD)
    }

    /// The selected row, cell or tab.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The selected row of a pane without focus.
    pub fn selected_elsewhere(self) -> Style {
        Style::new().add_modifier(Modifier::UNDERLINED)
    }

    /// Secondary text.
    pub fn dim(self) -> Style {
        match self.colors {
            Colors::Off => Style::new().add_modifier(Modifier::DIM),
            _ => self.fg(|it| it.dim),
        }
    }

    /// Stale content, which will be replaced; the title says so too.
    pub fn stale(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Important numbers.
    pub fn number(self) -> Style {
        self.fg(|it| it.number)
    }

    /// Errors; a `!` is next to them.
    pub fn error(self) -> Style {
        self.fg(|it| it.bad).add_modifier(Modifier::BOLD)
    }

    /// Search matches.
    pub fn matched(self) -> Style {
        self.fg(|it| it.matched).add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    /// A filter in the filter row.
    pub fn chip(self) -> Style {
        self.fg(|it| it.good).add_modifier(Modifier::BOLD)
    }

    /// A key in the footer or in help.
    pub fn key(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The border of a pane.
    pub fn border(self, focus: Focus) -> Style {
        match focus {
            Focus::Here => self.fg(|it| it.accent).add_modifier(Modifier::BOLD),
            Focus::Elsewhere => self.dim(),
        }
    }

    /// The label of a suspect; the text differs too.
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

    /// A cell of a flamegraph; its edge is a glyph.
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

    /// A band of a stacked chart; its letter identifies it too.
    pub fn stacked(self, rank: usize) -> Style {
        let Some(palette) = self.palette() else {
            return Style::new();
        };
        Style::new().bg(palette.bands[rank % palette.bands.len()]).fg(palette.ink)
    }

    /// Changed numbers; their sign is next to them.
    pub fn change(self, change: Change) -> Style {
        match change {
            Change::Grown => self.fg(|it| it.bad),
            Change::Shrunk => self.fg(|it| it.good),
            Change::Both => self.fg(|it| it.number),
            Change::None => Style::new(),
        }
    }

    /// A changed cell of a flamegraph; its edge is [`change_glyph`](Self::change_glyph).
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

    /// SQL keywords.
    pub fn sql_keyword(self) -> Style {
        self.fg(|it| it.keyword).add_modifier(Modifier::BOLD)
    }

    /// SQL strings.
    pub fn sql_string(self) -> Style {
        self.fg(|it| it.good)
    }

    /// SQL numbers.
    pub fn sql_number(self) -> Style {
        self.fg(|it| it.number)
    }

    /// SQL parameters.
    pub fn sql_parameter(self) -> Style {
        self.fg(|it| it.matched).add_modifier(Modifier::BOLD)
    }

    /// The lines of borders.
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

    /// The Unicode or the ASCII form of a glyph.
    pub fn glyph(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Ascii => ascii,
        }
    }

    /// A sparkline with one character per value from 0 to `max`.
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

    /// Replaces non-ASCII characters if needed; the width stays the same.
    pub fn text(self, text: String) -> String {
        match self.glyphs {
            Glyphs::Unicode => text,
            Glyphs::Ascii if text.is_ascii() => text,
            Glyphs::Ascii => text.chars().map(ascii).collect(),
        }
    }
}

/// The direction of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Growth.
    Grown,
    /// Shrinkage.
    Shrunk,
    /// Both.
    Both,
    /// No change.
    None,
}

/// Whether a pane has the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// It has the focus.
    Here,
    /// Another pane has it.
    Elsewhere,
}

/// The background of `foreground;background`.
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
