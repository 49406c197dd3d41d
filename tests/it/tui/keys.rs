//! The key table, parsing of filters, and themes by environment.

use std::collections::HashSet;

use rheaper::database::page::Condition;
use rheaper::database::{Unit, Value};
use rheaper::tui::app::update::popup::help;
use rheaper::tui::app::update::shell_command;
use rheaper::tui::data::column_filter::parse;
use rheaper::tui::data::filter::{Filter, parse_filter};
use rheaper::tui::input::key::Key;
use rheaper::tui::input::key_lookup::{self, Action, BINDINGS, Context, Rank, bindings};
use rheaper::tui::input::keylog;
use rheaper::tui::terminal::theme::{Colors, Glyphs, Theme};

use crate::tui::driver::Driver;
use crate::tui::fixture::{database, databases, leaky_server};

#[test]
fn a_key_means_one_thing_in_a_context() {
    let mut seen = HashSet::new();
    for binding in BINDINGS {
        for key in binding.keys {
            assert!(
                seen.insert((binding.context, *key)),
                "{} twice in {:?}",
                key.spelling(),
                binding.context
            );
        }
    }
}

#[test]
fn help_has_every_key_of_the_state_and_the_footer_the_first_ones() {
    let (_directory, path) = database(&leaky_server());
    for keys in ["", "<Enter>", "2", "4", "7", "c", "+", "?"] {
        let mut driver = Driver::new(&path, (100, 30));
        driver.press(keys);
        let contexts = driver.app.contexts();
        let page = help(contexts);
        let screen = driver.text();
        let footer = screen.lines().last().unwrap();
        let mut first = 0;
        for binding in bindings(contexts) {
            assert!(page.contains(binding.help), "{} is not in help", binding.label);
            first += usize::from(binding.rank == Rank::First && footer.contains(binding.label));
        }
        assert!(first > 0, "{keys:?}: {footer}");
    }
    assert!(help(&[Context::Flame]).contains("zoom into the cell"));
}

#[test]
fn the_palette_does_what_a_key_does() {
    let (_directory, path) = database(&leaky_server());
    let mut driver = Driver::new(&path, (100, 30));
    driver.press(":explain<Enter>");
    assert!(driver.text().contains("steadiness"), "{}", driver.text());
    // An exact label comes before texts that contain it.
    driver.press("q:command<Enter>");
    assert!(driver.text().contains("rheaper sql"), "{}", driver.text());
    driver.press("q:export<Enter>");
    assert!(driver.text().contains("export this view to a file"), "{}", driver.text());
}

