//! Writes rows to the database file, on a thread of its own: `allocations`, `reallocs`,
//! `allocation_scopes` and `zone_outliers`, as pages.
//!
//! Invariant: rows are numbered in the order in which they were sent, and nothing depends on the
//! scheduling of the two threads, so that the same rows give the same file.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::loader::model::{AllocationRow, MissingColumns, ReallocRow, Site, Thread};
use crate::loader::passes::pairing::RowSink;
use crate::loader::write::sqlite_pages::{PageFile, Record, TableBuilder};
use crate::loader::write::zone_map::{Zone, ZoneMap};
use crate::recording::ScopeId;

/// Rows per batch. A batch is one zone of the zone map: a query reads whole zones.
const BATCH_ROWS: usize = 1 << 14;

/// Batches in the channel: enough that a short pause of one thread does not stop the other.
const BATCHES_WAITING: usize = 4;

/// Rows of one table.
enum Batch {
    Allocations(Vec<AllocationRow>),
    Reallocs(Vec<ReallocRow>),
}

/// The sending end: collects rows into batches.
pub(crate) struct RowSender {
    allocations: Vec<AllocationRow>,
    reallocs: Vec<ReallocRow>,
    batches: SyncSender<Batch>,
    /// Written batches, whose memory is reused.
    spares: Receiver<Vec<AllocationRow>>,
    /// Whether the writer has stopped with an error.
    is_closed: bool,
}

/// The receiving end, to be run on the writing thread.
pub(crate) struct RowWriter {
    batches: Receiver<Batch>,
    spares: SyncSender<Vec<AllocationRow>>,
}

/// The two ends of a channel.
pub(crate) fn channel() -> (RowSender, RowWriter) {
    let (batches, incoming) = sync_channel(BATCHES_WAITING);
    let (back, spares) = sync_channel(BATCHES_WAITING + 2);
    let sender = RowSender {
        allocations: Vec::with_capacity(BATCH_ROWS),
        reallocs: Vec::with_capacity(BATCH_ROWS),
        batches,
        spares,
        is_closed: false,
    };
    let writer = RowWriter { batches: incoming, spares: back };
    (sender, writer)
}

impl RowSink for RowSender {
    #[inline]
    fn row(&mut self, row: AllocationRow) {
        self.allocations.push(row);
        if self.allocations.len() == BATCH_ROWS {
            self.send_allocations();
        }
    }

    fn realloc(&mut self, row: ReallocRow) {
        self.reallocs.push(row);
        if self.reallocs.len() == BATCH_ROWS {
            self.send_reallocs();
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed
    }
}

impl RowSender {
    /// Sends the last, incomplete batches.
    pub(crate) fn finish(mut self) {
        self.send_allocations();
        self.send_reallocs();
    }

    fn send_allocations(&mut self) {
        let next = self.spares.try_recv().unwrap_or_default();
        let full = std::mem::replace(&mut self.allocations, next);
        self.allocations.clear();
        self.allocations.reserve(BATCH_ROWS);
        self.is_closed |= self.batches.send(Batch::Allocations(full)).is_err();
    }

    fn send_reallocs(&mut self) {
        let full = std::mem::replace(&mut self.reallocs, Vec::with_capacity(BATCH_ROWS));
        self.is_closed |= self.batches.send(Batch::Reallocs(full)).is_err();
    }
}

impl RowWriter {
    /// Writes rows until the sender has finished; returns the zone map.
    pub(crate) fn run(self, mut tables: RowTables) -> io::Result<Vec<Zone>> {
        for batch in &self.batches {
            match batch {
                Batch::Allocations(rows) => {
                    tables.write_allocations(&rows)?;
                    // If the channel of spares is full, this one is not needed.
                    let _ = self.spares.try_send(rows);
                }
                Batch::Reallocs(rows) => tables.write_reallocs(&rows)?,
            }
        }
        tables.finish()
    }
}

/// The tables that are written during the event pass.
#[derive(Debug)]
pub(crate) struct RowTables {
    file: PageFile,
    allocations: TableBuilder,
    reallocs: TableBuilder,
    scopes: TableBuilder,
    zone_outliers: TableBuilder,
    zones: ZoneMap,
    missing_columns: MissingColumns,
    /// Rowid of the last row of `allocations`.
    rows: i64,
}

impl RowTables {
    /// Empty tables; `missing_columns` will be NULL.
    pub(crate) fn new(
        file: PageFile,
        allocations: TableBuilder,
        reallocs: TableBuilder,
        scopes: TableBuilder,
        zone_outliers: TableBuilder,
        missing_columns: MissingColumns,
    ) -> Self {
        let (zones, rows) = (ZoneMap::default(), 0);
        Self { file, allocations, reallocs, scopes, zone_outliers, zones, missing_columns, rows }
    }

    fn write_allocations(&mut self, rows: &[AllocationRow]) -> io::Result<()> {
        let MissingColumns { threads, addresses } = self.missing_columns;
        let thread = |thread: Thread| (!threads).then_some(i64::from(thread.0));
        let zone_alloc_from = self.zones.push(self.rows.cast_unsigned() + 1, rows);
        for row in rows {
            self.rows += 1;
            if row.allocated < zone_alloc_from && row.freed.is_some() {
                let mut record = Record::<2>::default();
                // SQLite stores an INTEGER PRIMARY KEY, here `row`, as NULL: it is the rowid.
                record.add(None);
                record.add(Some(integer(row.allocated.0)));
                self.zone_outliers.push(&mut self.file, self.rows, record.bytes())?;
            }
            let has_site = row.site != Site::NONE;
            // In the order of the columns of `allocations`.
            let mut record = Record::<7>::default();
            record.add(Some(integer(row.allocated.0)));
            record.add(row.freed.map(|freed| integer(freed.0)));
            record.add(has_site.then_some(i64::from(row.site.0)));
            record.add(Some(integer(row.size)));
            record.add((!addresses).then_some(row.address.cast_signed()));
            record.add(thread(row.alloc_thread));
            record.add(row.free_thread.and_then(thread));
            self.allocations.push(&mut self.file, self.rows, record.bytes())?;
            if row.scope != ScopeId::NONE {
                let mut record = Record::<2>::default();
                // The rowid, `allocation`.
                record.add(None);
                record.add(Some(i64::from(row.scope.0)));
                self.scopes.push(&mut self.file, self.rows, record.bytes())?;
            }
        }
        Ok(())
    }

    fn write_reallocs(&mut self, rows: &[ReallocRow]) -> io::Result<()> {
        for row in rows {
            let mut record = Record::<3>::default();
            // The rowid, `new_row`.
            record.add(None);
            record.add(Some(integer(row.old_row)));
            record.add(Some(i64::from(row.moved)));
            self.reallocs.push(&mut self.file, integer(row.new_row), record.bytes())?;
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

/// A value for SQLite, whose integers are signed. Larger values come only from damaged recordings.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
