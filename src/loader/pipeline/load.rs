//! The steps of a load, from a recording to the finished database.

use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::database::schema::INDICES;
use crate::loader::analyze::shutdown::{self, Ended, Shutdown};
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::analyze::{estimates, name_tables};
use crate::loader::api::error::LoadError;
use crate::loader::api::progress::{Phase, Progress};
use crate::loader::api::summary::{Ending, Loss, Summary};
use crate::loader::passes::event_pass::{EventPass, Outcome};
use crate::loader::passes::metadata_pass::RecordingMetadata;
use crate::loader::passes::pairing::NullSink;
use crate::loader::passes::stacks::StackCompleteness;
use crate::loader::source::{Source, SourceMetadata};
use crate::loader::symbols::site_frames::SiteFrames;
use crate::loader::symbols::{Call, Finder, META_KINDS, Rules, Symbols};
use crate::loader::write::database_file::DatabaseFile;
use crate::loader::write::insert::insert;
use crate::loader::write::row_writer::{self, integer};
use crate::loader::write::zone_map::Zone;
use crate::loader::write::{annotations, losses, metadata, statistics, symbol_tables, tables};
use crate::recording::Counter;

/// The state of a load.
pub(crate) struct Pipeline<'a, R> {
    source: &'a R,
    metadata: RecordingMetadata,
    calls: Vec<Call>,
    symbols: Symbols,
    /// The user's rules for the kinds of frames.
    rules: Rules,
    /// Whether the names were recorded, so that there is nothing to resolve.
    has_recorded_names: bool,
    pass: EventPass,
    zones: Vec<Zone>,
}

impl<'a, R: Source> Pipeline<'a, R> {
    /// Runs the metadata pass.
    pub(crate) fn read_metadata(
        source: &'a R,
        progress: &mut dyn Progress,
    ) -> Result<Self, LoadError> {
        let SourceMetadata { mut metadata, symbols } = source.read_metadata(progress)?;
        let calls = metadata
            .locations
            .iter()
            .map(|location| Call::before(location.address, location.module, &metadata.modules))
            .collect();
        let pass = EventPass::new(source.header(), &mut metadata);
        let has_recorded_names = symbols.is_some();
        let symbols = symbols.unwrap_or_default();
        let (rules, zones) = (Rules::default(), Vec::new());
        Ok(Self { source, metadata, calls, symbols, rules, has_recorded_names, pass, zones })
    }

    /// Resolves the names of all calls, and classifies their frames. `given` are the symbol files of
    /// [`LoadOptions`].
    ///
    /// [`LoadOptions`]: crate::loader::LoadOptions
    pub(crate) fn resolve_symbols(
        &mut self,
        given: &[PathBuf],
        rules: Rules,
        progress: &mut dyn Progress,
    ) -> Result<(), LoadError> {
        progress.begin(Phase::Backtraces);
        let modules = &self.metadata.modules;
        if !self.has_recorded_names {
            let finder = Finder::new(given);
            self.symbols = Symbols::resolve(&self.calls, modules, &finder, progress)
                .ok_or_else(LoadError::interrupted)?;
        }
        self.symbols.classify(modules, &rules);
        self.rules = rules;
        progress.end(self.calls.len() as u64);
        Ok(())
    }

    /// Runs the event pass on this thread, while another one writes the rows.
    pub(crate) fn write_events(
        &mut self,
        output: &DatabaseFile,
        progress: &mut dyn Progress,
    ) -> Result<Connection, LoadError> {
        progress.begin(Phase::Events);
        let (mut sender, writer) = row_writer::channel();
        let tables = output.create_tables(self.metadata.missing_columns())?;
        let (source, pass) = (self.source, &mut self.pass);
        let (outcome, written) = thread::scope(|scope| {
            let writing = scope.spawn(move || writer.run(tables));
            let outcome = source.read_events(pass, &mut sender, progress);
            sender.finish();
            (outcome, writing.join())
        });
        self.zones = match written {
            Ok(zones) => zones.map_err(|error| output.failed_io(error))?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        if outcome? == Outcome::Stopped {
            return Err(LoadError::interrupted());
        }
        progress.end(self.pass.events());
        release_freed_memory();
        output.begin_transaction()
    }

    /// Runs the event pass without an output.
    pub(crate) fn pair_events(&mut self, progress: &mut dyn Progress) -> Result<(), LoadError> {
        progress.begin(Phase::Events);
        let outcome = self.source.read_events(&mut self.pass, &mut NullSink, progress)?;
        if outcome == Outcome::Stopped {
            return Err(LoadError::interrupted());
        }
        progress.end(self.pass.events());
        Ok(())
    }

    /// Writes all tables that are not written during the event pass.
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
        let (run, summaries, shutdown) = self.write_site_tables(connection)?;
        self.write_other_tables(connection)?;
        let mut losses = self.losses();
        losses.sort_by(|one, other| one.name.cmp(&other.name));
        insert!(connection, "losses", losses, |loss| {
            name: loss.name,
            count: integer(loss.count),
            meaning: loss.meaning,
        });
        let mut meta = metadata::meta_rows(self.source.header(), &self.metadata, &self.pass);
        meta.extend(name_tables::meta_rows(&summaries, &run));
        meta.extend(shutdown::meta_rows(shutdown.as_ref(), &self.pass.totals.global));
        let memory =
            annotations::meta_rows(&self.pass, self.metadata.counters.as_ref()).into_iter();
        meta.extend(memory.map(|(key, bytes)| (key.to_owned(), Value::Integer(integer(bytes)))));
        let rules = Some(self.rules.text()).filter(|text| !text.is_empty());
        meta.extend(rules.map(|text| (META_KINDS.to_owned(), Value::Text(text))));
        meta.sort_by(|one, other| one.0.cmp(&other.0));
        insert!(connection, "meta", meta, |(key, value)| {
            key: key,
            value: value,
        });
        connection.execute_batch(INDICES)?;
        statistics::write(connection)
    }

