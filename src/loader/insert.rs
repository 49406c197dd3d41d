//! Rows → SQLite, on a thread of its own.
//!
//! Reads: batches of rows and links, in order. Writes: `allocations` and `reallocs`.
//!
//! Rows pass through a virtual table, so that one statement takes in a whole batch:
//! `INSERT … SELECT` from it is half again as fast as a prepared insert for each row.
//!
//! Invariants: rows get the numbers in which they were sent; full batches are always of the same
//! length, so that the same rows give the same file.

use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::vtab::{Context, Filters, IndexInfo, Module, VTab, VTabConnection, VTabCursor};
use rusqlite::{Connection, ffi};

use crate::loader::pairing::Sink;
use crate::loader::rows::{Link, Row, Site};

/// Rows in a batch.
const BATCH_ROWS: usize = 1 << 14;

/// Batches between the two threads.
const BATCHES_WAITING: usize = 4;

/// What is sent to the inserting thread.
enum Batch {
    Rows(Vec<Row>),
    Links(Vec<Link>),
}

/// The sending end: gathers batches.
pub(in crate::loader) struct Sender {
    rows: Vec<Row>,
    links: Vec<Link>,
    batches: SyncSender<Batch>,
    /// Emptied batches that come back.
    spares: Receiver<Vec<Row>>,
    /// The other side has gone: it has an error to tell.
    gone: bool,
}

/// The inserting end.
pub(in crate::loader) struct Inserter {
    batches: Receiver<Batch>,
    spares: SyncSender<Vec<Row>>,
}

/// Both ends.
pub(in crate::loader) fn channel() -> (Sender, Inserter) {
    let (batches, incoming) = sync_channel(BATCHES_WAITING);
    let (back, spares) = sync_channel(BATCHES_WAITING + 2);
    let sender = Sender {
        rows: Vec::with_capacity(BATCH_ROWS),
        links: Vec::with_capacity(BATCH_ROWS),
        batches,
        spares,
        gone: false,
    };
    let inserter = Inserter { batches: incoming, spares: back };
    (sender, inserter)
}

impl Sink for Sender {
    #[inline]
    fn row(&mut self, row: Row) {
        self.rows.push(row);
        if self.rows.len() == BATCH_ROWS {
            self.send_rows();
        }
    }

    fn link(&mut self, link: Link) {
        self.links.push(link);
        if self.links.len() == BATCH_ROWS {
            self.send_links();
        }
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}

impl Sender {
    /// Sends what is left.
    pub(in crate::loader) fn finish(mut self) {
        self.send_rows();
        self.send_links();
    }

    fn send_rows(&mut self) {
        let next = self.spares.try_recv().unwrap_or_default();
        let full = std::mem::replace(&mut self.rows, next);
        self.rows.clear();
        self.rows.reserve(BATCH_ROWS);
        self.gone |= self.batches.send(Batch::Rows(full)).is_err();
    }

