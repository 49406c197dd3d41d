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
use crate::loader::model::Nanos;
use crate::loader::passes::event_pass::{EventPass, Outcome};
use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::passes::pairing::NullSink;
use crate::loader::passes::stacks::StackCompleteness;
use crate::loader::progress::{Phase, Progress};
use crate::loader::source::{Source, SourceMetadata};
use crate::loader::summary::{Loss, Summary};
use crate::loader::symbols::frame_names::SiteFrames;
use crate::loader::symbols::{Call, Finder, Symbols};
use crate::loader::write::atomic_file::DatabaseFile;
use crate::loader::write::row_writer::{channel, integer};
use crate::loader::write::zone_map::Zone;
use crate::loader::write::{annotations, diagnostics, metadata, tables};
use crate::recording::Counter;

/// A load in progress.
pub(crate) struct Pipeline<'a, R> {
    source: &'a R,
    metadata: RecordingMetadata,
    calls: Vec<Call>,
    symbols: Symbols,
    /// Whether the source brought its names along.
    named: bool,
    pass: EventPass,
    zones: Vec<Zone>,
}

impl<'a, R: Source> Pipeline<'a, R> {
    /// The first pass.
    pub(crate) fn read_metadata(
        source: &'a R,
        progress: &mut dyn Progress,
    ) -> Result<Self, LoadError> {
        let SourceMetadata { mut metadata, names } = source.read_metadata(progress)?;
        let calls = metadata
            .locations
            .iter()
            .map(|location| Call::before(location.address, location.module, &metadata.modules))
            .collect();
        let pass = EventPass::new(source.header(), &mut metadata);
        let named = names.is_some();
        let symbols = names.unwrap_or_default();
        Ok(Self { source, metadata, calls, symbols, named, pass, zones: Vec::new() })
    }

    /// Looks up the names of all calls.
    pub(crate) fn resolve(
        &mut self,
        given: &[PathBuf],
        progress: &mut dyn Progress,
    ) -> Result<(), LoadError> {
        progress.begin(Phase::Backtraces);
        if self.named {
            progress.end(self.calls.len() as u64);
            return Ok(());
        }
        let finder = Finder::new(given);
        self.symbols = Symbols::resolve(&self.calls, &self.metadata.modules, &finder, progress)
            .ok_or_else(LoadError::interrupted)?;
        progress.end(self.calls.len() as u64);
        Ok(())
    }

