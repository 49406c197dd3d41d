//! The colours of each theme, by background and number of colours.
//!
//! Invariant: text in these colours has enough contrast on the theme's backgrounds, and
//! [`Palette::ink`] on every colour that is used as a background; a test measures each pair.

use ratatui::style::Color;

/// Colours by purpose.
#[derive(Debug)]
pub struct Palette {
    /// Titles, the current tab, the border of the focused pane.
    pub accent: Color,
    /// Secondary text.
    pub dim: Color,
    /// Important numbers; changes that are partly bad.
    pub number: Color,
    /// Errors, leaks, growth.
    pub bad: Color,
    /// Filters, harmless suspects, shrinkage.
    pub good: Color,
    /// Search matches and SQL parameters.
    pub matched: Color,
    /// SQL keywords.
    pub keyword: Color,
    /// Text on any of the colours below.
    pub ink: Color,
    /// Cells of the program's own functions.
    pub own: &'static [Color],
    /// Cells of functions of dependencies.
    pub dependency: &'static [Color],
    /// Cells of the standard library and of the runtime.
    pub library: Color,
    /// Cells of functions without a name.
    pub unknown: Color,
    /// Bands of a stacked chart.
    pub bands: [Color; 7],
    /// Cells that grew, shrank, or both.
    pub changes: [Color; 3],
}

/// The terminal's 16 colours on dark. Bright ones where the normal one is usually too dark.
pub const DARK_16: Palette = Palette {
    accent: Color::Cyan,
    dim: Color::DarkGray,
    number: Color::Yellow,
    bad: Color::LightRed,
    good: Color::Green,
    matched: Color::LightMagenta,
    keyword: Color::Cyan,
    ink: Color::Black,
    own: &[Color::Yellow],
    dependency: &[Color::Cyan],
    library: Color::Gray,
    unknown: Color::White,
    bands: [
        Color::Yellow,
        Color::Cyan,
        Color::LightMagenta,
        Color::Green,
        Color::LightBlue,
        Color::LightRed,
        Color::White,
    ],
    changes: [Color::LightRed, Color::Green, Color::Yellow],
};

/// The terminal's 16 colours on light, where few of them are readable as text.
pub const LIGHT_16: Palette = Palette {
    accent: Color::Blue,
    dim: Color::DarkGray,
    number: Color::Magenta,
    bad: Color::Red,
    good: Color::Blue,
    matched: Color::Magenta,
    keyword: Color::Blue,
    unknown: Color::Gray,
    ..DARK_16
};

/// The 256 colours of xterm on dark. From 16 on, their values are the same in all terminals.
pub const DARK_256: Palette = Palette {
    accent: Color::Indexed(80),
    dim: Color::Indexed(247),
    number: Color::Indexed(221),
    bad: Color::Indexed(210),
    good: Color::Indexed(114),
    matched: Color::Indexed(213),
    keyword: Color::Indexed(111),
    ink: Color::Indexed(16),
    own: &[
        Color::Indexed(179),
        Color::Indexed(180),
        Color::Indexed(215),
        Color::Indexed(216),
        Color::Indexed(221),
        Color::Indexed(222),
        Color::Indexed(214),
        Color::Indexed(186),
    ],
    dependency: &[
        Color::Indexed(110),
        Color::Indexed(116),
        Color::Indexed(152),
        Color::Indexed(153),
    ],
    library: Color::Indexed(250),
    unknown: Color::Indexed(254),
    bands: [
        Color::Indexed(222),
        Color::Indexed(116),
        Color::Indexed(182),
        Color::Indexed(151),
        Color::Indexed(110),
        Color::Indexed(216),
        Color::Indexed(187),
    ],
    changes: [Color::Indexed(210), Color::Indexed(114), Color::Indexed(222)],
};

/// The 256 colours of xterm on light.
pub const LIGHT_256: Palette = Palette {
    accent: Color::Indexed(24),
    dim: Color::Indexed(241),
    number: Color::Indexed(94),
    bad: Color::Indexed(124),
    good: Color::Indexed(22),
    matched: Color::Indexed(90),
    keyword: Color::Indexed(25),
    library: Color::Indexed(252),
    unknown: Color::Indexed(248),
    ..DARK_256
};

const fn rgb(hex: u32) -> Color {
    Color::Rgb((hex >> 16 & 0xff) as u8, (hex >> 8 & 0xff) as u8, (hex & 0xff) as u8)
}

/// 24-bit colours on dark.
pub const DARK_TRUE: Palette = Palette {
    accent: rgb(0x5c_c8_d7),
    dim: rgb(0x9f_a4_ad),
    number: rgb(0xe6_c3_5c),
    bad: rgb(0xff_8a_80),
    good: rgb(0x8f_d6_94),
    matched: rgb(0xf0_8c_f0),
    keyword: rgb(0x8a_b4_ff),
    ink: rgb(0x00_00_00),
    own: &[
        rgb(0xf2_b2_5c),
        rgb(0xe8_a0_6a),
        rgb(0xf5_c7_6e),
        rgb(0xe0_b8_7e),
        rgb(0xf0_a9_86),
        rgb(0xd9_c0_6a),
        rgb(0xf7_d0_8a),
        rgb(0xe3_ad_52),
    ],
    dependency: &[rgb(0x7f_b4_dc), rgb(0x86_c9_d2), rgb(0x9c_bf_e8), rgb(0xa6_d4_e0)],
    library: rgb(0xbd_c1_c7),
    unknown: rgb(0xe4_e6_e9),
    bands: [
        rgb(0xf5_c7_6e),
        rgb(0x7f_ce_d6),
        rgb(0xd3_a6_e0),
        rgb(0xa5_d2_a0),
        rgb(0x86_b2_e6),
        rgb(0xf0_a0_86),
        rgb(0xd8_d2_a8),
    ],
    changes: [rgb(0xff_8a_80), rgb(0x8f_d6_94), rgb(0xf5_d0_7a)],
};

/// 24-bit colours on light.
pub const LIGHT_TRUE: Palette = Palette {
    accent: rgb(0x00_5f_7a),
    dim: rgb(0x5c_60_66),
    number: rgb(0x7a_54_00),
    bad: rgb(0xb0_00_20),
    good: rgb(0x1b_5e_20),
    matched: rgb(0x8a_00_8a),
    keyword: rgb(0x0b_57_a4),
    library: rgb(0xd0_d3_d8),
    unknown: rgb(0xab_af_b6),
    ..DARK_TRUE
};
