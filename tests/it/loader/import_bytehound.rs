//! bytehound's recordings, written here by the format's description: what comes of them, and of
//! damaged ones.
//!
//! The writer shares nothing with the reader; its chunks hold LZ4 literals only, which any reader
//! has to unpack.

use std::fs;
use std::path::{Path, PathBuf};

use rheaper::loader::{Ending, LoadErrorKind, LoadOptions, Summary, dry_run_import, import};
use rusqlite::Connection;

use crate::synthetic::random::Random;

const START_US: u64 = 5_000_000;

/// Bytes of events.
#[derive(Clone, Default)]
struct Events(Vec<u8>);

impl Events {
    fn kind(&mut self, kind: u32) -> &mut Self {
        self.u32(kind)
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn text(&mut self, text: &[u8]) -> &mut Self {
        self.u32(text.len() as u32);
        self.0.extend(text);
        self
    }

    /// The number's low bytes behind one that says by its leading ones how many there are.
    fn varint(&mut self, value: u64) -> &mut Self {
        let count = (0..8).find(|count| value < 1 << (7 * (count + 1))).unwrap_or(8);
        let ones = !(0xff_u64 >> count) & 0xff;
        let high = if count == 8 { 0 } else { value >> (8 * count) };
        self.0.push((ones | high) as u8);
        self.0.extend(&value.to_le_bytes()[..count]);
        self
    }

    fn header(&mut self) -> &mut Self {
        self.kind(0).u64(1).u64(2).u64(START_US).u64(START_US + 500);
        self.u64(1_700_000_000).u64(500_000).u32(4711);
        self.text(b"/bin/server\0--port\x0080\0").text(b"/bin/server").text(b"x86_64");
        self.u64(1);
        self.0.push(8);
        self
    }

    fn maps(&mut self, maps: &str) -> &mut Self {
        self.kind(4).u64(START_US).text(b"/proc/self/maps").text(maps.as_bytes())
    }

    fn backtrace(&mut self, id: u64, addresses: &[u64]) -> &mut Self {
        self.kind(5).u64(id).u32(addresses.len() as u32);
        addresses.iter().fold(self, |events, address| events.u64(*address))
    }

    fn partial(&mut self, id: u64, thread: u32, skipped: u32, addresses: &[u64]) -> &mut Self {
        self.kind(13).u64(id).u32(thread).u32(skipped).u32(addresses.len() as u32);
        addresses.iter().fold(self, |events, address| events.u64(*address))
    }

    fn block(&mut self, address: u64, size: u64, backtrace: u64, thread: u32) -> &mut Self {
        self.u64(address).u64(size).u64(backtrace).u32(thread).u32(1).u32(8).u64(0)
    }

    fn alloc(&mut self, us: u64, address: u64, size: u64, bt: u64, thread: u32) -> &mut Self {
        self.kind(20).u64(u64::from(thread)).u64(address).u64(START_US + us);
        self.block(address, size, bt, thread)
    }

    fn realloc(&mut self, us: u64, old: u64, new: u64, size: u64, thread: u32) -> &mut Self {
        self.kind(21).u64(u64::from(thread)).u64(old).u64(START_US + us).u64(old);
        self.block(new, size, 1, thread)
    }

    fn free(&mut self, us: u64, address: u64, thread: u32) -> &mut Self {
        self.kind(22).u64(1).u64(1).u64(START_US + us).u64(address).u64(0).u32(thread)
    }

    /// Packed: each chunk an LZ4 block of literals.
    fn packed(&self, chunk_bytes: usize) -> Vec<u8> {
        let mut file = Vec::new();
        for chunk in self.0.chunks(chunk_bytes) {
            let mut block = Vec::new();
            match chunk.len() {
                short @ ..15 => block.push((short << 4) as u8),
                long => {
                    block.push(0xf0);
                    let mut rest = long - 15;
                    while rest >= 255 {
                        block.push(255);
                        rest -= 255;
                    }
                    block.push(rest as u8);
                }
            }
            block.extend(chunk);
            file.push(1);
            file.extend((block.len() as u32).to_le_bytes());
            file.extend(block);
        }
        file
    }
}

const MAPS: &str = "\
1000-2000 r--p 00000000 08:01 11 /bin/server
2000-3000 r-xp 00001000 08:01 11 /bin/server
7000-8000 r-xp 00000000 08:01 12 /usr/lib/libbytehound.so
9000-a000 r-xp 00000000 00:00 0 [vdso]
";

/// Two threads, a block that changes hands, a realloc, and events that stand out of order.
fn sample() -> Events {
    let mut events = Events::default();
    events.header().maps(MAPS);
    events.backtrace(1, &[0x7010, 0x2100, 0x2200]);
    events.partial(2, 30, u32::MAX, &[0x2300, 0x2400, 0x2500]);
    // The innermost frame is another one, the other two are the same.
    events.partial(3, 30, 1, &[0x2310]);
    events.alloc(10, 0xa0, 100, 1, 20);
    events.alloc(20, 0xb0, 200, 2, 30);
    events.alloc(30, 0xc0, 50, 3, 30);
    // Thread 30's free at 60 stands before thread 20's realloc at 40.
    events.free(60, 0xd0, 30);
    events.realloc(40, 0xa0, 0xd0, 400, 20);
    events.free(70, 0xb0, 20);
    // What is of no use is passed over.
    events.kind(7).u32(9);
    events.kind(11).text(b"TOKEN=secret");
    events.kind(12).u64(START_US).u64(1).u64(2);
    events.kind(6).u64(1).u64(2).text(b"memory");
    events.kind(26).u64(1).varint(1).u64(2);
    for value in [0, 127, 128, 16_383, 16_384, 1 << 40, u64::MAX] {
        events.varint(value);
    }
    events.kind(27).varint(1).u64(2).varint(3).varint(300).u32(1).u32(2).u32(3).varint(70_000);
    events.u64(5).varint(6).u32(7);
    events.kind(24).u64(1).varint(2).u64(0xb000).varint(0x1000).varint(0x3000).varint(13);
    events.u32(1).u32(2).u32(4).varint(9).0.extend(b"/lib/late");
    events.backtrace(4, &[0xb123]);
    events.kind(25).u64(1).varint(2).u64(0xb000).varint(0x1000).varint(1);
    events.u64(1).varint(2).u64(3).varint(4).u32(5);
    events.backtrace(5, &[0xb123]);
    events.alloc(80, 0x100, 8, 4, 20).alloc(90, 0x110, 8, 5, 20);
    events
}

fn prepare(bytes: &[u8]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (recording, output) = (directory.path().join("a.dat"), directory.path().join("db"));
    fs::write(&recording, bytes).unwrap();
    (directory, recording, output)
}

fn imported(bytes: &[u8]) -> (tempfile::TempDir, Connection, Summary) {
    let (directory, recording, output) = prepare(bytes);
    let summary = import(&recording, &output, &LoadOptions::default(), &mut ()).unwrap();
    (directory, Connection::open(output).unwrap(), summary)
}

fn one<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn events_become_rows() {
    for chunk_bytes in [7, 100, 500_000] {
        let (_directory, database, summary) = imported(&sample().packed(chunk_bytes));
        assert_eq!((summary.ending, summary.events), (Ending::Sealed, 8));
        assert!(summary.losses.is_empty(), "{:?}", summary.losses);
        let rows: String = one(
            &database,
            "SELECT group_concat(line, ', ') FROM (SELECT (alloc_after / 1000) || '-'
                || ifnull((dealloc_after / 1000), '') || ' ' || size || ' ' || printf('%x', addr) || ' '
                || alloc_thread || ifnull('/' || dealloc_thread, '') AS line
             FROM allocations ORDER BY alloc_after)",
        );
        let expected = "10-40 100 a0 0/0, 20-70 200 b0 1/0, 30- 50 c0 1, 40-60 400 d0 0/1, \
                        80- 8 100 0, 90- 8 110 0";
        assert_eq!(rows, expected);
        let links: String = one(&database, "SELECT group_concat(moved) FROM reallocs");
        assert_eq!(links, "1");
        let frames: String = one(
            &database,
            "SELECT group_concat(bt || ' ' || sym, ', ') FROM (
                SELECT bt, sym FROM backtrace_frames JOIN frames ON frames.id = frame
                ORDER BY bt, frame_no)",
        );
        // Offsets are those of the call before the return address: 0x2100 - 1 - 0x1000.
        let expected = "1 server+0x10ff, 1 server+0x11ff, 2 server+0x12ff, 2 server+0x13ff, \
                        2 server+0x14ff, 3 server+0x130f, 3 server+0x13ff, 3 server+0x14ff, \
                        4 late+0x3122, 5 0xb122";
        assert_eq!(frames, expected);
        let facts: String = one(
            &database,
            "SELECT group_concat(key || '=' || value, ' ') FROM (SELECT key, value FROM meta
             WHERE key IN ('imported_from', 'pid', 'started_unix_ns', 'command') ORDER BY key)",
        );
        assert_eq!(
            facts,
            "command=/bin/server --port 80 imported_from=bytehound pid=4711 \
             started_unix_ns=1700000000000000000"
        );
        let threads: String =
            one(&database, "SELECT group_concat(id || ':' || os_id) FROM threads");
        assert_eq!(threads, "0:20,1:30");
        let main: String = one(&database, "SELECT path FROM modules WHERE main");
        assert_eq!(main, "/bin/server");
    }
}