#[test]
fn filters_are_parsed_as_typed() {
    for (typed, filter) in [
        ("live", Filter::NeverFreed),
        ("age 10m", Filter::AgeAtLeast(600_000_000_000)),
        ("age>=1h30m", Filter::AgeAtLeast(5_400_000_000_000)),
        ("size 4K", Filter::Size(4096, i64::MAX)),
        ("size > 4K", Filter::Size(4097, i64::MAX)),
        ("size<=1MiB", Filter::Size(0, 1 << 20)),
        ("size 1K..4K", Filter::Size(1024, 4096)),
        ("thread 3", Filter::Thread(3, String::new())),
        ("crate serde_json", Filter::Crate("serde_json".into())),
        ("~a.*b", Filter::Matches("a.*b".into())),
        ("fn a.*b", Filter::Matches("a.*b".into())),
        ("bt 17", Filter::Backtrace(17)),
    ] {
        assert_eq!(parse_filter(typed), Ok(filter), "{typed}");
    }
    for wrong in ["", "age", "age soon", "size 4K..1K", "~(", "~", "thread x", "what"] {
        assert!(parse_filter(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn column_filters_are_parsed_in_the_unit_of_the_column() {
    let number = Value::Integer;
    for (typed, unit, wanted) in [
        (">4K", Unit::Bytes, Some(Condition::More(number(4096)))),
        (
            "1m..10m",
            Unit::Duration,
            Some(Condition::Between(number(60_000_000_000), number(600_000_000_000))),
        ),
        ("5", Unit::Count, Some(Condition::Equal(number(5)))),
        ("0x10", Unit::Address, Some(Condition::Equal(number(16)))),
        ("5%", Unit::Share, Some(Condition::Equal(Value::Real(0.05)))),
        ("~cache", Unit::None, Some(Condition::Matches("cache".into()))),
        ("cache", Unit::None, Some(Condition::Contains("cache".into()))),
        ("a..b", Unit::None, Some(Condition::Contains("a..b".into()))),
        ("null", Unit::Moment, Some(Condition::IsNull)),
        ("", Unit::Bytes, None),
    ] {
        assert_eq!(parse(typed, unit), Ok(wanted), "{typed}");
    }
    assert!(parse(">soon", Unit::Duration).is_err());
    assert!(parse("~(", Unit::None).is_err());
}

#[test]
fn colours_and_glyphs_follow_the_environment() {
    let theme = |variables: &[(&str, &str)]| {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned())).collect();
        Theme::from_environment(|name| {
            variables.iter().find(|(known, _)| known == name).map(|(_, it)| it.clone())
        })
    };
    assert_eq!(theme(&[("TERM", "xterm-256color")]).colors, Colors::Indexed);
    assert_eq!(theme(&[("TERM", "xterm")]).colors, Colors::Sixteen);
    assert_eq!(theme(&[("TERM", "dumb")]).colors, Colors::Off);
    assert_eq!(theme(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]).colors, Colors::Off);
    assert_eq!(theme(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]).colors, Colors::Indexed);
    assert_eq!(theme(&[("LANG", "C.UTF-8")]).glyphs, Glyphs::Unicode);
    assert_eq!(theme(&[("LANG", "C")]).glyphs, Glyphs::Ascii);
    assert_eq!(theme(&[("LC_ALL", "en_US.utf8"), ("LANG", "C")]).glyphs, Glyphs::Unicode);
    assert_eq!(theme(&[("LANG", "C.UTF-8"), ("RHEAPER_ASCII", "1")]).glyphs, Glyphs::Ascii);
}

