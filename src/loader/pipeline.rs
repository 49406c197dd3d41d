//! One load, step by step: what each step leaves for the next.
//!
//! Reads: a recording. Writes: the database under construction.

use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::database::schema::INDICES;
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::analyze::{analysis, estimates};
use crate::loader::error::LoadError;
use crate::loader::passes::event_pass::{Outcome, Replay};
use crate::loader::passes::metadata_pass::Survey;
use crate::loader::passes::pairing::NullSink;
use crate::loader::passes::stacks::StackCompleteness;
use crate::loader::progress::{Phase, Progress};
use crate::loader::rows::Nanos;
use crate::loader::source::{Source, Surveyed};
use crate::loader::summary::{Loss, Summary};
use crate::loader::symbols::frame_names::Names;
use crate::loader::symbols::{Call, Finder, KINDS_FACT, Rules, Symbols};
use crate::loader::write::atomic_file::Output;
use crate::loader::write::row_writer::{channel, integer};
use crate::loader::write::zone_map::Zone;
use crate::loader::write::{annotations, diagnostics, metadata, tables};
use crate::recording::Counter;

/// A load in progress.
pub(crate) struct Build<'a, R> {
    source: &'a R,
    survey: Survey,
    calls: Vec<Call>,
    symbols: Symbols,
    /// What the user says of whose code a frame is.
    rules: Rules,
    /// Whether the source brought its names along.
    named: bool,
    replay: Replay,
    zones: Vec<Zone>,
}

impl<'a, R: Source> Build<'a, R> {
    /// The first pass.
    pub(crate) fn survey(source: &'a R, progress: &mut dyn Progress) -> Result<Self, LoadError> {
        let Surveyed { mut survey, names } = source.survey(progress)?;
        let calls = survey
            .locations
            .iter()
            .map(|location| Call::before(location.address, location.module, &survey.modules))
            .collect();
        let replay = Replay::new(source.header(), &mut survey);
        let named = names.is_some();
        let symbols = names.unwrap_or_default();
        let rules = Rules::default();
        Ok(Self { source, survey, calls, symbols, rules, named, replay, zones: Vec::new() })
    }

    /// Looks up the names of all calls.
    pub(crate) fn resolve(
        &mut self,
        given: &[PathBuf],
        rules: Rules,
        progress: &mut dyn Progress,
    ) -> Result<(), LoadError> {
        progress.begin(Phase::Backtraces);
        let modules = &self.survey.modules;
        if !self.named {
            let finder = Finder::new(given);
            self.symbols = Symbols::resolve(&self.calls, modules, &finder, progress)
                .ok_or_else(LoadError::interrupted)?;
        }
        self.symbols.decide_kinds(modules, &rules);
        self.rules = rules;
        progress.end(self.calls.len() as u64);
        Ok(())
    }