/// An executable that is in the recording gives its build id and where its code is loaded; names
/// then come from the file, here the test's own.
#[test]
fn names_come_from_the_executables_that_were_taken_along() {
    let path = std::env::current_exe().unwrap();
    let path = path.to_str().unwrap();
    let contents = fs::read(path).unwrap();
    let (offset, address, bytes, build_id) = text_segment(&contents);
    let start = 0x5555_0000_0000_u64 + (address & !0xfff);
    let end = start + (bytes + 0x1fff) / 0x1000 * 0x1000;
    let here = events_become_rows as *const () as u64;
    let mapped = fs::read_to_string("/proc/self/maps").unwrap();
    let base = mapped.lines().find(|line| line.ends_with(path)).unwrap();
    let base = u64::from_str_radix(base.split('-').next().unwrap(), 16).unwrap();
    let frame = 0x5555_0000_0000 + (here - base) + 5;
    let mut events = Events::default();
    events.kind(0).u64(1).u64(2).u64(0).u64(0).u64(0).u64(0).u32(1);
    events.text(b"test").text(path.as_bytes()).text(b"x86_64").u64(1).0.push(8);
    let line = format!("{start:x}-{end:x} r-xp {:x} 08:01 1 {path}\n", offset & !0xfff);
    events.maps(&line);
    events.kind(23).u64(0).text(path.as_bytes()).u64(contents.len() as u64).0.extend(&contents);
    events.backtrace(1, &[frame]).alloc(1, 0x10, 8, 1, 1);
    let (_directory, database, _) = imported(&events.packed(400_000));
    let sym: String = one(&database, "SELECT sym FROM frames");
    assert_eq!(sym, "it::loader::import_bytehound::events_become_rows");
    let found: Option<String> = one(&database, "SELECT build_id FROM modules");
    assert_eq!(found, build_id);
}

