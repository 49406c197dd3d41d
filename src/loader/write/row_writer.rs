//! Rows → the database file, on a thread of its own.
//!
//! Reads: batches of rows and links, in order. Writes: `allocations`, `zone_outliers`, `reallocs` and
//! `allocation_scopes`, as pages.
//!
//! Invariants: rows get the numbers in which they were sent; nothing depends on how long either
//! thread waits, so that the same rows give the same file.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::loader::model::{AllocationRow, MissingColumns, ReallocRow, Site, Thread};
use crate::loader::passes::pairing::RowSink;
use crate::loader::write::sqlite_pages::{PageFile, Record, TableBuilder};
use crate::loader::write::zone_map::{Zone, ZoneMap};
use crate::recording::ScopeId;

/// Rows in a batch.
const BATCH_ROWS: usize = 1 << 14;

/// Batches between the two threads.
const BATCHES_WAITING: usize = 4;

/// What is sent to the inserting thread.
enum Batch {
    Rows(Vec<AllocationRow>),
    Links(Vec<ReallocRow>),
}

/// The sending end: gathers batches.
pub(crate) struct RowSender {
    rows: Vec<AllocationRow>,
    links: Vec<ReallocRow>,
    batches: SyncSender<Batch>,
    /// Emptied batches that come back.
    spares: Receiver<Vec<AllocationRow>>,
    /// The other side has gone: it has an error to tell.
    gone: bool,
}

/// The inserting end.
pub(crate) struct RowWriter {
    batches: Receiver<Batch>,
    spares: SyncSender<Vec<AllocationRow>>,
}

/// Both ends.
pub(crate) fn channel() -> (RowSender, RowWriter) {
    let (batches, incoming) = sync_channel(BATCHES_WAITING);
    let (back, spares) = sync_channel(BATCHES_WAITING + 2);
    let sender = RowSender {
        rows: Vec::with_capacity(BATCH_ROWS),
        links: Vec::with_capacity(BATCH_ROWS),
        batches,
        spares,
        gone: false,
    };
    let inserter = RowWriter { batches: incoming, spares: back };
    (sender, inserter)
}

impl RowSink for RowSender {
    #[inline]
    fn row(&mut self, row: AllocationRow) {
        self.rows.push(row);
        if self.rows.len() == BATCH_ROWS {
            self.send_rows();
        }
    }

    fn link(&mut self, link: ReallocRow) {
        self.links.push(link);
        if self.links.len() == BATCH_ROWS {
            self.send_links();
        }
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}

impl RowSender {
    /// Sends what is left.
    pub(crate) fn finish(mut self) {
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

impl RowWriter {
    /// Writes until the sender has finished; gives the zones of all rows.
    pub(crate) fn run(self, mut tables: RowTables) -> io::Result<Vec<Zone>> {
        for batch in &self.batches {
            match batch {
                Batch::Rows(rows) => {
                    tables.rows(&rows)?;
                    // A full channel of spares only means that this one is not needed.
                    let _ = self.spares.try_send(rows);
                }
                Batch::Links(links) => tables.links(&links)?,
            }
        }
        tables.finish()
    }
}

/// The tables that are filled while events pass.
#[derive(Debug)]
pub(crate) struct RowTables {
    file: PageFile,
    allocations: TableBuilder,
    reallocs: TableBuilder,
    scopes: TableBuilder,
    zone_outliers: TableBuilder,
    zones: ZoneMap,
    missing_columns: MissingColumns,
    rows: i64,
}

impl RowTables {
    /// For the tables with these root pages; what the source `missing_columns` will be NULL.
    pub(crate) fn new(
        file: PageFile,
        allocations: TableBuilder,
        reallocs: TableBuilder,
        scopes: TableBuilder,
        zone_outliers: TableBuilder,
        missing_columns: MissingColumns,
    ) -> Self {
        Self {
            file,
            allocations,
            reallocs,
            scopes,
            zone_outliers,
            zones: ZoneMap::default(),
            missing_columns,
            rows: 0,
        }
    }

    fn rows(&mut self, rows: &[AllocationRow]) -> io::Result<()> {
        let MissingColumns { threads, addresses } = self.missing_columns;
        let thread = |thread: Thread| (!threads).then_some(i64::from(thread.0));
        let elder_before = self.zones.push(self.rows.cast_unsigned() + 1, rows);
        for row in rows {
            self.rows += 1;
            if row.made < elder_before && row.freed.is_some() {
                let mut record = Record::<2>::default();
                // The table's own key stands in for `row`, as SQLite does it.
                record.add(None);
                record.add(Some(integer(row.made.0)));
                self.zone_outliers.push(&mut self.file, self.rows, record.bytes())?;
            }
            let probed = row.site != Site::NONE;
            let mut record = Record::<7>::default();
            record.add(Some(integer(row.made.0)));
            record.add(row.freed.map(|freed| integer(freed.0)));
            record.add(probed.then_some(i64::from(row.site.0)));
            record.add(Some(integer(row.size)));
            record.add((!addresses).then_some(row.address.cast_signed()));
            record.add(thread(row.thread));
            record.add(row.freed_by.and_then(thread));
            let (file, bytes) = (&mut self.file, record.bytes());
            self.allocations.push(file, self.rows, bytes)?;
            if row.scope != ScopeId::NONE {
                let mut record = Record::<2>::default();
                record.add(None);
                record.add(Some(i64::from(row.scope.0)));
                self.scopes.push(&mut self.file, self.rows, record.bytes())?;
            }
        }
        Ok(())
    }

    fn links(&mut self, links: &[ReallocRow]) -> io::Result<()> {
        for link in links {
            // The table's own key stands in for `new_row`, as SQLite does it.
            let mut record = Record::<3>::default();
            record.add(None);
            record.add(Some(integer(link.old_row)));
            record.add(Some(i64::from(link.moved)));
            let (file, bytes) = (&mut self.file, record.bytes());
            self.reallocs.push(file, integer(link.new_row), bytes)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Vec<Zone>> {
        self.allocations.finish(&mut self.file)?;
        self.reallocs.finish(&mut self.file)?;
        self.scopes.finish(&mut self.file)?;
        self.zone_outliers.finish(&mut self.file)?;
        self.file.finish()?;
        Ok(self.zones.into_list())
    }
}

/// SQLite's integers are signed; nothing real is as big as that.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
