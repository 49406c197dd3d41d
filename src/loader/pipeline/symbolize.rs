//! Resolves the names in a database again, for a load at which the binaries were missing.
//!
//! Invariants: all changes are in one transaction; a name is never replaced by an unresolved
//! address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::loader::analyze::name_tables;
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::api::error::LoadError;
use crate::loader::api::progress::{Phase, Progress};
use crate::loader::api::summary::SymbolSummary;
use crate::loader::read::modules::Module;
use crate::loader::sanitize;
use crate::loader::symbols::site_frames::SiteFrames;
use crate::loader::symbols::{Call, Finder, META_KINDS, Rules, SymbolState, Symbols};
use crate::loader::write::database_file::is_rheaper_database;
use crate::loader::write::tables::SiteNames;
use crate::loader::write::{statistics, tables};
use crate::recording::{ModuleId, Ticks};

/// Opens the database, resolves all calls, and rewrites the tables that depend on names.
pub(crate) fn symbolize(
    path: &Path,
    given: &[PathBuf],
    progress: &mut dyn Progress,
) -> Result<SymbolSummary, LoadError> {
    let failed = |error: rusqlite::Error| LoadError::database(path, error);
    match is_rheaper_database(path) {
        Ok(true) => {}
        Ok(false) => return Err(LoadError::not_a_database(path)),
        Err(error) => return Err(LoadError::database(path, error)),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let recorded = "SELECT EXISTS (SELECT 1 FROM modules WHERE symbols = 'recorded')";
    if connection.query_row(recorded, [], |row| row.get(0)).map_err(failed)? {
        return Err(LoadError::names_were_recorded(path));
    }
    let stored = StoredStacks::read(&connection).map_err(failed)?;

    progress.begin(Phase::Backtraces);
    let finder = Finder::new(given);
    let mut symbols = Symbols::resolve(&stored.calls, &stored.modules, &finder, progress)
        .ok_or_else(LoadError::interrupted)?;
    symbols.classify(&stored.modules, &stored.rules);
    progress.end(stored.calls.len() as u64);
    if let Some(module) = stored.find_lost(&symbols) {
        return Err(LoadError::would_lose_names(path, &module.shown));
    }
    progress.begin(Phase::Totals);
    stored.rewrite(&connection, &symbols).map_err(failed)?;
    progress.end(0);
    Ok(symbols.summary)
}

/// The call stacks in a database.
struct StoredStacks {
    modules: Vec<Module>,
    /// The user's rules for the kinds of frames.
    rules: Rules,
    /// By module: whether its names have been resolved before.
    named: Vec<bool>,
    calls: Vec<Call>,
    /// By stack: the row of its caller's stack, and of its innermost call. Rows count from 1.
    stacks: Vec<(Option<u32>, u32)>,
    /// By backtrace: the row of its stack.
    backtraces: BTreeMap<u32, Option<u32>>,
}

impl StoredStacks {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut query = connection.prepare(
            "SELECT path, build_id, main, start_addr, end_addr, bias, symbols FROM modules
             ORDER BY id",
        )?;
        let named = ["resolved", "unchecked", "partial"];
        let rows = query.query_map([], |row| {
            let path: String = row.get(0)?;
            let build_id: Option<String> = row.get(1)?;
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            let module = Module {
                id: ModuleId(0),
                shown: sanitize::text(&path),
                path: path.into_bytes(),
                build_id: sanitize::unhex(&build_id.unwrap_or_default()),
                main: row.get(2)?,
                start: number(3)?,
                end: number(4)?,
                bias: number(5)?,
                loaded: Ticks(0),
                unloaded: None,
            };
            let state: String = row.get(6)?;
            Ok((module, named.contains(&state.as_str())))
        })?;
        let modules: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
        let (modules, named): (Vec<_>, Vec<_>) = modules.into_iter().unzip();
        let count = modules.len();
        Ok(Self {
            modules,
            rules: read_rules(connection)?,
            named,
            calls: read_calls(connection, count)?,
            stacks: read_stacks(connection)?,
            backtraces: connection
                .prepare("SELECT bt, stack FROM backtrace_stacks ORDER BY bt")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?,
        })
    }

    /// A module whose names would be lost: its file is no longer found.
    fn find_lost(&self, symbols: &Symbols) -> Option<&Module> {
        let states = self.modules.iter().zip(&self.named).zip(&symbols.modules);
        states
            .filter(|((_, named), _)| **named)
            .find(|(_, now)| matches!(now.state, SymbolState::Missing | SymbolState::Mismatch))
            .map(|((module, _), _)| module)
    }

    fn site_frames(&self, symbols: &Symbols) -> SiteFrames {
        let mut site_frames = SiteFrames::default();
        for stack in self.backtraces.values() {
            let mut current = *stack;
            let calls = std::iter::from_fn(|| {
                let id = current?;
                let (caller, call) = *self.stacks.get(id as usize - 1)?;
                // Parents have smaller ids: the condition ends the loop in a damaged database.
                current = caller.filter(|caller| *caller < id);
                Some(call as usize - 1)
            });
            site_frames.push(calls.filter(|call| *call < self.calls.len()), symbols);
        }
        site_frames
    }

    fn rewrite(&self, connection: &Connection, symbols: &Symbols) -> rusqlite::Result<()> {
        let transaction = connection.unchecked_transaction()?;
        let run = Run::read(&transaction)?;
        let summaries = SiteSummary::read(&transaction)?;
        for table in name_tables::TABLES {
            transaction.execute(&format!("DELETE FROM {table}"), [])?;
        }
        let site_frames = self.site_frames(symbols);
        let site_names = name_tables::write(&transaction, &summaries, &site_frames, symbols, &run)?;
        update_sites(&transaction, &summaries, &site_names)?;
        tables::write_functions(&transaction)?;
        let mut update = transaction
            .prepare("UPDATE modules SET symbols = ?2, symbol_file = ?3 WHERE id = ?1")?;
        for (id, module) in (0_i64..).zip(&symbols.modules) {
            let file = module.file.as_ref();
            let file = file.map(|file| sanitize::text(&file.to_string_lossy()));
            update.execute((id, module.state.label(), file))?;
        }
        drop(update);
        statistics::write(&transaction)?;
        transaction.commit()
    }
}