    /// The second pass: pairs events on this thread while another one inserts the rows.
    pub(crate) fn replay_into(
        &mut self,
        output: &Output,
        progress: &mut dyn Progress,
    ) -> Result<Connection, LoadError> {
        progress.begin(Phase::Events);
        let (mut sender, inserter) = channel();
        let tables = output.begin_tables(self.survey.lacks())?;
        let (source, replay) = (self.source, &mut self.replay);
        let (outcome, inserted) = thread::scope(|scope| {
            let inserting = scope.spawn(move || inserter.run(tables));
            let outcome = source.replay(replay, &mut sender, progress);
            sender.finish();
            (outcome, inserting.join())
        });
        self.zones = match inserted {
            Ok(inserted) => inserted.map_err(|error| output.failed_io(error))?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        if outcome? == Outcome::Stopped {
            return Err(LoadError::interrupted());
        }
        progress.end(self.replay.events());
        give_back_freed_memory();
        output.resume()
    }

    /// The second pass alone: nobody takes the rows.
    pub(crate) fn replay(&mut self, progress: &mut dyn Progress) -> Result<(), LoadError> {
        progress.begin(Phase::Events);
        let outcome = self.source.replay(&mut self.replay, &mut NullSink, progress)?;
        if outcome == Outcome::Stopped {
            return Err(LoadError::interrupted());
        }
        progress.end(self.replay.events());
        Ok(())
    }

    /// Everything that is not a row of an event.
    pub(crate) fn write_totals(
        &mut self,
        connection: &Connection,
        output: &Output,
        progress: &mut dyn Progress,
    ) -> Result<(), LoadError> {
        progress.begin(Phase::Totals);
        self.write_tables(connection).map_err(|error| output.failed(error))?;
        progress.end(0);
        Ok(())
    }

    fn write_tables(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let names = self.names();
        let replay = &mut self.replay;
        if let Some(sampling) = &replay.totals.sampling {
            estimates::write_weights(connection, sampling)?;
        }
        if replay.totals.end_was_unknown(replay.duration) {
            tables::count_freed_at_end(connection, &mut replay.totals, replay.duration)?;
        }
        let run = Run::of(&replay.totals, replay.duration);
        let briefs = SiteSummary::of(&replay.totals, &run);
        if let Some(sampling) = &replay.totals.sampling {
            estimates::write(connection, sampling, &replay.totals.global, &briefs)?;
        }
        let site_names = analysis::write(connection, &briefs, &names, &self.symbols, &run)?;
        let stacks = &replay.stacks;
        let outermost: Vec<_> =
            replay.sites.stacks().iter().map(|stack| stacks.outermost(*stack).label()).collect();
        tables::write_stacks(connection, &replay.sites, stacks, &self.calls)?;
        let lacks = self.survey.lacks();
        tables::write_sites(connection, &replay.totals, &site_names, &outermost, lacks)?;
        tables::write_functions(connection)?;
        tables::write_timelines(connection, &replay.totals, replay.duration)?;
        tables::write_requests(connection, &replay.totals, &replay.failures)?;
        tables::write_threads(connection, &replay.totals, &self.survey)?;
        tables::write_sizes_and_pairs(connection, &replay.totals, lacks)?;
        tables::write_zones(connection, &self.zones)?;
        let spans: Vec<(Nanos, Option<Nanos>)> = self
            .survey
            .modules
            .iter()
            .map(|module| {
                let unloaded = module.unloaded.map(|at| replay.clock.nanos(at));
                (replay.clock.nanos(module.loaded), unloaded)
            })
            .collect();
        let modules = &self.survey.modules;
        tables::write_modules(connection, modules, &self.symbols.modules, &spans)?;
        let notes: Vec<_> =
            self.survey.notes.iter().map(|note| (replay.clock.nanos(note.at), *note)).collect();
        tables::write_aggregation(connection, &notes)?;
        annotations::write(connection, &self.survey, replay)?;
        let mut losses = self.losses();
        losses.sort_by(|one, other| one.name.cmp(&other.name));
        let rows = losses
            .into_iter()
            .map(|loss| (loss.name, i64::try_from(loss.count).unwrap_or(i64::MAX), loss.meaning));
        tables::fill(connection, "losses", 3, rows)?;
        let mut meta = metadata::meta(self.source.header(), &self.survey, &self.replay);
        meta.extend(analysis::meta(&briefs, &run));
        let memory = annotations::meta(&self.replay).into_iter();
        meta.extend(memory.map(|(key, bytes)| (key.to_owned(), Value::Integer(integer(bytes)))));
        let rules = Some(self.rules.text()).filter(|text| !text.is_empty());
        meta.extend(rules.map(|text| (KINDS_FACT.to_owned(), Value::Text(text))));
        meta.sort_by(|one, other| one.0.cmp(&other.0));
        tables::fill(connection, "meta", 2, meta.into_iter())?;
        connection.execute_batch(INDICES)?;
        tables::write_statistics(connection)
    }

    /// The frames of all sites.
    fn names(&self) -> Names {
        let mut names = Names::default();
        for stack in self.replay.sites.stacks() {
            let locations = self.replay.stacks.locations(*stack);
            names.push(locations.map(|location| location.0 as usize), &self.symbols);
        }
        names
    }

    fn losses(&self) -> Vec<Loss> {
        let replay = &self.replay;
        let mut all = diagnostics::of_recorder(&self.survey);
        // The recorder walks deeper than the limit at times; what counts is what was cut here.
        let sites = replay.sites.stacks().iter().zip(replay.totals.sites.iter().skip(1));
        let truncated = sites
            .filter(|(stack, _)| replay.stacks.outermost(**stack) == StackCompleteness::Truncated)
            .map(|(_, totals)| totals.allocations)
            .sum();
        diagnostics::set(&mut all, Counter::Truncated, truncated);
        all.extend(diagnostics::of_file(&self.survey));
        all.extend(diagnostics::of_foreign(&self.survey));
        all.extend(diagnostics::of_events(
            &replay.merge,
            &replay.pairing,
            &replay.stacks,
            &replay.sites,
        ));
        all
    }

    /// Puts the database in its place.
    pub(crate) fn finish(
        self,
        connection: Connection,
        output: Output,
        force: bool,
        started: Instant,
    ) -> Result<Summary, LoadError> {
        let id = self.source.id();
        let database_bytes = output.finish(connection, &id, force)?;
        Ok(Summary { database_bytes, ..self.summary(started) })
    }

    /// What came of it.
    pub(crate) fn summary(self, started: Instant) -> Summary {
        let mut losses = self.losses();
        losses.retain(|loss| loss.count > 0);
        Summary {
            losses,
            symbols: self.symbols.summary,
            recording_bytes: self.source.file_bytes(),
            took: started.elapsed(),
            ..metadata::summary(self.source.header(), &self.survey, &self.replay)
        }
    }
}

/// The blocks alive, the buffers of three threads and what else the events needed are free now, but
/// glibc keeps it, and the tables would come on top.
fn give_back_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: looks at the allocator's own lists only.
    unsafe {
        libc::malloc_trim(0);
    }
}