    fn send_links(&mut self) {
        let full = std::mem::replace(&mut self.links, Vec::with_capacity(BATCH_ROWS));
        self.gone |= self.batches.send(Batch::Links(full)).is_err();
    }
}

impl Inserter {
    /// Inserts until the sender has finished.
    pub(in crate::loader) fn run(self, connection: &Connection) -> rusqlite::Result<()> {
        let passing = Passing::default();
        connection.create_module(
            c"rheaper_rows",
            const { &Module::<RowsTable<'_>>::eponymous_only_module() },
            Some(passing.clone()),
        )?;
        let mut insert_rows = connection.prepare(
            "INSERT INTO main.allocations SELECT made, freed, bt, size, addr, thread, freed_by
             FROM rheaper_rows",
        )?;
        let mut insert_link = connection
            .prepare("INSERT INTO main.reallocs (new_row, old_row, moved) VALUES (?1, ?2, ?3)")?;
        for batch in &self.batches {
            match batch {
                Batch::Rows(rows) => {
                    passing.give(rows);
                    insert_rows.execute([])?;
                    // A full channel of spares only means that this one is not needed.
                    let _ = self.spares.try_send(passing.take());
                }
                Batch::Links(links) => {
                    for link in links {
                        insert_link.execute((
                            link.new_row.cast_signed(),
                            link.old_row.cast_signed(),
                            link.moved,
                        ))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The batch that is being inserted.
#[derive(Clone, Default)]
struct Passing(Arc<Mutex<Vec<Row>>>);

impl Passing {
    fn give(&self, rows: Vec<Row>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    fn take(&self) -> Vec<Row> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The virtual table.
#[repr(C)]
struct RowsTable<'vtab> {
    /// SQLite's part; it must be first.
    base: ffi::sqlite3_vtab,
    passing: Passing,
    phantom: PhantomData<&'vtab ()>,
}

// SAFETY: the struct is `repr(C)` and begins with `sqlite3_vtab`, as the trait asks for.
unsafe impl<'vtab> VTab<'vtab> for RowsTable<'vtab> {
    type Aux = Passing;
    type Cursor = RowsCursor<'vtab>;

    fn connect(
        _: &mut VTabConnection,
        aux: Option<&Passing>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let table = Self {
            base: ffi::sqlite3_vtab::default(),
            passing: aux.cloned().unwrap_or_default(),
            phantom: PhantomData,
        };
        let columns = c"CREATE TABLE x(made, freed, bt, size, addr, thread, freed_by)";
        Ok((Cow::Borrowed(columns), table))
    }

    fn best_index(&self, _: &mut IndexInfo) -> rusqlite::Result<bool> {
        Ok(true)
    }

    fn open(&'vtab mut self) -> rusqlite::Result<RowsCursor<'vtab>> {
        Ok(RowsCursor {
            base: ffi::sqlite3_vtab_cursor::default(),
            rows: Vec::new(),
            at: 0,
            passing: self.passing.clone(),
            phantom: PhantomData,
        })
    }
}

/// Walks over the batch. It holds the rows itself, and gives them back at the end.
#[repr(C)]
struct RowsCursor<'vtab> {
    /// SQLite's part; it must be first.
    base: ffi::sqlite3_vtab_cursor,
    rows: Vec<Row>,
    at: usize,
    passing: Passing,
    phantom: PhantomData<&'vtab ()>,
}

impl Drop for RowsCursor<'_> {
    fn drop(&mut self) {
        self.passing.give(std::mem::take(&mut self.rows));
    }
}

// SAFETY: the struct is `repr(C)` and begins with `sqlite3_vtab_cursor`, as the trait asks for.
unsafe impl VTabCursor for RowsCursor<'_> {
    fn filter(&mut self, _: c_int, _: Option<&str>, _: &Filters<'_>) -> rusqlite::Result<()> {
        self.rows = self.passing.take();
        self.at = 0;
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.at += 1;
        Ok(())
    }

    fn eof(&self) -> bool {
        self.at >= self.rows.len()
    }

    fn column(&self, context: &mut Context, index: c_int) -> rusqlite::Result<()> {
        let Some(row) = self.rows.get(self.at) else {
            return Ok(());
        };
        // A context that is given nothing holds NULL.
        match index {
            0 => context.set_result(integer(row.made.0)),
            1 => row.freed.map_or(Ok(()), |freed| context.set_result(integer(freed.0))),
            2 if row.site == Site::NONE => Ok(()),
            2 => context.set_result(row.site.0),
            3 => context.set_result(integer(row.size)),
            4 => context.set_result(row.address.cast_signed()),
            5 => context.set_result(row.thread.0),
            _ => row.freed_by.map_or(Ok(()), |thread| context.set_result(thread.0)),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.at as i64)
    }
}

/// SQLite's integers are signed; nothing real is as big as that.
pub(in crate::loader) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
