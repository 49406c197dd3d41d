//! Keys of the suspects.

use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::message::Effect;
use crate::tui::app::state::popup::{Popup, Purpose, Text};
use crate::tui::app::state::suspects::{Accepted, Suspect};
use crate::tui::app::state::{App, Pane, ViewKind};
use crate::tui::app::update::{detail, load, prompt, switch};
use crate::tui::data::filter::Filter;
use crate::tui::input::keymap::Action;

/// Does it.
pub fn perform(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(step) = detail::step(action) {
        let (len, window) = (app.suspects.listed().len() as u64, geometry::suspects_window(app));
        app.suspects.cursor.step(step, len, window);
        return Vec::new();
    }
    if action == Action::ShowAccepted {
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
        Action::Enter | Action::Right => {
            app.pane = Pane::Detail;
            Vec::new()
        }
        Action::Flame => {
            app.flame.over = None;
            app.filters.add(as_filter(&suspect));
            switch(app, ViewKind::Flame)
        }
        Action::Blocks => {
            app.filters.add(as_filter(&suspect));
            app.rows.truncate(1);
            switch(app, ViewKind::Rows)
        }
        Action::Explain => {
            app.popups.push(Popup::Text(explain(&suspect)));
            Vec::new()
        }
        Action::Accept => prompt(
            app,
            &format!("accept {}", suspect.function),
            Purpose::Accept(suspect.sym.clone()),
            "why it is no leak; it is then hidden in every recording (A shows it)",
            "",
        ),
        Action::Open => match (suspect.file, suspect.line) {
            (Some(file), Some(line)) => vec![Effect::OpenSource(file.into(), line)],
            _ => {
                app.show_error("its source line is not known");
                Vec::new()
            }
        },
        Action::Copy => detail::copy(app, suspect.sentence, "sentence"),
        Action::CopyMore => {
            let trace = detail::trace(app);
            detail::copy(app, format!("{}\n{trace}", suspect.sentence), "sentence and backtrace")
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
         score        {score:.0} = live bytes x steadiness x recency x (0.1 + 0.9 fit), a tenth where the kind is no leak\n\
         live bytes   {live} of {blocks} blocks ({share} of all live then)\n\
         steadiness   {steadiness:.2}: share of slices in which it did not shrink, flat ones half\n\
         recency      {recency:.2}: 1 if it allocated in the last tenth of the run, else less\n\
         slope        {slope}/s over the second half (fit {fit:.2}; 1 is a straight line)\n\
         made         {made} blocks in all, first {first}, last {last}\n\
         sites        {sites} backtraces meet in {function}\n\n\
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

/// What a label means.
fn meaning(label: &str) -> &'static str {
    match label {
        "start-up constant" => "made in the first moments and kept, as lazy statics are; no leak",
        "steady leak" => "nearly every block made here is still alive, and they grow in number",
        "constant" => "allocated once, when first needed, and kept; no leak",
        "freed at shutdown" => {
            "held through the run and freed only in its last moments: a leak in practice"
        }
        "growing container" => {
            "one block that was made larger again and again: look at who fills it"
        }
        "partial leak" => "live bytes rise, though many blocks are freed: some paths forget theirs",
        "bounded" => "grew at first and is flat since, as caches and pools are; likely no leak",
        "burst" => "came all at once and stayed",
        "quiet" => "holds little or has stopped",
        _ => "see docs/guide/EXPLORER.md",
    }
}

/// Takes the reason for accepting a suspect.
pub fn accept(app: &mut App, pattern: &str, reason: &str) -> Vec<Effect> {
    app.suspects.patterns.push(pattern.to_owned());
    app.say("accepted; A shows accepted suspects");
    let mut line = format!("leak:{pattern}");
    if !reason.trim().is_empty() {
        line = format!("# {}\n{line}", reason.trim());
    }
    let mut effects = vec![Effect::Accept(line)];
    effects.extend(load::load_view(app));
    effects
}
