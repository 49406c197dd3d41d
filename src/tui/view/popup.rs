//! Draws pop-ups: texts, source, lists and prompts.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Clear, Widget};
use unicode_width::UnicodeWidthStr;

use crate::tui::app::layout::geometry::picker_footer_rows;
use crate::tui::app::state::App;
use crate::tui::app::state::popup::{Picker, Popup, Prompt, SourcePopup, Text};
use crate::tui::app::state::text_input::Origin;
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::detail;
use crate::tui::view::text;
use crate::tui::view::text::select_row;

/// Draws the topmost pop-up.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let Some(popup) = app.popups.last() else {
        return;
    };
    if area.is_empty() {
        return;
    }
    Clear.render(area, buffer);
    match popup {
        Popup::Text(it) => draw_text(buffer, area, it, theme),
        Popup::Source(it) => draw_source(buffer, area, it, theme),
        Popup::Picker(it) => draw_picker(buffer, area, it, theme),
        Popup::Prompt(it) => draw_prompt(buffer, area, it, theme),
    }
}

fn draw_text(buffer: &mut Buffer, area: Rect, popup: &Text, theme: Theme) {
    let inside = text::pane(buffer, theme, area, &text::clean(&popup.title), Focus::Here);
    let top = popup.cursor.at as usize;
    for (row, line) in popup.body.lines().skip(top).take(usize::from(inside.height)).enumerate() {
        let is_heading = !line.starts_with(' ') && popup.title == "keys";
        let style = if is_heading { theme.title() } else { Style::new() };
        text::put(buffer, theme, text::line(inside, row as u16), 1, line, style);
    }
    let more = popup.body.lines().count().saturating_sub(top + usize::from(inside.height));
    if more > 0 {
        let footer = Rect { y: area.y + area.height - 1, height: 1, ..area };
        let words = format!(" {more} more lines ");
        text::put(buffer, theme, footer, 2, &words, theme.key());
    }
}

fn draw_source(buffer: &mut Buffer, area: Rect, popup: &SourcePopup, theme: Theme) {
    let place = format!("{}:{}", text::clean(&popup.file), popup.line);
    let room = usize::from(area.width.saturating_sub(6));
    let title = text::cut_front(&place, room, theme).into_owned();
    let inside = text::pane(buffer, theme, area, &title, Focus::Here);
    let head = text::line(inside, 0);
    text::put(buffer, theme, head, 1, &popup.sym, theme.key());
    let below = Rect {
        y: inside.y + inside.height.min(1),
        height: inside.height.saturating_sub(1),
        ..inside
    };
    match &popup.source {
        None => {
            text::put(buffer, theme, below, 1, "reading…", theme.dim());
        }
        Some(source) => {
            detail::source(buffer, below, theme, source, popup.line, Some(popup.cursor.at));
            if !source.problem.is_empty() {
                let at = if source.lines.is_empty() { 1 } else { below.height - 1 };
                text::put(buffer, theme, text::line(below, at), 1, &source.problem, theme.error());
            }
        }
    }
}