fn update_sites(
    connection: &Connection,
    summaries: &[SiteSummary],
    names: &[SiteNames],
) -> rusqlite::Result<()> {
    let mut update = connection.prepare(
        "UPDATE sites SET frame = ?2, suspect = ?3, tree = ?4, depth = ?5, through = ?6, caller = ?7
         WHERE bt = ?1",
    )?;
    for summary in summaries {
        let site = names[summary.site.0 as usize - 1];
        let SiteNames { frame, through, caller, suspect, tree, depth, .. } = site;
        update.execute((summary.site.0, frame, suspect, tree, depth, through, caller))?;
    }
    Ok(())
}

fn read_rules(connection: &Connection) -> rusqlite::Result<Rules> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    let text: Option<String> =
        connection.query_row(sql, [META_KINDS], |row| row.get(0)).optional()?;
    let mut rules = Rules::default();
    // A load writes valid rules; of others, those before the first invalid line are used.
    let _ = rules.add(&text.unwrap_or_default());
    Ok(rules)
}

fn read_calls(connection: &Connection, modules: usize) -> rusqlite::Result<Vec<Call>> {
    connection
        .prepare("SELECT module, offset FROM return_addresses ORDER BY id")?
        .query_map([], |row| {
            let module: Option<u32> = row.get(0)?;
            Ok(Call {
                module: module.filter(|module| (*module as usize) < modules),
                offset: row.get::<_, i64>(1)?.cast_unsigned(),
            })
        })?
        .collect()
}

fn read_stacks(connection: &Connection) -> rusqlite::Result<Vec<(Option<u32>, u32)>> {
    connection
        .prepare("SELECT parent, call FROM stacks ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