    /// The second pass: pairs events on this thread while another one inserts the rows.
    pub(crate) fn write_events(
        &mut self,
        output: &DatabaseFile,
        progress: &mut dyn Progress,
    ) -> Result<Connection, LoadError> {
        progress.begin(Phase::Events);
        let (mut sender, inserter) = channel();
        let tables = output.begin_tables(self.metadata.missing_columns())?;
        let (source, pass) = (self.source, &mut self.pass);
        let (outcome, inserted) = thread::scope(|scope| {
            let inserting = scope.spawn(move || inserter.run(tables));
            let outcome = source.read_events(pass, &mut sender, progress);
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
        progress.end(self.pass.events());
        give_back_freed_memory();
        output.resume()
    }

    /// The second pass alone: nobody takes the rows.
    pub(crate) fn read_events(&mut self, progress: &mut dyn Progress) -> Result<(), LoadError> {
        progress.begin(Phase::Events);
        let outcome = self.source.read_events(&mut self.pass, &mut NullSink, progress)?;
        if outcome == Outcome::Stopped {
            return Err(LoadError::interrupted());
        }
        progress.end(self.pass.events());
        Ok(())
    }

    /// Everything that is not a row of an event.
    pub(crate) fn write_totals(
        &mut self,
        connection: &Connection,
        output: &DatabaseFile,
        progress: &mut dyn Progress,
    ) -> Result<(), LoadError> {
        progress.begin(Phase::Totals);
        self.write_tables(connection).map_err(|error| output.failed(error))?;
        progress.end(0);
        Ok(())
    }

    fn write_tables(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let names = self.names();
        let pass = &mut self.pass;
        if let Some(sampling) = &pass.totals.sampling {
            estimates::write_weights(connection, sampling)?;
        }
        if pass.totals.end_was_unknown(pass.duration) {
            tables::count_freed_at_end(connection, &mut pass.totals, pass.duration)?;
        }
        let run = Run::of(&pass.totals, pass.duration);
        let summaries = SiteSummary::of(&pass.totals, &run);
        if let Some(sampling) = &pass.totals.sampling {
            estimates::write(connection, sampling, &pass.totals.global, &summaries)?;
        }
        let site_names = analysis::write(connection, &summaries, &names, &self.symbols, &run)?;
        let stacks = &pass.stacks;
        let outermost: Vec<_> =
            pass.sites.stacks().iter().map(|stack| stacks.outermost(*stack).label()).collect();
        tables::write_stacks(connection, &pass.sites, stacks, &self.calls)?;
        let missing_columns = self.metadata.missing_columns();
        tables::write_sites(connection, &pass.totals, &site_names, &outermost, missing_columns)?;
        tables::write_timelines(connection, &pass.totals, pass.duration)?;
        tables::write_requests(connection, &pass.totals, &pass.failures)?;
        tables::write_threads(connection, &pass.totals, &self.metadata)?;
        tables::write_sizes_and_pairs(connection, &pass.totals, missing_columns)?;
        tables::write_zones(connection, &self.zones)?;
        let spans: Vec<(Nanos, Option<Nanos>)> = self
            .metadata
            .modules
            .iter()
            .map(|module| {
                let unloaded = module.unloaded.map(|at| pass.clock.nanos(at));
                (pass.clock.nanos(module.loaded), unloaded)
            })
            .collect();
        let modules = &self.metadata.modules;
        tables::write_modules(connection, modules, &self.symbols.modules, &spans)?;
        let notes: Vec<_> =
            self.metadata.notes.iter().map(|note| (pass.clock.nanos(note.at), *note)).collect();
        tables::write_aggregation(connection, &notes)?;
        annotations::write(connection, &self.metadata, pass)?;
        let mut losses = self.losses();
        losses.sort_by(|one, other| one.name.cmp(&other.name));
        let rows = losses
            .into_iter()
            .map(|loss| (loss.name, i64::try_from(loss.count).unwrap_or(i64::MAX), loss.meaning));
        tables::fill(connection, "losses", 3, rows)?;
        let mut meta = metadata::meta(self.source.header(), &self.metadata, &self.pass);
        meta.extend(analysis::meta(&summaries, &run));
        let memory = annotations::meta(&self.pass).into_iter();
        meta.extend(memory.map(|(key, bytes)| (key.to_owned(), Value::Integer(integer(bytes)))));
        meta.sort_by(|one, other| one.0.cmp(&other.0));
        tables::fill(connection, "meta", 2, meta.into_iter())?;
        connection.execute_batch(INDICES)?;
        tables::write_statistics(connection)
    }

    /// The frames of all sites.
    fn names(&self) -> SiteFrames {
        let mut names = SiteFrames::default();
        for stack in self.pass.sites.stacks() {
            let locations = self.pass.stacks.locations(*stack);
            names.push(locations.map(|location| location.0 as usize), &self.symbols);
        }
        names
    }

    fn losses(&self) -> Vec<Loss> {
        let pass = &self.pass;
        let mut all = diagnostics::of_recorder(&self.metadata);
        // The recorder walks deeper than the limit at times; what counts is what was cut here.
        let sites = pass.sites.stacks().iter().zip(pass.totals.sites.iter().skip(1));
        let truncated = sites
            .filter(|(stack, _)| pass.stacks.outermost(**stack) == StackCompleteness::Truncated)
            .map(|(_, totals)| totals.allocations)
            .sum();
        diagnostics::set(&mut all, Counter::Truncated, truncated);
        all.extend(diagnostics::of_file(&self.metadata));
        all.extend(diagnostics::of_import(&self.metadata));
        all.extend(diagnostics::of_events(&pass.merge, &pass.pairing, &pass.stacks, &pass.sites));
        all
    }

    /// Puts the database in its place.
    pub(crate) fn finish(
        self,
        connection: Connection,
        output: DatabaseFile,
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
            ..metadata::summary(self.source.header(), &self.metadata, &self.pass)
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