    /// Writes the tables of sites, and their analysis.
    fn write_site_tables(
        &mut self,
        connection: &Connection,
    ) -> rusqlite::Result<(Run, Vec<SiteSummary>, Option<Shutdown>)> {
        let site_frames = self.site_frames();
        let pass = &mut self.pass;
        if let Some(sampling) = &pass.totals.sampling {
            estimates::write_weights(connection, sampling)?;
        }
        if pass.totals.exceeded_expected(pass.duration) {
            tables::recompute_freed_at_end(connection, &mut pass.totals, pass.duration)?;
        }
        let ended = Ended {
            duration: pass.duration,
            is_sealed: metadata::ending(&self.metadata) == Ending::Sealed,
            precedents: pass.declines.precedents(),
            zones: &self.zones,
            freed_rows: pass.pairing.freed_rows(),
        };
        let moments = pass.declines.moments();
        let shutdown = shutdown::find(connection, &pass.totals, &moments, &ended)?;
        let run = Run::of(&pass.totals, pass.duration, shutdown.as_ref());
        let summaries = SiteSummary::of(&pass.totals, &run, shutdown.as_ref());
        if let Some(sampling) = &pass.totals.sampling {
            estimates::write(connection, sampling, &pass.totals.global, &summaries)?;
        }
        let names = name_tables::write(connection, &summaries, &site_frames, &self.symbols, &run)?;
        let stacks = &pass.stacks;
        let completeness: Vec<_> =
            pass.sites.stacks().iter().map(|stack| stacks.completeness(*stack).label()).collect();
        symbol_tables::write_stacks(connection, &pass.sites, stacks, &self.calls)?;
        let missing_columns = self.metadata.missing_columns();
        tables::write_sites(connection, &pass.totals, &names, &completeness, missing_columns)?;
        tables::write_functions(connection)?;
        tables::write_timelines(connection, &pass.totals, pass.duration)?;
        Ok((run, summaries, shutdown))
    }

    fn write_other_tables(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let (metadata, pass) = (&self.metadata, &mut self.pass);
        tables::write_requests(connection, &pass.totals, &pass.failures)?;
        tables::write_threads(connection, &pass.totals, metadata)?;
        tables::write_sizes_and_pairs(connection, &pass.totals, metadata.missing_columns())?;
        tables::write_zone_map(connection, &self.zones)?;
        let clock = &mut pass.clock;
        let mut spans = Vec::with_capacity(metadata.modules.len());
        for module in &metadata.modules {
            let loaded = clock.nanos(module.loaded);
            spans.push((loaded, module.unloaded.map(|at| clock.nanos(at))));
        }
        let modules = &metadata.modules;
        symbol_tables::write_modules(connection, modules, &self.symbols.modules, &spans)?;
        let steps = metadata.aggregation_steps.iter();
        let steps: Vec<_> = steps.map(|step| (clock.nanos(step.at), *step)).collect();
        tables::write_aggregation_steps(connection, &steps)?;
        annotations::write(connection, metadata, pass)
    }

    fn site_frames(&self) -> SiteFrames {
        let mut site_frames = SiteFrames::default();
        for stack in self.pass.sites.stacks() {
            let locations = self.pass.stacks.locations(*stack);
            site_frames.push(locations.map(|location| location.0 as usize), &self.symbols);
        }
        site_frames
    }

    fn losses(&self) -> Vec<Loss> {
        let pass = &self.pass;
        let mut all = losses::of_recorder(&self.metadata);
        // The recorder unwinds up to twice the limit; stacks are truncated by the loader.
        let sites = pass.sites.stacks().iter().zip(pass.totals.sites.iter().skip(1));
        let truncated = sites
            .filter(|(stack, _)| pass.stacks.completeness(**stack) == StackCompleteness::Truncated)
            .map(|(_, totals)| totals.allocations)
            .sum();
        losses::set(&mut all, Counter::Truncated, truncated);
        all.extend(losses::of_file(&self.metadata));
        all.extend(losses::of_import(&self.metadata));
        all.extend(losses::of_events(&pass.merge, &pass.pairing, &pass.stacks, &pass.sites));
        all
    }

    /// Moves the database to its destination.
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

    /// The summary without the database's length.
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

/// Returns the freed memory of the event pass to the system: the live blocks and the buffers of three
/// threads. glibc would keep it, and the tables would add to a load's peak memory: 441 MiB instead of
/// 396 MiB for 100 million events (docs/internals/PERFORMANCE.md).
fn release_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` frees only memory that glibc's allocator holds in its free lists, and
    // takes its locks; it may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