#[test]
fn a_key_is_read_as_it_is_spelled() {
    for binding in BINDINGS {
        for key in binding.keys {
            assert_eq!(Key::parse(&key.spelling()), Some(*key), "{}", key.spelling());
        }
    }
    for wrong in ["", "F0", "F99", "Alt-", "Ctrl", "ab"] {
        assert_eq!(Key::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_log_of_keys_is_read_as_it_was_written() {
    let all: Vec<_> =
        BINDINGS.iter().flat_map(|binding| binding.keys).map(|key| key.event()).collect();
    let log: String = all.iter().map(|key| keylog::spell(*key)).collect();
    assert_eq!(keylog::parse(&log).unwrap(), all);
    let typed = keylog::parse("# a comment\n2<Down>\n/a b<lt><Enter><^U>#").unwrap();
    assert_eq!(typed.len(), 10, "{typed:?}");
    assert!(keylog::parse("ab<Entr>").unwrap_err().contains("line 1: <Entr> is not a key"));
    assert!(keylog::parse("a<b").unwrap_err().contains("<lt>"));
}

#[test]
fn user_keys_replace_those_of_the_table_and_bad_lines_are_reported() {
    let text = "# mine\nflame next-measure M ^N\n\nFlame Reset-Zoom z\nflame dance d\nstage next-measure m\n\
                flame next-measure Entr\nflame next-measure\nflame keep-through Enter\n";
    let (table, problems) = key_lookup::parse_table(text);
    let of = |context: Context, name: &str| {
        let mut lines = table.iter();
        let line = lines.find(|it| it.context == context && it.action.name() == name);
        line.unwrap().keys.iter().map(|key| key.spelling()).collect::<Vec<_>>()
    };
    assert_eq!(of(Context::Flame, "next-measure"), ["M", "^N"]);
    assert_eq!(of(Context::Flame, "reset-zoom"), ["z"]);
    let named: Vec<&str> = problems.iter().map(|it| it.split(':').next().unwrap()).collect();
    assert_eq!(named, ["line 5", "line 6", "line 7", "line 8", "line 9"], "{problems:#?}");
    assert!(problems[0].contains("has no action dance"), "{problems:?}");
    assert!(problems[4].contains("is the only key of"), "{problems:?}");
    // No key has two actions, and every action has a key.
    assert_eq!(table.len(), BINDINGS.len());
    let mut seen = HashSet::new();
    for line in &table {
        assert!(!line.keys.is_empty());
        assert!(line.keys.iter().all(|key| seen.insert((line.context, *key))));
    }
    assert_eq!(key_lookup::parse_table(&key_lookup::listing()).1, Vec::<String>::new());
}

#[test]
fn contexts_and_actions_have_unique_names_and_the_listing_is_read_back() {
    fn check(names: impl Iterator<Item = &'static str>) {
        let mut seen = HashSet::new();
        for name in names {
            assert!(!name.is_empty() && seen.insert(name), "{name} twice");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        }
    }
    check(Context::ALL.iter().map(|it| it.name()));
    check(Action::ALL.iter().map(|it| it.name()));
    let pairs: HashSet<_> = BINDINGS.iter().map(|it| (it.context, it.action)).collect();
    assert_eq!(pairs.len(), BINDINGS.len(), "one line for each context and action");
    for action in Action::ALL {
        assert!(BINDINGS.iter().any(|it| it.action == *action), "{action:?} has no key");
    }
    // Every line of the listing names its binding: with another key, that binding changes.
    let lines: Vec<_> = key_lookup::listing().lines().map(str::to_owned).collect();
    let lines: Vec<_> =
        lines.iter().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines.len(), BINDINGS.len());
    for (line, binding) in lines.iter().zip(BINDINGS) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let upper = format!("{} {} F24", words[0].to_uppercase(), words[1].to_uppercase());
        let (table, problems) = key_lookup::parse_table(&upper);
        assert!(problems.is_empty(), "{upper}: {problems:?}");
        let changed: Vec<_> =
            table.iter().filter(|it| it.keys == [Key::parse("F24").unwrap()]).collect();
        assert_eq!(changed.len(), 1);
        let found = (changed[0].context, changed[0].action);
        assert_eq!(found, (binding.context, binding.action));
    }
}

#[test]
fn the_command_line_says_what_is_shown() {
    let (_directory, after, before) = databases();
    let mut driver = Driver::comparing(&after, &before, (120, 40));
    let line = |driver: &Driver| shell_command::command_line(&driver.app);
    let (after, before) = (after.display(), before.display());
    assert_eq!(line(&driver), format!("rheaper diff {before} {after}"));
    driver.press("nm");
    let divided = format!("rheaper diff {before} {after} --per second --measure live-blocks");
    assert_eq!(line(&driver), divided);
    driver.press("C<^U>1m .. end<Enter>");
    assert!(line(&driver).contains("--between '1m 00s..end'"), "{}", line(&driver));
    driver.press("2");
    assert_eq!(line(&driver), format!("rheaper export {after} --format folded"));
    driver.press("1!");
    assert!(driver.text().contains("rheaper sql"), "{}", driver.text());
    // A shell passes the statement unchanged.
    let printed = line(&driver).replacen("rheaper sql", "printf '%s|'", 1);
    let ran = std::process::Command::new("sh").args(["-c", &printed]).output().unwrap();
    let words = String::from_utf8(ran.stdout).unwrap();
    let statement = rheaper::tui::app::update::load::current_query(&driver.app).sql;
    assert_eq!(words.split('|').nth(2), Some(statement.as_str()));
}