/// Offset, address and length of the segment with code, and the build id.
fn text_segment(file: &[u8]) -> (u64, u64, u64, Option<String>) {
    use object::Object;
    use object::elf::{FileHeader64, PF_X, PT_LOAD};
    use object::read::elf::{FileHeader, ProgramHeader};
    let id = object::File::parse(file).unwrap().build_id().unwrap();
    let id = id.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect());
    let header = FileHeader64::<object::Endianness>::parse(file).unwrap();
    let endian = header.endian().unwrap();
    let segments = header.program_headers(endian, file).unwrap();
    let is_code = |segment: &&object::elf::ProgramHeader64<object::Endianness>| {
        segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).0 & PF_X.0 != 0
    };
    let code = segments.iter().find(is_code).unwrap();
    (code.p_offset(endian), code.p_vaddr(endian), code.p_filesz(endian), id)
}

fn survives(recording: &Path, bytes: &[u8]) {
    fs::write(recording, bytes).unwrap();
    if let Err(error) = dry_run_import(recording, &mut ()) {
        assert_eq!(error.kind(), LoadErrorKind::Recording, "{error}");
        let sentence = error.to_string();
        assert!(!sentence.contains('\n') && sentence.len() < 600, "{sentence}");
    }
}

#[test]
fn any_bytes_give_a_value_or_a_sentence() {
    let (_directory, recording, _) = prepare(b"");
    let mut random = Random(11);
    for _ in 0..120 {
        // Events that were changed and packed well, and well ones whose packed bytes were changed.
        let mut events = sample();
        let at = random.below(events.0.len() as u64) as usize;
        events.0[at] = random.below(256) as u8;
        survives(&recording, &events.packed(300));
        let mut bytes = sample().packed(300);
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(3) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes.truncate(at.max(1)),
            _ => drop(bytes.drain(at..(at + 3).min(bytes.len()))),
        }
        survives(&recording, &bytes);
    }
}

#[test]
fn a_recording_that_was_cut_off_gives_what_stands_before() {
    let (_directory, recording, _) = prepare(b"");
    let whole = sample().packed(50);
    let mut last = 0;
    for length in (whole.len() / 2..whole.len()).step_by(13) {
        fs::write(&recording, &whole[..length]).unwrap();
        let summary = dry_run_import(&recording, &mut ()).unwrap();
        assert!(summary.events >= last, "{length}");
        last = summary.events;
    }
    assert!(last > 5);
    // Inside of an event that is packed well.
    let mut events = sample();
    events.0.truncate(events.0.len() - 3);
    fs::write(&recording, events.packed(50)).unwrap();
    assert_eq!(dry_run_import(&recording, &mut ()).unwrap().ending, Ending::CutOff);
}

#[test]
fn what_can_not_be_read_is_said() {
    let (_directory, recording, _) = prepare(b"");
    let mut unknown = sample();
    unknown.kind(99);
    let mut decoded = sample();
    decoded.kind(14).u32(1).text(b"name");
    for (events, part) in [(unknown, "unknown kind 99"), (decoded, "import the original")] {
        fs::write(&recording, events.packed(1000)).unwrap();
        let error = dry_run_import(&recording, &mut ()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
