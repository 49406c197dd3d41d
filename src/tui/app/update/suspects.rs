//! Actions of the suspects.

use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::message::Effect;
use crate::tui::app::state::popup::{Popup, Purpose, Text};
use crate::tui::app::state::suspects::{Accepted, Suspect};
use crate::tui::app::state::{App, Pane, ViewKind};
use crate::tui::app::update::{detail, load, prompt, switch};
use crate::tui::data::filter::Filter;
use crate::tui::input::key_lookup::Action;

/// Handles an action.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(step) = detail::step(action) {
        let (len, window) = (app.suspects.listed().len() as u64, geometry::suspects_window(app));
        app.suspects.cursor.step(step, len, window);
        return Vec::new();
    }
    if action == Action::ToggleAccepted {
        app.suspects.accepted = match app.suspects.accepted {
            Accepted::Hidden => Accepted::Listed,
            Accepted::Listed => Accepted::Hidden,
        };
        return Vec::new();
    }
    let Some(suspect) = app.suspects.selected().cloned() else {
        return Vec::new();
    };
    match action {
        Action::Activate | Action::Right => {
            app.pane = Pane::Detail;
            Vec::new()
        }
        Action::ShowFlame => {
            app.flame.over = None;
            app.filters.add(as_filter(&suspect));
            switch(app, ViewKind::Flame)
        }
        Action::ShowBlocks => {
            app.filters.add(as_filter(&suspect));
            app.rows.truncate(1);
            switch(app, ViewKind::Rows)
        }
        Action::Explain => {
            app.popups.push(Popup::Text(explain(&suspect)));
            Vec::new()
        }
        Action::AcceptSuspect => prompt(
            app,
            &format!("accept {}", suspect.function),
            Purpose::Accept(suspect.sym.clone()),
            "why this is not a leak; it will be hidden in every recording (A shows it)",
            "",
        ),
        Action::OpenInEditor => match (suspect.file, suspect.line) {
            (Some(file), Some(line)) => vec![Effect::OpenSource(file.into(), line)],
            _ => {
                app.show_error("source line unknown");
                Vec::new()
            }
        },
        Action::Copy => detail::copy(app, suspect.sentence, "description"),
        Action::CopyAll => {
            let trace = detail::trace(app);
            detail::copy(app, format!("{}\n{trace}", suspect.sentence), "description and backtrace")
        }
        _ => Vec::new(),
    }
}

fn as_filter(suspect: &Suspect) -> Filter {
    Filter::Suspect(suspect.id, suspect.function.clone())
}

fn explain(suspect: &Suspect) -> Text {
    let body = format!(
        "{sentence}\n\n\
         score        {score:.0} = live bytes x steadiness x recency x (0.1 + 0.9 fit), a tenth if the kind is not a leak\n\
         live bytes   {live} of {blocks} blocks ({share} of all live then)\n\
         steadiness   {steadiness:.2}: share of time slices in which it did not shrink; flat slices count half\n\
         recency      {recency:.2}: 1 if it allocated in the last tenth of the run, otherwise less\n\
         slope        {slope}/s over the second half (fit {fit:.2}; 1 is a straight line)\n\
         allocated    {made} blocks in total, first at {first}, last at {last}\n\
         sites        {sites} backtraces share {function}\n\n\
         {label}: {meaning}",
        sentence = suspect.sentence,
        score = suspect.score,
        live = units::bytes(suspect.live_bytes as f64),
        blocks = units::count(suspect.live_blocks),
        share = units::share(suspect.live_share),
        steadiness = suspect.steadiness,
        recency = suspect.recency,
        slope = units::bytes(suspect.slope),
        fit = suspect.fit,
        made = units::count(suspect.allocations),
        first = units::duration(suspect.first_ns as f64),
        last = units::duration(suspect.last_ns as f64),
        sites = units::count(suspect.sites),
        function = suspect.function,
        label = suspect.label,
        meaning = meaning(&suspect.label),
    );
    Text { title: format!("why suspect #{}", suspect.id), body, ..Text::default() }
}

/// An explanation of a label.
fn meaning(label: &str) -> &'static str {
    match label {
        "start-up constant" => "allocated at start-up and kept, like lazy statics; not a leak",
        "steady leak" => "nearly every block allocated here is still live, and their number grows",
        "constant" => "allocated once, when first needed, and kept; not a leak",
        "freed at shutdown" => {
            "kept during the whole run and freed only at the end: in practice a leak"
        }
        "growing container" => {
            "one block that was reallocated to larger sizes again and again: find out what fills it"
        }
        "partial leak" => {
            "live bytes rise although many blocks are freed: some code paths do not free theirs"
        }
        "bounded" => {
            "grew at first and has been flat since, like caches and pools; probably not a leak"
        }
        "burst" => "allocated within a short time and kept",
        "quiet" => "holds little memory or has stopped growing",
        _ => "see docs/guide/EXPLORER.md",
    }
}

/// Accepts a suspect with a reason.
pub fn accept(app: &mut App, pattern: &str, reason: &str) -> Vec<Effect> {
    app.suspects.patterns.push(pattern.to_owned());
    app.notify("accepted; A shows accepted suspects");
    let mut line = format!("leak:{pattern}");
    if !reason.trim().is_empty() {
        line = format!("# {}\n{line}", reason.trim());
    }
    let mut effects = vec![Effect::Accept(line)];
    effects.extend(load::load_view(app));
    effects
}
