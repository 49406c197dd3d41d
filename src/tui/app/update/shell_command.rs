//! Builds the shell command that prints the current view.
//!
//! Invariant: every word is quoted for a POSIX shell.

use crate::database::compare::Window;
use crate::tui::app::inline_params;
use crate::tui::app::message::{Effect, TreeSource};
use crate::tui::app::state::popup::{Popup, Text};
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::load;
use crate::tui::data::filter::FilterSet;

/// Shows the command in a pop-up.
pub fn show(app: &mut App) -> Vec<Effect> {
    let body = command_line(app);
    let title = "command line for this view; y copies it".to_owned();
    app.popups.push(Popup::Text(Text { title, body, ..Text::default() }));
    Vec::new()
}

/// The command for the current view.
pub fn command_line(app: &App) -> String {
    let database = quoted(&app.path);
    match app.view {
        ViewKind::Compare => diff_command(app, &database),
        ViewKind::Flame if is_unfiltered(app) => {
            format!("rheaper export {database} --format folded")
        }
        _ => {
            let query = load::current_query(app);
            let statement = inline_params::with_values(&query.sql, &query.params);
            format!("rheaper sql {database} -c {}", quoted(&statement))
        }
    }
}

/// Whether the flamegraph covers all allocations.
fn is_unfiltered(app: &App) -> bool {
    app.filters.current() == &FilterSet::default()
        && matches!(app.flame.source, None | Some(TreeSource::Prepared))
}

fn diff_command(app: &App, database: &str) -> String {
    let Some(sides) = &app.compare.sides else {
        return format!("rheaper diff {database}");
    };
    let mut line = match &sides.before {
        Some(before) => format!("rheaper diff {} {database}", quoted(&before.to_string_lossy())),
        None => {
            let moment = |window: &Window| match &window.to {
                Some(moment) => moment.to_string(),
                None => "end".to_owned(),
            };
            let [first, second] = &sides.windows;
            let moments = format!("{}..{}", moment(first), moment(second));
            format!("rheaper diff {database} --between {}", quoted(&moments))
        }
    };
    if let Some(per) = app.compare.per.to_argument() {
        line.push_str(&format!(" --per {}", quoted(&per)));
    }
    let measure = app.compare.options.measure.name().replace('_', "-");
    if measure != "live-bytes" {
        line.push_str(&format!(" --measure {measure}"));
    }
    line
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/@#:=+%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) && !word.starts_with('#') {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
