//! Random keys, clicks and resizes, with late or missing responses. Nothing may panic, and every
//! selection must stay in range.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;
use rheaper::tui::app::layout::areas::regions;
use rheaper::tui::app::layout::geometry;
use rheaper::tui::app::message::Message;
use rheaper::tui::app::state::compare::CompareMode;
use rheaper::tui::app::state::popup::Popup;
use rheaper::tui::app::state::{App, Pane, ViewKind};
use rheaper::tui::input::key_lookup::BINDINGS;
use rheaper::tui::terminal::theme::{Background, Colors, Glyphs, Theme};

use crate::tui::driver::Driver;
use crate::tui::fixture::databases;
use crate::tui::model::Random;

/// Steps of all walks together.
const STEPS: u64 = 120_000;
const WALKS: u64 = 8;

fn key(random: &mut Random) -> Message {
    if random.below(8) == 0 {
        let letters = "abegkmnostvwxCR!0123456789 ()*,=<>~';.:\u{e9}\u{4e2d}-";
        let at = random.below(letters.chars().count() as u64) as usize;
        let c = letters.chars().nth(at).unwrap();
        return Message::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
    }
    let binding = &BINDINGS[random.below(BINDINGS.len() as u64) as usize];
    let key = binding.keys[random.below(binding.keys.len() as u64) as usize];
    Message::Key(KeyEvent::new(key.code, key.modifiers))
}

fn message(random: &mut Random, app: &App, step: u64) -> Message {
    match random.below(40) {
        0 => {
            let sizes =
                [(1, 1), (20, 5), (39, 9), (40, 10), (41, 11), (80, 24), (120, 40), (250, 70)];
            let (width, height) = match random.below(3) {
                0 => (1 + random.below(200) as u16, 1 + random.below(60) as u16),
                _ => sizes[random.below(sizes.len() as u64) as usize],
            };
            Message::Resize(width, height)
        }
        1..=5 => {
            let kinds = [
                MouseEventKind::Down(MouseButton::Left),
                MouseEventKind::Down(MouseButton::Left),
                MouseEventKind::Down(MouseButton::Right),
                MouseEventKind::ScrollUp,
                MouseEventKind::ScrollDown,
            ];
            Message::Mouse(MouseEvent {
                kind: kinds[random.below(5) as usize],
                column: random.below(u64::from(app.size.0) + 3) as u16,
                row: random.below(u64::from(app.size.1) + 3) as u16,
                modifiers: KeyModifiers::NONE,
            })
        }
        6 => Message::Tick(std::time::Duration::from_millis(step * 7)),
        7 => Message::Paste("SELECT bt, size FROM allocations WHERE size > 64;\n".into()),
        _ => key(random),
    }
}

fn check(app: &App) {
    let listed = app.suspects.listed().len() as u64;
    let within = |at: u64, top: u64, len: u64| at < len.max(1) && top <= at;
    assert!(within(app.suspects.cursor.at, app.suspects.cursor.top, listed));
    let lines = app.detail.lines().len() as u64;
    assert!(within(app.detail.cursor.at, app.detail.cursor.top, lines));
    if let Some(table) = app.table() {
        assert!(within(table.cursor.at, table.cursor.top, table.len()));
        assert!(table.column < table.columns.len().max(1));
        assert!(table.cursor.at < table.cursor.top + geometry::table_window(app));
        assert!(table.columns.is_empty() || !table.order().is_empty(), "a column is always shown");
    }
    if app.view == ViewKind::Flame
        && let Some(shown) = &app.flame.shown
        && !shown.is_empty()
        && app.size.0 >= 40
        && app.size.1 >= 10
    {
        let (width, _) = geometry::flame_window(app);
        assert!(app.flame.cell(width).is_some(), "a cell is always selected");
    }
    let compare = &app.compare;
    if let Some(shown) = compare.shown.as_ref().filter(|_| app.view == ViewKind::Compare) {
        assert!(within(compare.list.at, compare.list.top, shown.rows.len() as u64));
        assert!(within(compare.lines.at, compare.lines.top, compare.opened_lines().len() as u64));
        let (width, _) = geometry::compare_flame_window(app);
        if compare.mode == CompareMode::Flame
            && !shown.is_empty()
            && app.size.0 >= 40
            && app.size.1 >= 10
        {
            assert!(compare.cell(width).is_some(), "a cell is always selected");
        }
    }
    if app.pane == Pane::Detail && app.view == ViewKind::Sql {
        assert!(!app.sql.tabs.is_empty());
    }
    assert!(app.sql.tab < app.sql.tabs.len().max(1));
    if let Some(Popup::Picker(picker)) = app.popups.last() {
        let len = picker.matching().len() as u64;
        assert!(within(picker.cursor.at, picker.cursor.top, len));
    }
    let lines = app.tree.lines().len() as u64;
    assert!(within(app.tree.cursor.at, app.tree.cursor.top, lines));
    assert!(app.time.cursors.iter().all(|edge| *edge <= app.overview.axis.points()));
    let bins = app.histograms.bins().len() as u64;
    assert!(within(app.histograms.cursor.at, app.histograms.cursor.top, bins));
    check_regions(app);
}

fn check_regions(app: &App) {
    let it = regions(app);
    let screen = Rect::new(0, 0, app.size.0, app.size.1);
    let all = [it.header, it.tabs, it.filters, it.main, it.detail, it.status, it.footer];
    for (at, one) in all.iter().enumerate() {
        assert_eq!(one.intersection(screen).area(), one.area(), "{one:?} leaves the screen");
        for other in all.iter().skip(at + 1) {
            assert!(!one.intersects(*other), "{one:?} and {other:?} overlap");
        }
    }
}

fn walk(seed: u64, steps: u64) {
    let (_directory, after, before) = databases();
    let mut random = Random(seed);
    let mut driver = Driver::comparing(&after, &before, (80, 24));
    let themes = [
        Theme { colors: Colors::Indexed, glyphs: Glyphs::Unicode, background: Background::Dark },
        Theme { colors: Colors::Off, glyphs: Glyphs::Ascii, background: Background::Dark },
        Theme { colors: Colors::True, glyphs: Glyphs::Unicode, background: Background::Light },
    ];
    for step in 0..steps {
        let message = message(&mut random, &driver.app, step);
        driver.send(message);
        if random.below(3) > 0 {
            driver.answer_one();
        }
        check(&driver.app);
        if step % 16 == 0 {
            driver.draw(themes[(step / 16 % 3) as usize]);
        }
        driver.other_effects.clear();
        if driver.pending.len() > 50 {
            driver.answer_all();
        }
    }
}

#[test]
fn a_random_walk_never_panics_and_keeps_selections_in_range() {
    let walks: Vec<_> = (1..=WALKS)
        .map(|seed| std::thread::spawn(move || walk(seed * 0x9e37_79b9, STEPS / WALKS)))
        .collect();
    for walk in walks {
        walk.join().unwrap();
    }
}
