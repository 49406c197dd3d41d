//! Writes tables as SQLite b-tree pages, without SQLite.
//!
//! Rows come by ascending rowid; pages are appended to a database file that SQLite has created and
//! closed. Inserts through SQLite reached 1.4 M rows/s and were the bottleneck of a load; this
//! writer keeps up with the event pass (docs/internals/PERFORMANCE.md). The format is that of
//! <https://sqlite.org/fileformat2.html>, sections 1.5 and 2; tests compare the result with
//! SQLite's own inserts and run `integrity_check`.
//!
//! Invariants:
//! - All pages are full except the last ones of each level; an inner page has at least two
//!   children; all leaves are at the same depth.
//! - A table's root stays the page that the schema names.
//! - The page count in the file's header is written last.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// The first byte of a page: a leaf or an inner page of a table.
const LEAF: u8 = 0x0d;
const INNER: u8 = 0x05;
const LEAF_HEADER_BYTES: usize = 8;
const INNER_HEADER_BYTES: usize = 12;

/// Maximum size of a child's cell in an inner page: page number, rowid, cell pointer.
const CHILD_BYTES_MAX: usize = 4 + 9 + 2;

/// Offset of the page count in the file.
const PAGE_COUNT_OFFSET: u64 = 28;

/// SQLite locks this byte of the file, so the page that contains it must stay unused.
const LOCK_BYTE: u64 = 1 << 30;

/// Bytes per write.
const WRITE_BYTES: usize = 1 << 20;

/// Bytes after which write-back to the disk is started. Otherwise the kernel would start it when
/// the file is synced, and a load would wait for all of it at the end.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// Maximum length of a record; its length then takes one byte, and a row never spills to an
/// overflow page.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 120;

/// The end of a database file, where pages are appended.
#[derive(Debug)]
pub(crate) struct PageFile {
    file: File,
    page_bytes: usize,
    /// Number of the next page; pages count from 1.
    next: u32,
    /// Pages that are not written yet.
    buffer: Vec<u8>,
    /// Offset of `buffer` in the file.
    buffer_at: u64,
    /// End of the bytes whose write-back has started.
    write_back_end: u64,
}

impl PageFile {
    /// Appends to the pages of `file`.
    pub(crate) fn open(file: File, page_bytes: usize) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        let pages = bytes / page_bytes as u64;
        let next = u32::try_from(pages + 1).map_err(|_| too_big())?;
        Ok(Self {
            file,
            page_bytes,
            next,
            buffer: Vec::with_capacity(WRITE_BYTES),
            buffer_at: pages * page_bytes as u64,
            write_back_end: 0,
        })
    }

    fn append(&mut self, page: &[u8]) -> io::Result<u32> {
        if u64::from(self.next - 1) == LOCK_BYTE / self.page_bytes as u64 {
            self.next += 1;
            self.buffer.resize(self.buffer.len() + self.page_bytes, 0);
        }
        let number = self.next;
        self.next = number.checked_add(1).ok_or_else(too_big)?;
        self.buffer.extend_from_slice(page);
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(number)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.buffer_at)?;
        self.buffer_at += self.buffer.len() as u64;
        self.buffer.clear();
        if self.buffer_at - self.write_back_end >= WRITE_BACK_BYTES {
            start_write_back(&self.file, self.write_back_end, self.buffer_at - self.write_back_end);
            self.write_back_end = self.buffer_at;
        }
        Ok(())
    }

    fn replace(&mut self, number: u32, page: &[u8]) -> io::Result<()> {
        let at = u64::from(number - 1) * self.page_bytes as u64;
        self.file.write_all_at(page, at)
    }

    /// Writes the buffered pages, and then the page count.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        let pages = self.next - 1;
        self.file.write_all_at(&pages.to_be_bytes(), PAGE_COUNT_OFFSET)
    }
}

/// Starts write-back of a range. A hint: errors are ignored, because the file is synced later.
fn start_write_back(file: &File, from: u64, bytes: u64) {
    let range = i64::try_from(from).ok().zip(i64::try_from(bytes).ok());
    if let Some((from, bytes)) = range {
        // SAFETY: the descriptor is open as long as `file` lives; the call takes no pointer.
        unsafe {
            libc::sync_file_range(file.as_raw_fd(), from, bytes, libc::SYNC_FILE_RANGE_WRITE);
        }
    }
}

