//! Themes: selection, the terminal's background, and the contrast of everything that is drawn.
//!
//! Invariant: contrast is that of WCAG 2, measured on the drawn views.

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};
use rheaper::tui::flame::tree::FrameKind;
use rheaper::tui::terminal::osc11::{Osc11Event, Osc11Parser};
use rheaper::tui::terminal::theme::{
    Background, BackgroundChoice, Change, Colors, Glyphs, Theme, ThemeSettings,
};

use crate::support::terminal::Terminal;
use crate::tui::driver::{Driver, styles, text};
use crate::tui::fixture::{database, databases, leaky_server};

const COLORS: [(Colors, &str); 3] =
    [(Colors::Sixteen, "16"), (Colors::Indexed, "256"), (Colors::True, "true")];

const BACKGROUNDS: [(Background, &str); 2] =
    [(Background::Dark, "dark"), (Background::Light, "light")];

/// Default backgrounds of terminals: black, VS Code, One Dark, Solarized, Ubuntu.
const DARK: [u32; 5] = [0x00_00_00, 0x1e_1e_1e, 0x28_2c_34, 0x00_2b_36, 0x30_0a_24];
/// White, Atom One Light, Solarized.
const LIGHT: [u32; 3] = [0xff_ff_ff, 0xfa_fa_fa, 0xfd_f6_e3];

fn themes() -> impl Iterator<Item = (String, Theme)> {
    BACKGROUNDS.into_iter().flat_map(|(background, of)| {
        COLORS.into_iter().map(move |(colors, depth)| {
            let theme = Theme { colors, background, glyphs: Glyphs::Unicode };
            (format!("{of}_{depth}"), theme)
        })
    })
}

/// The RGB value of a colour in xterm.
fn shown(color: Color) -> u32 {
    let of = |red: u32, green: u32, blue: u32| red << 16 | green << 8 | blue;
    let sixteen = |at: usize| {
        [
            0x00_00_00, 0xcd_00_00, 0x00_cd_00, 0xcd_cd_00, 0x00_00_ee, 0xcd_00_cd, 0x00_cd_cd,
            0xe5_e5_e5, 0x7f_7f_7f, 0xff_00_00, 0x00_ff_00, 0xff_ff_00, 0x5c_5c_ff, 0xff_00_ff,
            0x00_ff_ff, 0xff_ff_ff,
        ][at]
    };
    match color {
        Color::Rgb(red, green, blue) => of(red.into(), green.into(), blue.into()),
        Color::Indexed(at @ 16..=231) => {
            let step = |at: u32| if at == 0 { 0 } else { 55 + 40 * at };
            let at = u32::from(at) - 16;
            of(step(at / 36), step(at / 6 % 6), step(at % 6))
        }
        Color::Indexed(at @ 232..) => {
            let grey = 8 + 10 * (u32::from(at) - 232);
            of(grey, grey, grey)
        }
        Color::Indexed(at) => sixteen(at.into()),
        Color::Black => sixteen(0),
        Color::Red => sixteen(1),
        Color::Green => sixteen(2),
        Color::Yellow => sixteen(3),
        Color::Blue => sixteen(4),
        Color::Magenta => sixteen(5),
        Color::Cyan => sixteen(6),
        Color::Gray => sixteen(7),
        Color::DarkGray => sixteen(8),
        Color::LightRed => sixteen(9),
        Color::LightGreen => sixteen(10),
        Color::LightYellow => sixteen(11),
        Color::LightBlue => sixteen(12),
        Color::LightMagenta => sixteen(13),
        Color::LightCyan => sixteen(14),
        Color::White => sixteen(15),
        Color::Reset => panic!("the terminal's own"),
    }
}

fn luminance(color: u32) -> f64 {
    let part = |shift: u32, weight: f64| {
        let part = f64::from(color >> shift & 0xff) / 255.0;
        let linear =
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        linear * weight
    };
    part(16, 0.2126) + part(8, 0.7152) + part(0, 0.0722)
}

fn contrast(one: u32, other: u32) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn contrast_is_that_of_the_guidelines() {
    let near = |one: u32, other: u32, wanted: f64| {
        let ratio = contrast(one, other);
        assert!((ratio - wanted).abs() < 0.01, "{ratio}");
    };
    near(0x00_00_00, 0xff_ff_ff, 21.0);
    near(0x77_77_77, 0xff_ff_ff, 4.48);
    near(0x00_00_ff, 0xff_ff_ff, 8.59);
    assert_eq!(shown(Color::Indexed(110)), 0x87_af_d7);
    assert_eq!(shown(Color::Indexed(247)), 0x9e_9e_9e);
}

