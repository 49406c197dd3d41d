//! Writing text into cells: cleaned, cut to a width, in a style.
//!
//! Invariants:
//! - Nothing is written outside the given width, whatever characters the text has.
//! - Nothing is written that [`clean`](mod@crate::database::text::sanitize) would replace.

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

/// Writes text that fits, cut with a mark where it doesn't; gives the columns it took.
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

/// As [`put`], but ending at the right edge; nothing if there is no room for all.
pub fn put_right(buffer: &mut Buffer, theme: Theme, area: Rect, text: &str, style: Style) -> u16 {
    let width = text.width() as u16;
    if width > area.width {
        return 0;
    }
    put(buffer, theme, area, area.width - width, text, style)
}

/// Safe to print.
pub fn clean(text: &str) -> Cow<'_, str> {
    sanitize::line(text)
}

/// Cut to so many columns, ending in a mark if something is missing.
pub fn cut(text: &str, width: usize, theme: Theme) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    if width == 0 {
        return Cow::Borrowed("");
    }
    let mut kept = String::new();
    let mut taken = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if taken + columns >= width {
            break;
        }
        taken += columns;
        kept.push(c);
    }
    kept.push_str(theme.glyph("…", "~"));
    Cow::Owned(kept)
}

/// Cut at the beginning, for paths and names whose end says more.
pub fn cut_front(text: &str, width: usize, theme: Theme) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    if width == 0 {
        return Cow::Borrowed("");
    }
    let mut kept = Vec::new();
    let mut taken = 1;
    for c in text.chars().rev() {
        taken += c.width().unwrap_or(0);
        if taken > width {
            break;
        }
        kept.push(c);
    }
    let mark = theme.glyph("…", "~");
    Cow::Owned(mark.chars().chain(kept.into_iter().rev()).collect())
}

/// Breaks text into lines of a width, between words where there are any.
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

/// A line of the area, counted from its top; empty if it has fewer.
pub fn line(area: Rect, at: u16) -> Rect {
    if at >= area.height {
        return Rect::default();
    }
    Rect { y: area.y + at, height: 1, ..area }
}

/// Puts a style on a whole line without touching its text.
pub fn tint(buffer: &mut Buffer, area: Rect, style: Style) {
    buffer.set_style(area.intersection(buffer.area), style);
}

/// Draws a pane's border with a title and gives its inside.
pub fn pane(buffer: &mut Buffer, theme: Theme, area: Rect, title: &str, focus: Focus) -> Rect {
    if area.is_empty() {
        return Rect::default();
    }
    let block = Block::bordered().border_set(theme.lines()).border_style(theme.border(focus));
    let inside = block.inner(area);
    block.render(area, buffer);
    // The focus is told by a mark as well, for those who see no colours.
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

/// Marks the selected line.
pub fn select_row(buffer: &mut Buffer, theme: Theme, line: Rect, focus: Focus) {
    let style = match focus {
        Focus::Here => theme.selected(),
        Focus::Elsewhere => theme.selected_elsewhere(),
    };
    tint(buffer, line, style);
    put(buffer, theme, line, 0, theme.glyph("▶", ">"), Style::new());
}

/// "17", or ">500" where it is only known that there is at least one more.
pub fn total_text(total: Total) -> String {
    let count = |rows: u64| units::count(i64::try_from(rows).unwrap_or(i64::MAX));
    match total {
        Total::Exactly(rows) => count(rows),
        Total::AtLeast(rows) => format!(">{}", count(rows.saturating_sub(1))),
    }
}
