//! Draws the SQL editor: coloured text, the position of an error, completions.
//!
//! The text area draws in one style; the cells are then coloured by token.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::widgets::Widget;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::database::sql::lexer::{self, TokenKind};
use crate::tui::app::state::App;
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::text;

/// Candidates shown at once.
const CANDIDATES: usize = 8;

/// Draws the editor.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme, focus: Focus) {
    if area.is_empty() {
        return;
    }
    let title = "SQL (Ctrl-J or F5: run the statement at the cursor)";
    let inside = text::pane(buffer, theme, area, title, focus);
    if inside.is_empty() {
        return;
    }
    if app.sql.editor.is_empty() {
        draw_hints(buffer, inside, theme);
    }
    let mut editor = app.sql.editor.clone();
    editor.set_cursor_style(match focus {
        Focus::Here => Style::new().add_modifier(Modifier::REVERSED),
        Focus::Elsewhere => Style::new(),
    });
    if !app.sql.editor.is_empty() || focus == Focus::Here {
        // Drawn into a separate buffer, so that the hints of an empty editor stay.
        let mut own = Buffer::empty(inside);
        editor.render(inside, &mut own);
        if !app.sql.editor.is_empty() {
            buffer.merge(&own);
        } else if let Some(cell) = buffer.cell_mut(Position::new(inside.x, inside.y)) {
            cell.set_style(theme.selected());
        }
    }
    let (top, left) = editor.scroll_offset();
    let view = TextWindow { area: inside, top, left };
    colour_tokens(buffer, &view, app, theme);
    draw_error(buffer, &view, app, theme);
    if focus == Focus::Here {
        draw_candidates(buffer, &view, app, theme);
    }
}

struct TextWindow {
    area: Rect,
    top: u16,
    left: u16,
}

impl TextWindow {
    /// The cell of a row and a display column of the text, if it is visible.
    fn cell(&self, row: usize, column: usize) -> Option<Position> {
        let y = row.checked_sub(usize::from(self.top))?;
        let x = column.checked_sub(usize::from(self.left))?;
        let inside = y < usize::from(self.area.height) && x < usize::from(self.area.width);
        inside.then(|| Position::new(self.area.x + x as u16, self.area.y + y as u16))
    }
}

fn draw_hints(buffer: &mut Buffer, area: Rect, theme: Theme) {
    let lines = [
        "Run any query, for example:",
        "",
        "  SELECT bt, count(*), sum(size) FROM allocations",
        "  WHERE dealloc_after IS NULL GROUP BY bt ORDER BY 3 DESC;",
        "",
        "Tab: complete · Ctrl-T: built-in queries · Esc: leave the editor",
        "On a row with a bt, Enter opens its backtrace and f the flamegraph of all rows.",
    ];
    for (at, line) in lines.iter().enumerate() {
        text::put(buffer, theme, text::line(area, at as u16), 1, line, theme.dim());
    }
}

fn colour_tokens(buffer: &mut Buffer, view: &TextWindow, app: &App, theme: Theme) {
    let sql = app.sql.text();
    let mut row = 0;
    let mut column = 0;
    for token in lexer::tokens(&sql) {
        let style = match token.kind {
            TokenKind::Keyword => theme.sql_keyword(),
            TokenKind::String | TokenKind::Blob => theme.sql_string(),
            TokenKind::Number => theme.sql_number(),
            TokenKind::Parameter => theme.sql_parameter(),
            TokenKind::Comment => theme.dim(),
            TokenKind::Illegal => theme.error(),
            _ => Style::new(),
        };
        for c in token.text(&sql).chars() {
            if c == '\n' {
                row += 1;
                column = 0;
                continue;
            }
            let width = match c {
                '\t' => 2 - column % 2,
                c => c.width().unwrap_or(0),
            };
            for x in column..column + width {
                if let Some(cell) = view.cell(row, x).and_then(|at| buffer.cell_mut(at)) {
                    cell.set_style(style);
                }
            }
            column += width;
        }
        if row > usize::from(view.top + view.area.height) {
            break;
        }
    }
}

/// Underlines the position of an SQL error and writes its message on the lower border.
fn draw_error(buffer: &mut Buffer, view: &TextWindow, app: &App, theme: Theme) {
    let Some(offset) = app.sql.error_offset else { return };
    let (row, chars) = app.sql.position(offset);
    let line = app.sql.editor.lines().get(row).map_or("", String::as_str);
    let column: usize = line.chars().take(chars).map(|c| c.width().unwrap_or(0)).sum();
    if let Some(at) = view.cell(row, column)
        && let Some(cell) = buffer.cell_mut(at)
    {
        cell.set_style(theme.error().add_modifier(Modifier::REVERSED | Modifier::UNDERLINED));
    }
    let error = app.sql.table().and_then(|table| table.error.as_ref());
    if let Some(error) = error {
        let words = format!(" ! line {}: {} ", row + 1, text::clean(&error.message));
        let border = Rect { y: view.area.y + view.area.height, height: 1, ..view.area };
        text::put(buffer, theme, border, 0, &words, theme.error());
    }
}

fn draw_candidates(buffer: &mut Buffer, view: &TextWindow, app: &App, theme: Theme) {
    let Some(open) = &app.sql.completions else {
        return;
    };
    let all = &open.completion.candidates;
    let first = open.at.saturating_sub(CANDIDATES - 1);
    let shown: Vec<_> = all.iter().enumerate().skip(first).take(CANDIDATES).collect();
    let widest =
        shown.iter().map(|(_, it)| it.text.width() + 2 + it.detail.width()).max().unwrap_or(0);
    let screen = buffer.area;
    let width = (widest as u16 + 2).min(screen.width.saturating_sub(2)).max(10);
    let (row, chars) = app.sql.position(open.completion.range.start);
    let line = app.sql.editor.lines().get(row).map_or("", String::as_str);
    let column: usize = line.chars().take(chars).map(|c| c.width().unwrap_or(0)).sum();
    let at = view.cell(row, column).unwrap_or(Position::new(view.area.x, view.area.y));
    let height = shown.len() as u16;
    let y = match at.y + 1 + height < screen.height {
        true => at.y + 1,
        false => at.y.saturating_sub(height),
    };
    let x = at.x.min(screen.width.saturating_sub(width + 1));
    for (place, (index, candidate)) in shown.into_iter().enumerate() {
        let line = Rect::new(x, y + place as u16, width, 1).intersection(screen);
        let mark = if index == open.at { theme.glyph("▸", ">") } else { " " };
        let words = format!("{mark}{:<1$}", candidate.text, usize::from(width));
        let style = match index == open.at {
            true => theme.selected(),
            false => theme.key(),
        };
        text::put(buffer, theme, line, 0, &words, style);
        let detail = format!(" {}", candidate.detail);
        text::put_right(buffer, theme, line, &detail, style.patch(theme.dim()));
    }
}
