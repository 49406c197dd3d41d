//! Draws the detail pane: frames, source of the selected frame, totals of the site.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::database::caveats::{interval_text, relative_error_text};
use crate::database::estimate::Interval;
use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::message::Source;
use crate::tui::app::state::App;
use crate::tui::app::state::detail::{Frame, Inlined, Line};
use crate::tui::flame::tree::FrameKind;
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::text;
use crate::tui::view::text::select_row;

/// Draws the pane.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme, focus: Focus) {
    if area.is_empty() {
        return;
    }
    let inside = text::pane(buffer, theme, area, &title(app), focus);
    let (frames, source, totals_rows) = geometry::detail_rows(app);
    let part = |y: u16, height: u16| Rect {
        y: inside.y + y,
        height: height.min(inside.height.saturating_sub(y)),
        ..inside
    };
    match &app.detail.frames {
        None if app.detail.bt.is_none() => {
            text::put(buffer, theme, inside, 1, "no backtrace selected", theme.dim());
        }
        None => {
            text::put(buffer, theme, inside, 1, "reading…", theme.dim());
        }
        Some(list) if list.is_empty() => {
            let words = "no frames: the call stack was not recorded";
            text::put(buffer, theme, inside, 1, words, theme.dim());
        }
        Some(_) => list_frames(buffer, part(0, frames), app, theme, focus),
    }
    if source > 1 {
        excerpt(buffer, part(frames, source), app, theme);
    }
    if totals_rows > 0 {
        totals(buffer, part(inside.height.saturating_sub(totals_rows), totals_rows), app, theme);
    }
}

/// Draws source lines with one line marked. It is centred, unless `top` is the first line.
pub fn source(
    buffer: &mut Buffer,
    area: Rect,
    theme: Theme,
    source: &Source,
    line: u32,
    top: Option<u64>,
) {
    let first = u64::from(source.first_line);
    let marked = u64::from(line).saturating_sub(first);
    let half = u64::from(area.height / 2);
    let top = top.unwrap_or(marked.saturating_sub(half));
    for row in 0..area.height {
        let at = top + u64::from(row);
        let Some(code) = source.lines.get(at as usize) else {
            break;
        };
        let here = text::line(area, row);
        let bar = theme.glyph("│", "|");
        let mark = match at == marked {
            true => theme.glyph("▸", ">"),
            false => " ",
        };
        let style = if at == marked { theme.number() } else { theme.dim() };
        let x =
            text::put(buffer, theme, here, 0, &format!("{mark}{:>5} {bar} ", first + at), style);
        let style = if at == marked { theme.key() } else { Style::new() };
        text::put(buffer, theme, here, x, code, style);
    }
}

fn title(app: &App) -> String {
    match (app.detail.bt, &app.detail.frames) {
        (Some(bt), Some(frames)) => {
            format!("backtrace {bt} · {} frames, innermost first", frames.len())
        }
        (Some(bt), None) => format!("backtrace {bt}"),
        (None, _) => "backtrace".into(),
    }
}

fn list_frames(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme, focus: Focus) {
    let lines = app.detail.lines();
    let frames = app.detail.frames.as_deref().unwrap_or_default();
    for row in 0..area.height {
        let at = app.detail.cursor.top + u64::from(row);
        let line = text::line(area, row);
        match lines.get(at as usize) {
            None => break,
            Some(Line::Collapsed(_, run)) => {
                let words =
                    format!("  {} {run} library and runtime frames (.)", theme.glyph("▸", ">"));
                text::put(buffer, theme, line, 0, &words, theme.dim());
            }
            Some(Line::Frame(frame)) => {
                if let Some(frame) = frames.get(*frame) {
                    frame_line(buffer, line, frame, theme);
                }
            }
        }
        if at == app.detail.cursor.at {
            select_row(buffer, theme, line, focus);
        }
    }
}