fn too_big() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "the database has too many pages")
}

/// A child of an inner page: page number and last rowid.
type Child = (u32, i64);

/// The children at one level that are not in an inner page yet.
#[derive(Debug, Default)]
struct Level {
    children: Vec<Child>,
    /// Whether an inner page of this level has been written.
    has_page: bool,
}

/// A table under construction.
#[derive(Debug)]
pub(crate) struct TableBuilder {
    root: u32,
    children_max: usize,
    leaf: Vec<u8>,
    cells: usize,
    /// Offset of the first cell in the leaf; cells grow downwards from the page's end.
    content: usize,
    /// The last rowid.
    last: i64,
    levels: Vec<Level>,
}

impl TableBuilder {
    /// An empty table with this root page.
    pub(crate) fn new(root: u32, page_bytes: usize) -> Self {
        Self {
            root,
            children_max: (page_bytes - INNER_HEADER_BYTES) / CHILD_BYTES_MAX,
            leaf: vec![0; page_bytes],
            cells: 0,
            content: page_bytes,
            last: 0,
            levels: Vec::new(),
        }
    }

    /// Appends a row: a record of at most [`PAYLOAD_BYTES_MAX`] bytes.
    #[inline]
    pub(crate) fn push(
        &mut self,
        file: &mut PageFile,
        rowid: i64,
        payload: &[u8],
    ) -> io::Result<()> {
        debug_assert!(payload.len() <= PAYLOAD_BYTES_MAX && rowid > self.last);
        let mut key = [0; 9];
        let key_len = varint(rowid.cast_unsigned(), &mut key);
        // A length up to 127 is one byte.
        let len = 1 + key_len + payload.len();
        let pointers_end = LEAF_HEADER_BYTES + 2 * (self.cells + 1);
        if self.content < pointers_end + len {
            self.flush_leaf(file)?;
        }
        self.content -= len;
        let cell = &mut self.leaf[self.content..self.content + len];
        cell[0] = payload.len() as u8;
        cell[1..=key_len].copy_from_slice(&key[..key_len]);
        cell[1 + key_len..].copy_from_slice(payload);
        let pointer = LEAF_HEADER_BYTES + 2 * self.cells;
        self.leaf[pointer..pointer + 2].copy_from_slice(&(self.content as u16).to_be_bytes());
        self.cells += 1;
        self.last = rowid;
        Ok(())
    }

    /// Writes the last pages and the root, which completes the table.
    pub(crate) fn finish(mut self, file: &mut PageFile) -> io::Result<()> {
        if self.levels.is_empty() {
            self.seal_leaf();
            return file.replace(self.root, &self.leaf);
        }
        self.flush_leaf(file)?;
        let mut level = 0;
        loop {
            let children = std::mem::take(&mut self.levels[level].children);
            let fits = children.len() <= self.children_max;
            if fits && !self.levels[level].has_page {
                let page = self.inner_page(&children);
                return file.replace(self.root, &page);
            }
            let first = if fits { children.len() } else { children.len() / 2 };
            for part in [&children[..first], &children[first..]] {
                if !part.is_empty() {
                    self.write_inner(file, level, part)?;
                }
            }
            level += 1;
        }
    }

    fn seal_leaf(&mut self) {
        self.leaf[0] = LEAF;
        self.leaf[1..3].fill(0);
        self.leaf[3..5].copy_from_slice(&(self.cells as u16).to_be_bytes());
        self.leaf[5..7].copy_from_slice(&(self.content as u16).to_be_bytes());
        self.leaf[7] = 0;
        // Clears remains of the previous leaf between pointers and cells.
        let pointers_end = LEAF_HEADER_BYTES + 2 * self.cells;
        self.leaf[pointers_end..self.content].fill(0);
    }

    fn flush_leaf(&mut self, file: &mut PageFile) -> io::Result<()> {
        self.seal_leaf();
        let number = file.append(&self.leaf)?;
        self.cells = 0;
        self.content = self.leaf.len();
        self.add_child(file, 0, (number, self.last))
    }