/// The pairs of colours of a theme with their use: those of its styles and of all drawn cells.
fn pairs(theme: Theme, drawn: &[Driver]) -> HashMap<(Color, Color), String> {
    let mut pairs = HashMap::new();
    let mut add = |fg: Option<Color>, bg: Option<Color>, what: String| {
        let pair = (fg.unwrap_or_default(), bg.unwrap_or_default());
        // The contrast of the terminal's default colours is the user's choice.
        if pair != (Color::Reset, Color::Reset) {
            pairs.entry(pair).or_insert(what);
        }
    };
    let kinds = [
        FrameKind::Own,
        FrameKind::Std,
        FrameKind::Runtime,
        FrameKind::Dependency,
        FrameKind::Unknown,
    ];
    for kind in kinds {
        for name in 0..200 {
            let style = theme.cell(kind, &format!("function {name}"));
            add(style.fg, style.bg, format!("{kind:?}"));
        }
    }
    for change in [Change::Grown, Change::Shrunk, Change::Both, Change::None] {
        for style in [theme.change(change), theme.change_cell(change)] {
            add(style.fg, style.bg, format!("{change:?}"));
        }
    }
    for rank in 0..7 {
        let style = theme.stacked(rank);
        add(style.fg, style.bg, format!("band {rank}"));
    }
    for driver in drawn {
        for cell in driver.draw(theme).content {
            if cell.symbol().trim().is_empty() && !cell.modifier.contains(Modifier::UNDERLINED) {
                continue;
            }
            add(Some(cell.fg), Some(cell.bg), format!("{:?} {:?}", driver.app.view, cell.symbol()));
        }
    }
    pairs
}