fn frame_line(buffer: &mut Buffer, line: Rect, frame: &Frame, theme: Theme) {
    let style = match frame.kind {
        FrameKind::Own => theme.key(),
        FrameKind::Std | FrameKind::Runtime => theme.dim(),
        FrameKind::Dependency | FrameKind::Unknown => Style::new(),
    };
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{}:{line}", short(&text::clean(file))),
        (Some(file), None) => short(&text::clean(file)),
        (None, _) => String::new(),
    };
    let width = usize::from(line.width);
    let name = match frame.inlined {
        Inlined::Yes => format!("{} (inlined)", text::clean(&frame.function)),
        Inlined::No => text::clean(&frame.function).into_owned(),
    };
    // The location gets the space that the name leaves, but at least two fifths.
    let for_place = (width.saturating_sub(name.width() + 5)).max(width * 2 / 5).min(place.width());
    let for_name = width.saturating_sub(for_place + 4);
    let name = text::cut_front(&name, for_name, theme);
    text::put(buffer, theme, line, 2, &name, style);
    let place = text::cut_front(&place, for_place, theme);
    text::put_right(buffer, theme, line, &place, theme.dim());
}

/// The path relative to the sources of the dependency or of the standard library.
fn short(file: &str) -> String {
    if let Some((_, rest)) = file.split_once("/library/")
        && file.starts_with("/rustc/")
    {
        return rest.to_owned();
    }
    if let Some((_, rest)) = file.split_once("/registry/src/")
        && let Some((_, rest)) = rest.split_once('/')
    {
        return rest.to_owned();
    }
    file.to_owned()
}

fn excerpt(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let rule = theme.glyph("─", "-").repeat(usize::from(area.width));
    text::put(buffer, theme, text::line(area, 0), 0, &rule, theme.dim());
    let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
    match (&app.detail.excerpt, &app.detail.excerpt_of) {
        (Some(found), Some((file, line))) => {
            let head = format!(
                " {}:{line} ",
                text::cut_front(
                    &text::clean(file),
                    usize::from(area.width).saturating_sub(12),
                    theme
                )
            );
            text::put(buffer, theme, text::line(area, 0), 1, &head, Style::new());
            if !found.lines.is_empty() {
                source(buffer, below, theme, found, *line, None);
            }
            if !found.problem.is_empty() {
                text::put(buffer, theme, below, 1, &found.problem, theme.dim());
            }
        }
        (None, Some(_)) => {
            text::put(buffer, theme, below, 1, "reading…", theme.dim());
        }
        _ => {
            text::put(buffer, theme, below, 1, "source line unknown", theme.dim());
        }
    }
}

fn totals(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let total = |name: &str| app.detail.total(name).unwrap_or(0);
    if app.detail.site.is_none() {
        return;
    }
    let time = |ns: i64| units::duration(ns as f64);
    let bytes = |it: i64| units::bytes(it as f64);
    let lived = match app.detail.total("lifetime_p50_ns") {
        Some(p50) => format!("median lifetime of freed blocks {}", time(p50)),
        None => "none freed".into(),
    };
    let threads = match app.detail.total("threads") {
        None => String::new(),
        Some(1) => "; 1 thread".into(),
        Some(threads) => format!("; {threads} threads"),
    };
    let bounds = |name: &str| {
        let bound = |end: &str| app.detail.total(&format!("{name}_{end}"));
        let interval = bound("low").zip(bound("high"));
        interval.map_or_else(String::new, |(low, high)| {
            let interval = Interval { low: low.unsigned_abs(), high: high.unsigned_abs() };
            let error = interval.relative_error(total(name).unsigned_abs());
            format!(" ({} {})", relative_error_text(error), interval_text(interval))
        })
    };
    let about = if app.overview.caveats.sampled.is_some() { "about " } else { "" };
    let words = format!(
        "{about}{} of {} blocks live, {}{} of {}{}; {lived}; peak of the site {}; first at {}, last at {}{threads}",
        units::count_short(total("live_blocks") as f64),
        units::count_short(total("allocations") as f64),
        bytes(total("live_bytes")),
        bounds("live_bytes"),
        bytes(total("bytes")),
        bounds("bytes"),
        bytes(total("peak_bytes")),
        time(total("first_ns")),
        time(total("last_ns")),
    );
    let rule = theme.glyph("─", "-").repeat(usize::from(area.width));
    let has_rule = area.height > 2;
    if has_rule {
        text::put(buffer, theme, text::line(area, 0), 0, &rule, theme.dim());
    }
    let top = u16::from(has_rule);
    let lines = text::wrap(&words, usize::from(area.width.saturating_sub(2)));
    for (at, line) in lines.iter().take(usize::from(area.height - top)).enumerate() {
        text::put(buffer, theme, text::line(area, top + at as u16), 1, line, Style::new());
    }
}