    fn add_child(&mut self, file: &mut PageFile, level: usize, child: Child) -> io::Result<()> {
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        let children = &mut self.levels[level].children;
        children.push(child);
        // Up to twice as many are kept back, so that the last page never has only one child.
        if children.len() == 2 * self.children_max {
            let full: Vec<_> = children.drain(..self.children_max).collect();
            self.write_inner(file, level, &full)?;
        }
        Ok(())
    }

    fn write_inner(
        &mut self,
        file: &mut PageFile,
        level: usize,
        children: &[Child],
    ) -> io::Result<()> {
        self.levels[level].has_page = true;
        let number = file.append(&self.inner_page(children))?;
        let last = children.last().map_or(0, |child| child.1);
        self.add_child(file, level + 1, (number, last))
    }

    /// An inner page: each child has a cell, except the last one, which is in the header.
    fn inner_page(&self, children: &[Child]) -> Vec<u8> {
        let mut page = vec![0; self.leaf.len()];
        let (mut content, mut pointer) = (page.len(), INNER_HEADER_BYTES);
        let (right, others) = children.split_last().unwrap_or((&(0, 0), &[]));
        for (number, last) in others {
            let mut key = [0; 9];
            let key_len = varint(last.cast_unsigned(), &mut key);
            content -= 4 + key_len;
            page[content..content + 4].copy_from_slice(&number.to_be_bytes());
            page[content + 4..content + 4 + key_len].copy_from_slice(&key[..key_len]);
            page[pointer..pointer + 2].copy_from_slice(&(content as u16).to_be_bytes());
            pointer += 2;
        }
        page[0] = INNER;
        page[3..5].copy_from_slice(&(others.len() as u16).to_be_bytes());
        page[5..7].copy_from_slice(&(content as u16).to_be_bytes());
        page[8..12].copy_from_slice(&right.0.to_be_bytes());
        page
    }
}

/// Writes SQLite's variable-length integer, big-endian; returns its length. Rowids are below 2⁵⁶, so
/// the special case of the ninth byte does not occur.
#[inline]
fn varint(value: u64, out: &mut [u8; 9]) -> usize {
    debug_assert!(value < 1 << 56);
    let len = (64 - (value | 1).leading_zeros() as usize).div_ceil(7);
    for (index, byte) in out[..len].iter_mut().enumerate() {
        let rest = len - 1 - index;
        let more = if rest > 0 { 0x80 } else { 0 };
        *byte = ((value >> (7 * rest)) & 0x7f) as u8 | more;
    }
    len
}

/// A row in SQLite's record format, of integers and NULLs.
#[derive(Debug)]
pub(crate) struct Record<const COLUMNS: usize> {
    bytes: [u8; PAYLOAD_BYTES_MAX],
    columns: usize,
    len: usize,
}

impl<const COLUMNS: usize> Default for Record<COLUMNS> {
    fn default() -> Self {
        const { assert!(1 + COLUMNS + 8 * COLUMNS <= PAYLOAD_BYTES_MAX) };
        let mut bytes = [0; PAYLOAD_BYTES_MAX];
        bytes[0] = 1 + COLUMNS as u8;
        Self { bytes, columns: 0, len: 1 + COLUMNS }
    }
}

impl<const COLUMNS: usize> Record<COLUMNS> {
    /// Appends the value of the next column.
    #[inline]
    pub(crate) fn add(&mut self, value: Option<i64>) {
        let (kind, len) = match value {
            None => (0, 0),
            Some(0) => (8, 0),
            Some(1) => (9, 0),
            Some(value) => {
                // Bits of the value in two's complement.
                let bits = 65 - (value ^ (value >> 63)).leading_zeros();
                match bits {
                    0..=8 => (1, 1),
                    9..=16 => (2, 2),
                    17..=24 => (3, 3),
                    25..=32 => (4, 4),
                    33..=48 => (5, 6),
                    _ => (6, 8),
                }
            }
        };
        self.columns += 1;
        self.bytes[self.columns] = kind;
        let word = value.unwrap_or(0).to_be_bytes();
        self.bytes[self.len..self.len + len].copy_from_slice(&word[8 - len..]);
        self.len += len;
    }