fn draw_picker(buffer: &mut Buffer, area: Rect, picker: &Picker, theme: Theme) {
    let inside = text::pane(buffer, theme, area, &text::clean(&picker.title), Focus::Here);
    let matching = picker.matching();
    let head = text::line(inside, 0);
    let (before, after) = picker.typed.split_at_cursor();
    field(buffer, head, theme, "find", before, after);
    let count = format!("{} of {} ", matching.len(), picker.items.len());
    text::put_right(buffer, theme, head, &count, theme.dim());
    if matching.is_empty() {
        text::put(
            buffer,
            theme,
            text::line(inside, 1),
            2,
            "nothing matches; Backspace: delete",
            theme.dim(),
        );
        return;
    }
    let groups = matching.iter().map(|it| it.group.width()).max().unwrap_or(0).min(12);
    let titles = matching.iter().map(|it| it.title.width()).max().unwrap_or(0).min(36);
    let footer = picker_footer_rows(inside.height);
    if let Some(item) = matching.get(picker.cursor.at as usize).filter(|_| footer > 0) {
        let top = inside.height - footer;
        let rule = theme.glyph("─", "-").repeat(usize::from(inside.width));
        text::put(buffer, theme, text::line(inside, top), 0, &rule, theme.dim());
        let lines = text::wrap(&text::clean(&item.help), usize::from(inside.width) - 2);
        for (row, line) in lines.iter().take(usize::from(footer) - 1).enumerate() {
            text::put(
                buffer,
                theme,
                text::line(inside, top + 1 + row as u16),
                1,
                line,
                Style::new(),
            );
        }
    }
    for row in 1..inside.height - footer {
        let at = picker.cursor.top + u64::from(row) - 1;
        let Some(item) = matching.get(at as usize) else {
            break;
        };
        let line = text::line(inside, row);
        text::put(
            buffer,
            theme,
            Rect { width: line.width.min(2 + groups as u16), ..line },
            2,
            &item.group,
            theme.dim(),
        );
        let x = 3 + groups as u16;
        let title = text::cut(&item.title, titles, theme).into_owned();
        text::put(buffer, theme, line, x, &title, theme.key());
        text::put(buffer, theme, line, x + titles as u16 + 2, &item.help, theme.dim());
        if at == picker.cursor.at {
            select_row(buffer, theme, line, Focus::Here);
        }
    }
}

fn draw_prompt(buffer: &mut Buffer, area: Rect, prompt: &Prompt, theme: Theme) {
    let inside = text::pane(buffer, theme, area, &text::clean(&prompt.title), Focus::Here);
    // In a low terminal, fields before the focused one are not drawn.
    let rows = |at: usize| prompt.fields.get(at).map_or(0, |it| 2 + u16::from(!it.help.is_empty()));
    let mut first = 0;
    while first < prompt.focused && (first..=prompt.focused).map(rows).sum::<u16>() > inside.height
    {
        first += 1;
    }
    let mut y = 0;
    for (at, it) in prompt.fields.iter().enumerate().skip(first) {
        let line = text::line(inside, y);
        let (before, after) = it.input.split_at_cursor();
        let label = if it.label.is_empty() { ">" } else { &it.label };
        match at == prompt.focused {
            true => {
                field(buffer, line, theme, label, before, after);
                if it.input.origin() == Origin::Default {
                    // A default is drawn as selected, because typing replaces it.
                    let x = label.width() as u16 + 3;
                    let width = (before.width() as u16).min(line.width.saturating_sub(x));
                    let default = Rect { x: line.x + x, width, ..line };
                    text::tint(buffer, default, theme.selected());
                }
            }
            false => {
                let x = 1 + text::put(buffer, theme, line, 1, label, theme.dim());
                text::put(buffer, theme, line, x + 1, it.input.text(), Style::new());
            }
        }
        if !it.help.is_empty() {
            y += 1;
            text::put(buffer, theme, text::line(inside, y), 3, &it.help, theme.dim());
        }
        y += 1;
        if let Some(error) = &it.error {
            text::put(
                buffer,
                theme,
                text::line(inside, y),
                3,
                &format!("! {error}"),
                theme.error(),
            );
        }
        y += 1;
    }
}

/// A text field with its cursor; the beginning is cut if there is no room.
fn field(buffer: &mut Buffer, line: Rect, theme: Theme, label: &str, before: &str, after: &str) {
    let x = 2 + text::put(buffer, theme, line, 1, label, theme.title());
    let room = usize::from(line.width.saturating_sub(x + 2));
    let before = text::cut_front(before, room, theme).into_owned();
    let x = x + text::put(buffer, theme, line, x, &before, theme.key());
    let mut rest = after.chars();
    let under = rest.next().unwrap_or(' ').to_string();
    let cursor = Style::new().add_modifier(Modifier::REVERSED);
    let x = x + text::put(buffer, theme, line, x, &under, cursor);
    text::put(buffer, theme, line, x, rest.as_str(), theme.key());
}
