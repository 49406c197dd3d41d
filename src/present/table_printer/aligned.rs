//! The formats for people: table, markdown, line.
//!
//! Invariant: column widths are those of the first [`WINDOW`] rows; later rows are written as they
//! arrive, so that memory is bounded.

use std::borrow::Cow;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::database::table::{Column, Value};
use crate::database::text::sanitize;
use crate::database::text::units;
use crate::present::table_printer::{Format, Headers, Style};

/// Rows that determine the column widths.
const WINDOW: usize = 1000;
/// Limit on the width of a cell without a terminal.
const CELL_MAX: usize = 160;
/// Least width to which a column is shrunk to make rows fit.
const CELL_MIN: usize = 16;
/// Blanks between two columns.
const GAP: usize = 2;

pub(crate) struct Aligned {
    style: Style,
    columns: Vec<Column>,
    window: Vec<Vec<String>>,
    /// Column widths; `None` until the window is complete.
    widths: Option<Vec<usize>>,
    rows: u64,
}

impl Aligned {
    pub(super) fn new(style: &Style, columns: &[Column]) -> Self {
        Self {
            style: style.clone(),
            columns: columns.to_vec(),
            window: Vec::new(),
            widths: None,
            rows: 0,
        }
    }

    pub(super) fn row(&mut self, out: &mut dyn Write, row: &[Value]) -> io::Result<()> {
        let cells = row
            .iter()
            .zip(&self.columns)
            .map(|(value, column)| cell(value, column, self.style.format))
            .collect();
        if self.style.format == Format::Line {
            return self.line(out, cells);
        }
        if self.widths.is_none() {
            self.window.push(cells);
            return if self.window.len() >= WINDOW { self.flush(out) } else { Ok(()) };
        }
        self.write(out, &cells)
    }

    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.style.format != Format::Line && self.widths.is_none() {
            self.flush(out)?;
        }
        Ok(())
    }

    /// Determines the widths, then writes the names and the rows so far.
    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.widths = Some(self.fit());
        if self.style.headers == Headers::Shown || self.style.format == Format::Markdown {
            let names = self
                .columns
                .iter()
                .map(|column| escape(&column.name, self.style.format))
                .collect::<Vec<_>>();
            self.write(out, &names)?;
            self.rule(out)?;
        }
        for cells in std::mem::take(&mut self.window) {
            self.write(out, &cells)?;
        }
        Ok(())
    }

    fn fit(&self) -> Vec<usize> {
        let natural = |i: usize| {
            let cells = self.window.iter().map(|row| row[i].width());
            cells.chain([self.columns[i].name.width()]).max().unwrap_or(0).min(CELL_MAX)
        };
        let mut widths: Vec<usize> = (0..self.columns.len()).map(natural).collect();
        if let Some(total) = self.style.width.filter(|_| self.style.format == Format::Table) {
            shrink(&mut widths, total);
        }
        for (width, set) in widths.iter_mut().zip(&self.style.column_widths) {
            if *set > 0 {
                *width = *set;
            }
        }
        widths
    }

    fn rule(&self, out: &mut dyn Write) -> io::Result<()> {
        let widths = self.widths.iter().flatten().zip(&self.columns);
        let line = if self.style.format == Format::Markdown {
            widths.fold("|".to_owned(), |line, (width, column)| {
                let dashes = "-".repeat((*width).max(2));
                line + " " + &dashes + if column.unit.is_numeric() { ": |" } else { "  |" }
            })
        } else {
            widths.map(|(width, _)| "-".repeat(*width)).collect::<Vec<_>>().join(&" ".repeat(GAP))
        };
        writeln!(out, "{line}")
    }

    fn write(&self, out: &mut dyn Write, cells: &[String]) -> io::Result<()> {
        let widths = self.widths.iter().flatten();
        let padded = cells.iter().zip(&self.columns).zip(widths).map(|((cell, column), width)| {
            let cell = cut(cell, *width);
            let pad = " ".repeat(width.saturating_sub(cell.width()));
            if column.unit.is_numeric() { pad + &cell } else { cell.into_owned() + &pad }
        });
        if self.style.format == Format::Markdown {
            let line = padded.fold("|".to_owned(), |line, cell| line + " " + &cell + "  |");
            return writeln!(out, "{line}");
        }
        let line = padded.collect::<Vec<_>>().join(&" ".repeat(GAP));
        writeln!(out, "{}", line.trim_end())
    }

    fn line(&mut self, out: &mut dyn Write, cells: Vec<String>) -> io::Result<()> {
        let widest = self.columns.iter().map(|column| column.name.width()).max().unwrap_or(0);
        if self.rows > 0 {
            writeln!(out)?;
        }
        self.rows += 1;
        for (cell, column) in cells.into_iter().zip(&self.columns) {
            let name = sanitize::line(&column.name);
            writeln!(out, "{}{name} = {cell}", " ".repeat(widest.saturating_sub(name.width())))?;
        }
        Ok(())
    }
}

fn cell(value: &Value, column: &Column, format: Format) -> String {
    escape(&units::value(value, column.unit), format)
}

/// Escapes a cell so that it can't act on a terminal or end a Markdown cell.
fn escape(text: &str, format: Format) -> String {
    let text = sanitize::line(text);
    if format == Format::Markdown {
        return text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;");
    }
    text.into_owned()
}

/// Shrinks the widest columns until a row fits.
fn shrink(widths: &mut [usize], total: usize) {
    loop {
        let used: usize = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let Some(excess) = used.checked_sub(total).filter(|excess| *excess > 0) else {
            return;
        };
        let Some(widest) = widths.iter_mut().filter(|width| **width > CELL_MIN).max() else {
            return;
        };
        *widest = widest.saturating_sub(excess.min(widest.div_ceil(8))).max(CELL_MIN);
    }
}

/// The text cut to at most `width` columns, with `…` at the cut.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut used = 1;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used > width {
            break;
        }
        end = at + c.len_utf8();
    }
    Cow::Owned(format!("{}…", &text[..end]))
}