    /// The complete record.
    pub(crate) fn bytes(&self) -> &[u8] {
        debug_assert_eq!(self.columns, COLUMNS);
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use crate::loader::write::sqlite_pages::{PageFile, Record, TableBuilder};

    fn check(page_bytes: usize, rows: i64) {
        let path = std::env::temp_dir()
            .join(format!("rheaper-pages-{}-{page_bytes}-{rows}", std::process::id()));
        let value = |row: i64, column: u32| -> Option<i64> {
            let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()) ^ row;
            (mixed % 7 != 0).then(|| mixed.rotate_left(column * 9) >> (mixed & 63))
        };
        let connection = Connection::open(&path).unwrap();
        let schema = format!(
            "PRAGMA page_size = {page_bytes};
             CREATE TABLE a (x INTEGER, y INTEGER, z INTEGER);
             CREATE TABLE b (x INTEGER, y INTEGER, z INTEGER); CREATE TABLE twin (x, y, z);"
        );
        connection.execute_batch(&schema).unwrap();
        let root = |table: &str| -> u32 {
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
            connection.query_row(sql, [table], |row| row.get(0)).unwrap()
        };
        let mut builders = ["a", "b"].map(|table| TableBuilder::new(root(table), page_bytes));
        connection.close().unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut pages = PageFile::open(file, page_bytes).unwrap();
        for row in 1..=rows {
            for builder in &mut builders {
                let mut record = Record::<3>::default();
                (0..3).for_each(|column| record.add(value(row, column)));
                builder.push(&mut pages, row, record.bytes()).unwrap();
            }
        }
        for builder in builders {
            builder.finish(&mut pages).unwrap();
        }
        pages.finish().unwrap();

        let mut connection = Connection::open(&path).unwrap();
        let transaction = connection.transaction().unwrap();
        let mut insert = transaction.prepare("INSERT INTO twin VALUES (?, ?, ?)").unwrap();
        for row in 1..=rows {
            insert.execute([value(row, 0), value(row, 1), value(row, 2)]).unwrap();
        }
        drop(insert);
        transaction.commit().unwrap();
        let one =
            |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(one("PRAGMA integrity_check"), "ok", "{page_bytes} {rows}");
        for table in ["a", "b"] {
            let same = "SELECT count(*) || '' FROM twin JOIN @ ON @.rowid = twin.rowid
                        AND @.x IS twin.x AND @.y IS twin.y AND @.z IS twin.z";
            assert_eq!(one(&same.replace('@', table)), rows.to_string());
            let count = format!("SELECT count(*) || '' FROM {table}");
            assert_eq!(one(&count), rows.to_string());
        }
        // SQLite can append to the table.
        connection.execute("INSERT INTO a VALUES (1, 2, 3)", []).unwrap();
        assert_eq!(one("PRAGMA integrity_check"), "ok");
        drop(connection);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_page_of_the_lock_byte_is_not_used() {
        const PAGE_BYTES: usize = 8192;
        let path = std::env::temp_dir().join(format!("rheaper-lock-byte-{}", std::process::id()));
        let connection = Connection::open(&path).unwrap();
        let schema = "PRAGMA page_size = 8192; CREATE TABLE a (x INTEGER)";
        connection.execute_batch(schema).unwrap();
        connection.close().unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        // A hole in place of other pages takes no space on the disk.
        file.set_len((1 << 30) - 20 * PAGE_BYTES as u64).unwrap();
        let mut pages = PageFile::open(file, PAGE_BYTES).unwrap();
        let mut builder = TableBuilder::new(2, PAGE_BYTES);
        let rows = 100_000;
        for row in 1..=rows {
            let mut record = Record::<1>::default();
            record.add(Some(row));
            builder.push(&mut pages, row, record.bytes()).unwrap();
        }
        builder.finish(&mut pages).unwrap();
        pages.finish().unwrap();
        let connection = Connection::open(&path).unwrap();
        let sum: i64 = connection.query_row("SELECT sum(x) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, rows * (rows + 1) / 2);
        drop(connection);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn tables_equal_those_that_sqlite_writes() {
        for rows in (0..60).chain([500, 1_000, 1_100, 5_000, 40_000]) {
            check(512, rows);
        }
        for rows in [0, 1, 300, 600, 250_000] {
            check(8192, rows);
        }
    }
}