#[test]
fn everything_drawn_has_enough_contrast() {
    let (_directory, path) = database(&leaky_server());
    let (_both, after, before) = databases();
    let mut drawn = Vec::new();
    for keys in [
        "",
        "<Enter>",
        "v",
        "2/cache<Enter>",
        "2<Down><Down>",
        "3E",
        "4s",
        "5",
        "5s",
        "6",
        "6<Tab>",
        "7SELECT 'a', 1, :x -- c<F5>",
        "7SELECT size FROM alocations<F5>",
        "c",
        "+live 3<Enter>",
        "+live<Enter>",
        "?",
    ] {
        let mut driver = Driver::new(&path, (120, 40));
        driver.press(keys);
        drawn.push(driver);
    }
    for keys in ["", "<Tab>", "<Tab><Tab><Enter>"] {
        let mut driver = Driver::comparing(&after, &before, (120, 40));
        driver.press(keys);
        drawn.push(driver);
    }
    let mut bad = Vec::new();
    for (name, theme) in themes() {
        // The user defines the 16 colours; bright blue usually has no more contrast than this.
        let least = if theme.colors == Colors::Sixteen { 3.0 } else { 4.5 };
        let backgrounds = match theme.background {
            Background::Dark => DARK.as_slice(),
            Background::Light => LIGHT.as_slice(),
        };
        let pairs = pairs(theme, &drawn);
        assert!(pairs.len() > 10, "{name}: {}", pairs.len());
        for ((fg, bg), what) in pairs {
            assert!(bg == Color::Reset || fg != Color::Reset, "{name}: {what}: own text on {bg:?}");
            let fixed = [bg].into_iter().filter(|bg| *bg != Color::Reset).map(shown);
            let fixed: Vec<u32> = fixed.collect();
            let on = if fixed.is_empty() { backgrounds } else { &fixed };
            let worst = on.iter().map(|on| contrast(shown(fg), *on)).fold(f64::MAX, f64::min);
            if worst < least {
                bad.push(format!("{name}: {what}: {fg:?} on {bg:?}: {worst:.2}"));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn one_screen_in_every_theme() {
    let (_directory, path) = database(&leaky_server());
    let mut driver = Driver::new(&path, (80, 24));
    driver.press("2<Down><Down>/cache<Enter>");
    for (name, theme) in themes() {
        let drawn = driver.draw(theme);
        let dump = format!("{}\n\n== {name}\n{}", text(&drawn), styles(&drawn));
        insta::assert_snapshot!(format!("theme_{name}"), dump);
    }
}

fn of(variables: &[(&str, &str)]) -> Theme {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Theme::from_environment(|name| variables.get(name).map(|it| (*it).to_owned()))
}

#[test]
fn the_environment_says_how_many_colours_and_on_what() {
    for (term, colorterm, colors) in [
        ("xterm-256color", "truecolor", Colors::True),
        ("xterm-256color", "24bit", Colors::True),
        ("xterm-direct", "", Colors::True),
        ("xterm-256color", "", Colors::Indexed),
        ("xterm", "yes", Colors::Indexed),
        ("xterm", "", Colors::Sixteen),
        ("dumb", "truecolor", Colors::Off),
    ] {
        assert_eq!(of(&[("TERM", term), ("COLORTERM", colorterm)]).colors, colors, "{term}");
    }
    let none = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")];
    assert_eq!(of(&none).colors, Colors::Off);
    for (value, background) in [
        ("15;0", Background::Dark),
        ("0;15", Background::Light),
        ("0;default;15", Background::Light),
        ("12;8", Background::Dark),
        ("0;7", Background::Light),
        ("default;default", Background::Dark),
        ("", Background::Dark),
    ] {
        assert_eq!(of(&[("COLORFGBG", value)]).background, background, "{value}");
    }
}

#[test]
fn the_file_and_the_option_choose_but_no_colours_stay_none() {
    let choice = ThemeSettings::parse("# mine\nlight 256\n").unwrap();
    assert_eq!(choice.background, Some(BackgroundChoice::Fixed(Background::Light)));
    let theme = of(&[("TERM", "xterm"), ("COLORFGBG", "15;0")]).with_settings(choice);
    assert_eq!((theme.background, theme.colors), (Background::Light, Colors::Indexed));
    assert_eq!(of(&[("NO_COLOR", "1")]).with_settings(choice).colors, Colors::Off);
    assert_eq!(ThemeSettings::parse("auto").unwrap().background, Some(BackgroundChoice::Auto));
    assert_eq!(ThemeSettings::parse("").unwrap(), ThemeSettings::default());
    assert!(ThemeSettings::parse("light mauve").unwrap_err().starts_with("mauve: expected"));
}

/// The key events that crossterm reports for bytes of the terminal.
fn as_keys(bytes: &str) -> Vec<KeyEvent> {
    let mut keys = Vec::new();
    let mut chars = bytes.chars();
    while let Some(c) = chars.next() {
        keys.push(match c {
            '\x1b' => KeyEvent::new(KeyCode::Char(chars.next().unwrap()), KeyModifiers::ALT),
            '\x07' => KeyEvent::new(KeyCode::Char('g'), KeyModifiers::CONTROL),
            c if c.is_ascii_uppercase() => KeyEvent::new(KeyCode::Char(c), KeyModifiers::SHIFT),
            c => KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE),
        });
    }
    keys
}

fn parsed(bytes: &str) -> (Vec<KeyEvent>, Option<Background>) {
    let (mut parser, mut pressed, mut reported) = (Osc11Parser::new(), Vec::new(), None);
    for key in as_keys(bytes) {
        match parser.feed(key) {
            Osc11Event::Pending => {}
            Osc11Event::Keys(keys) => pressed.extend(keys),
            Osc11Event::Background(background) => reported = Some(background),
        }
    }
    pressed.extend(parser.finish());
    (pressed, reported)
}

#[test]
fn the_terminals_response_is_separated_from_keys() {
    for (answer, background) in [
        ("\x1b]11;rgb:ffff/ffff/ffff\x1b\\", Background::Light),
        ("\x1b]11;rgb:FDFD/F6F6/E3E3\x07", Background::Light),
        ("\x1b]11;rgb:1e/1e/1e\x07", Background::Dark),
        ("\x1b]11;rgba:0000/2b2b/3636/ffff\x1b\\", Background::Dark),
        ("\x1b]11;rgb:f/f/f\x1b\\", Background::Light),
    ] {
        assert_eq!(parsed(answer), (Vec::new(), Some(background)), "{answer:?}");
        let among = format!("2/a{answer}jj");
        assert_eq!(parsed(&among), (as_keys("2/ajj"), Some(background)), "{answer:?}");
    }
    // Everything else is returned unchanged.
    for keys in [
        "",
        "jk]11;rgb:\x07",
        "\x1b]",
        "\x1b]q",
        "\x1b]11",
        "\x1b]11;rgb:zz",
        "\x1b]11;rgb:12/34\x07x",
        "\x1b]11;rgb:12345/1/1\x1b\\",
        "\x1b]11;rgb:000000000000000000000000000000000000000000000000",
        "\x1b]10;rgb:ffff/ffff/ffff\x07",
    ] {
        assert_eq!(parsed(keys), (as_keys(keys), None), "{keys:?}");
    }
}

/// The real binary has the accent of the light theme after a late response.
#[test]
fn a_light_terminal_gets_the_light_theme() {
    let (directory, path) = database(&leaky_server());
    let accent = |screen: &vt100::Screen, color: u8| {
        let (rows, columns) = screen.size();
        (0..rows.get()).any(|row| {
            (0..columns.get()).any(|column| {
                let cell = screen.cell(row, column);
                cell.is_some_and(|it| it.fgcolor() == vt100::Color::Idx(color))
            })
        })
    };
    let mut terminal = Terminal::explore(&path, directory.path(), (80, 24), &[]);
    terminal.sent(b"\x1b]11;?\x1b\\");
    terminal.see("#1 steady leak");
    terminal.wait("the dark accent", |screen| accent(screen, 80));
    terminal.press("\x1b]11;rgb:ffff/ffff/ffff\x1b\\");
    terminal.wait("the light accent", |screen| accent(screen, 24) && !accent(screen, 80));
    // No part of the response was handled as a key.
    terminal.see("▸suspects:");
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();

    std::fs::write(directory.path().join("theme.txt"), "light\n").unwrap();
    let mut terminal = Terminal::explore(&path, directory.path(), (80, 24), &[]);
    terminal.wait("the light accent", |screen| accent(screen, 24));
    terminal.press("q");
    terminal.ended();
    let arguments = ["--theme", "dark"];
    let mut terminal = Terminal::explore_with(&path, directory.path(), (80, 24), &[], &arguments);
    terminal.wait("the dark accent", |screen| accent(screen, 80));
    terminal.press("q");
    terminal.ended();
}
