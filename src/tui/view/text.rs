//! Writes text into cells: sanitized, cut to a width, with a style.
//!
//! Invariants:
//! - Nothing is written outside the given width, whatever characters the text has.
//! - All text is [sanitized](mod@crate::database::text::sanitize).

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, Widget};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::database::text::sanitize;
use crate::database::text::units;
use crate::tui::app::state::table::Total;
use crate::tui::terminal::theme::{Focus, Theme};

/// Writes text, cut with a mark if it does not fit; returns the columns it took.
pub fn put(buffer: &mut Buffer, theme: Theme, area: Rect, x: u16, text: &str, style: Style) -> u16 {
    let area = area.intersection(buffer.area);
    if area.is_empty() || x >= area.width {
        return 0;
    }
    let room = area.width - x;
    let text = theme.text(cut(&clean(text), usize::from(room), theme).into_owned());
    let width = text.width().min(usize::from(room)) as u16;
    buffer.set_stringn(area.x + x, area.y, &text, usize::from(room), style);
    width
}

/// Like [`put`], but aligned to the right edge; writes nothing if the text does not fit.
pub fn put_right(buffer: &mut Buffer, theme: Theme, area: Rect, text: &str, style: Style) -> u16 {
    let width = text.width() as u16;
    if width > area.width {
        return 0;
    }
    put(buffer, theme, area, area.width - width, text, style)
}

/// Sanitizes text.
pub fn clean(text: &str) -> Cow<'_, str> {
    sanitize::line(text)
}

/// Cuts text to a width, with a mark at its end.
pub fn cut(text: &str, width: usize, theme: Theme) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    if width == 0 {
        return Cow::Borrowed("");
    }
    let mut cut_text = String::new();
    let mut taken = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if taken + columns >= width {
            break;
        }
        taken += columns;
        cut_text.push(c);
    }
    cut_text.push_str(theme.glyph("…", "~"));
    Cow::Owned(cut_text)
}

/// Cuts text at its beginning, for paths and names whose end matters more.
pub fn cut_front(text: &str, width: usize, theme: Theme) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    if width == 0 {
        return Cow::Borrowed("");
    }
    let mut cut_text = Vec::new();
    let mut taken = 1;
    for c in text.chars().rev() {
        taken += c.width().unwrap_or(0);
        if taken > width {
            break;
        }
        cut_text.push(c);
    }
    let mark = theme.glyph("…", "~");
    Cow::Owned(mark.chars().chain(cut_text.into_iter().rev()).collect())
}

/// Wraps text at words, or within words that are too long.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let needed = word.width() + usize::from(!line.is_empty());
            if !line.is_empty() && line.width() + needed > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            for c in word.chars() {
                if line.width() + c.width().unwrap_or(0) > width.max(1) {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(c);
            }
        }
        lines.push(line);
    }
    lines
}

/// A line of the area, counted from its top; empty if the area is too low.
pub fn line(area: Rect, at: u16) -> Rect {
    if at >= area.height {
        return Rect::default();
    }
    Rect { y: area.y + at, height: 1, ..area }
}

/// Applies a style to an area without changing its text.
pub fn tint(buffer: &mut Buffer, area: Rect, style: Style) {
    buffer.set_style(area.intersection(buffer.area), style);
}

/// Draws the border of a pane with a title; returns the inner area.
pub fn pane(buffer: &mut Buffer, theme: Theme, area: Rect, title: &str, focus: Focus) -> Rect {
    if area.is_empty() {
        return Rect::default();
    }
    let block = Block::bordered().border_set(theme.lines()).border_style(theme.border(focus));
    let inside = block.inner(area);
    block.render(area, buffer);
    // The focus has a mark in addition to its colour.
    let mark = match focus {
        Focus::Here => theme.glyph("▸", ">"),
        Focus::Elsewhere => " ",
    };
    let style = match focus {
        Focus::Here => theme.title(),
        Focus::Elsewhere => Style::new(),
    };
    let head = Rect { x: area.x + 1, width: area.width.saturating_sub(2), height: 1, ..area };
    put(buffer, theme, head, 0, &format!("{mark}{title} "), style);
    inside
}

/// Marks a line as selected.
pub fn select_row(buffer: &mut Buffer, theme: Theme, line: Rect, focus: Focus) {
    let style = match focus {
        Focus::Here => theme.selected(),
        Focus::Elsewhere => theme.selected_elsewhere(),
    };
    tint(buffer, line, style);
    put(buffer, theme, line, 0, theme.glyph("▶", ">"), Style::new());
}

/// "17", or ">500" if the number is a lower bound.
pub fn total_text(total: Total) -> String {
    let count = |rows: u64| units::count(i64::try_from(rows).unwrap_or(i64::MAX));
    match total {
        Total::Exactly(rows) => count(rows),
        Total::AtLeast(rows) => format!(">{}", count(rows.saturating_sub(1))),
    }
}
