//! Every way in which bytes that nobody vouches for come in, as one function each: what must hold
//! whatever the bytes are. The mutation tests and the fuzz targets both go through these doors.
//!
//! Reads: bytes. Writes: files below its own directory.
#![allow(missing_docs, reason = "names say it")]
#![allow(unreachable_pub, reason = "two crates take this in, and neither hands it on")]
#![allow(dead_code, reason = "each of the two uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use rheaper::database::builtin::Origin;
use rheaper::database::sql::lexer;
use rheaper::database::text::{sanitize, units};
use rheaper::database::{BuiltinQuery, Database, Limits, Params};
use rheaper::loader::{LoadErrorKind, LoadOptions, dry_run, info, load};
use rheaper::recording::{
    Address, BLOCK_HEADER_BYTES, Block, BlockHeader, BlockKind, ByteReader, ClockPair, Counters,
    Decoder, EventsHead, HEADER_BYTES, Header, ModuleDef, ModuleId, ModuleStatus, NodeDefs, NodeId,
    Seal, ThreadDef, Ticks,
};
use rheaper::tui::app::message::Message;
use rheaper::tui::input::key_lookup::BINDINGS;
use rheaper::tui::terminal::theme::Theme;

use crate::synthetic::generate::{Plan, generate};
use crate::synthetic::random::{Random, Shape, history};
use crate::synthetic::writer::{Writer, plain_header};
use crate::tui::driver::Driver;

/// Where bytes come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Payloads of every kind of block.
    Blocks,
    /// A whole recording, its checksums as they are or put right.
    Recording,
    /// An executable that a recording names.
    Symbols,
    /// A database that is opened and asked.
    Database,
    /// A statement of the user's, and what looks at its text.
    Sql,
    /// A query file.
    Header,
    /// A name that is printed.
    Cleaner,
    /// What is pressed, clicked and pasted in the explorer.
    Keys,
}

impl Door {
    pub const ALL: [Self; 8] = [
        Self::Blocks,
        Self::Recording,
        Self::Symbols,
        Self::Database,
        Self::Sql,
        Self::Header,
        Self::Cleaner,
        Self::Keys,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Recording => "recording",
            Self::Symbols => "symbols",
            Self::Database => "database",
            Self::Sql => "sql",
            Self::Header => "header",
            Self::Cleaner => "cleaner",
            Self::Keys => "keys",
        }
    }

    pub fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|door| door.name() == name).expect("a door's name")
    }
}

/// What stands behind the doors.
pub struct House {
    directory: tempfile::TempDir,
    /// A good database, its bytes, and a connection to it.
    path: PathBuf,
    bytes: Vec<u8>,
    database: Database,
}

impl House {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("good.db");
        let plan = Plan { events: 400, live: 20, stacks: 8, depth: 5, ..Plan::default() };
        let recording = directory.path().join("good");
        fs::write(&recording, generate(Vec::new(), &plan)).unwrap();
        load(&recording, &path, &LoadOptions::default(), &mut ()).unwrap();
        let (bytes, database) = (fs::read(&path).unwrap(), Database::open(&path).unwrap());
        Self { directory, path, bytes, database }
    }

    /// Brings bytes in. Panics if what must hold does not.
    pub fn enter(&self, door: Door, bytes: &[u8]) {
        match door {
            Door::Blocks => blocks(bytes),
            Door::Recording => self.recording(bytes),
            Door::Symbols => self.symbols(bytes),
            Door::Database => self.open(bytes),
            Door::Sql => self.sql(&String::from_utf8_lossy(bytes)),
            Door::Header => self.header(&String::from_utf8_lossy(bytes)),
            Door::Cleaner => cleaner(&String::from_utf8_lossy(bytes)),
            Door::Keys => self.keys(bytes),
        }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        // A file that is cut to nothing and written anew goes to the disk at once, a new one not.
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Refused as a recording, or loaded into a database that opens and holds what it says.
    fn recording(&self, bytes: &[u8]) {
        let (first, bytes) = bytes.split_first().unwrap_or((&0, &[]));
        let repaired = if first % 2 == 1 { repaired(bytes) } else { bytes.to_vec() };
        let recording = self.file("recording", &repaired);
        self.load(&recording);
    }

    fn load(&self, recording: &Path) {
        let output = self.directory.path().join("loaded.db");
        let _ = fs::remove_file(&output);
        let told = info(recording);
        match dry_run(recording, &mut ()) {
            Err(error) => {
                assert!(told.is_err());
                assert_eq!(error.kind(), LoadErrorKind::Recording, "{error}");
                assert!(load(recording, &output, &LoadOptions::default(), &mut ()).is_err());
                assert!(!output.exists());
            }
            Ok(rehearsed) => {
                told.unwrap();
                let summary = load(recording, &output, &LoadOptions::default(), &mut ()).unwrap();
                assert_eq!(summary.events, rehearsed.events);
                let database = Database::open(&output).unwrap();
                let rows = "SELECT count(*) FROM allocations";
                database.query(rows, &Params::none(), &Limits::default()).unwrap();
                let negative = "SELECT * FROM losses WHERE count < 0";
                let negative = database.query(negative, &Params::none(), &Limits::default());
                assert!(negative.unwrap().rows.is_empty());
            }
        }
    }

    fn symbols(&self, bytes: &[u8]) {
        let binary = self.file("binary", bytes);
        let recording = self.file("recording", &naming(&binary));
        let output = self.directory.path().join("loaded.db");
        let _ = fs::remove_file(&output);
        load(&recording, &output, &LoadOptions::default(), &mut ()).unwrap();
        let database = Database::open(&output).unwrap();
        let all = "SELECT sym, file FROM backtraces";
        let table = database.query(all, &Params::none(), &Limits::default()).unwrap();
        for value in table.rows.iter().flatten() {
            let text = units::raw(value);
            assert_eq!(sanitize::line(&text), text, "the loader keeps no unsafe character");
        }
    }

    /// Opened with a message or with answers; every question ends.
    fn open(&self, bytes: &[u8]) {
        let path = self.file("damaged.db", bytes);
        let database = match Database::open(&path) {
            Ok(database) => database,
            Err(error) => {
                let message = error.to_string();
                assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
                return;
            }
        };
        let limits = Limits { time_max: Some(Duration::from_secs(2)), ..Limits::rows(1_000) };
        for sql in [
            "SELECT * FROM allocations",
            "SELECT * FROM backtraces",
            "SELECT * FROM sites ORDER BY live_bytes DESC",
            "SELECT * FROM meta",
        ] {
            if let Err(error) = database.query(sql, &Params::none(), &limits) {
                assert!(!error.message.is_empty());
            }
        }
    }

    /// Whatever is asked, it ends, and nothing is written.
    fn sql(&self, sql: &str) {
        let limits = Limits { time_max: Some(Duration::from_millis(50)), ..Limits::rows(100) };
        for statement in lexer::statements(sql).iter().take(4) {
            let text = &sql[statement.range.clone()];
            if let Err(error) = self.database.query(text, &Params::none(), &limits) {
                assert!(!error.message.is_empty());
            }
        }
        let _ = self.database.query(sql, &Params::none(), &limits);
        let _ = self.database.columns(sql);
        let _ = lexer::is_complete(sql);
        let _ = lexer::parameters(sql);
        for token in lexer::tokens(sql) {
            let _ = token.text(sql);
        }
        let middle = sql.len() / 2;
        let _ = lexer::statement_at(sql, middle);
        self.is_untouched();
    }

    /// No statement has written: the database is as it was, and no file has appeared.
    fn is_untouched(&self) {
        let known = ["good.db", "good", "recording", "binary", "loaded.db", "damaged.db"];
        for entry in fs::read_dir(self.directory.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(known.contains(&&*name), "{name} has appeared");
        }
        assert!(fs::read(&self.path).unwrap() == self.bytes, "the database was changed");
    }

    fn header(&self, text: &str) {
        let Ok(query) = BuiltinQuery::parse("fuzzed", text, Origin::BuiltIn) else {
            return;
        };
        let given: Vec<(&str, &str)> = query
            .parameters
            .iter()
            .zip(["1", "10 MiB", "5s", "x'; DROP TABLE allocations", ""])
            .map(|(parameter, value)| (&*parameter.name, value))
            .collect();
        let _ = query.bind(&given);
        if let Ok(params) = query.bind(&[]) {
            let limits = Limits { time_max: Some(Duration::from_millis(50)), ..Limits::rows(100) };
            let _ = query.run(&self.database, &params, &limits);
        }
        self.is_untouched();
    }

    fn keys(&self, bytes: &[u8]) {
        let mut driver = Driver::new(&self.path, (80, 24));
        for (at, pair) in bytes.chunks(2).take(400).enumerate() {
            let (what, which) = (pair[0], *pair.get(1).unwrap_or(&0));
            driver.send(pressed(what, which));
            if which % 3 > 0 {
                driver.answer_one();
            }
            if at % 16 == 0 {
                driver.draw(Theme::default());
            }
            driver.other_effects.clear();
            if driver.pending.len() > 50 {
                driver.answer_all();
            }
        }
        driver.answer_all();
        driver.draw(Theme::default());
        self.is_untouched();
    }
}

fn pressed(what: u8, which: u8) -> Message {
    match what % 16 {
        0 => Message::Resize(u16::from(which), u16::from(which / 2)),
        1 => Message::Mouse(MouseEvent {
            kind: match which % 3 {
                0 => MouseEventKind::Down(MouseButton::Left),
                1 => MouseEventKind::ScrollUp,
                _ => MouseEventKind::ScrollDown,
            },
            column: u16::from(which),
            row: u16::from(what / 4),
            modifiers: KeyModifiers::NONE,
        }),
        2 => Message::Paste(
            "SELECT bt, size\nFROM allocations;\u{1b}[2J".repeat(1 + which as usize % 3),
        ),
        3..=9 => {
            let binding = &BINDINGS[usize::from(which) % BINDINGS.len()];
            let key = binding.keys[usize::from(what / 16) % binding.keys.len()];
            Message::Key(KeyEvent::new(key.code, key.modifiers))
        }
        _ => Message::Key(KeyEvent::new(KeyCode::Char(char::from(which)), KeyModifiers::NONE)),
    }
}

/// Every payload reader on the same bytes, and the walk over blocks.
fn blocks(bytes: &[u8]) {
    let _ = Header::parse(bytes);
    let mut rest = bytes;
    while !rest.is_empty() {
        let step = match Block::parse(rest) {
            Ok(Some((_, len))) => len,
            Ok(None) | Err(_) => Block::resync(rest),
        };
        assert!(0 < step && step <= rest.len());
        rest = &rest[step..];
    }
    if let Ok(nodes) = NodeDefs::new(bytes) {
        // However many are promised: each one takes bytes.
        assert!(nodes.take_while(Result::is_ok).count() <= bytes.len());
    }
    let mut input = ByteReader::new(bytes, "modules");
    while let Ok(Some(_)) = ModuleDef::read(&mut input) {}
    let mut input = ByteReader::new(bytes, "threads");
    while let Ok(Some(_)) = ThreadDef::read(&mut input) {}
    let _ = (Counters::read(bytes), ClockPair::read(bytes), Seal::read(bytes));
    let events = EventsHead::read(bytes).map_or(bytes, |(_, events)| events);
    let (mut decoder, mut left) = (Decoder::default(), events);
    loop {
        let before = left.len();
        match decoder.next(&mut left) {
            Ok(Some(_)) => assert!(left.len() < before, "an event without bytes"),
            Ok(None) | Err(_) => break,
        }
    }
}

/// What is printed moves no cursor, whatever a name holds; what is typed is a number or not.
fn cleaner(text: &str) {
    let line = sanitize::line(text);
    assert!(!line.chars().any(sanitize::is_unsafe) && !line.contains('\n'));
    assert!(
        !sanitize::block(text).chars().any(|c| sanitize::is_unsafe(c) && c != '\n' && c != '\t')
    );
    let json = serde_json::to_string(text).unwrap();
    let cleaned = sanitize::json(&json);
    assert_eq!(serde_json::from_str::<String>(&cleaned).unwrap(), text);
    assert!(!cleaned.chars().any(sanitize::is_unsafe));
    let _ = (units::parse_bytes(text), units::parse_duration(text), units::parse_count(text));
}

/// Puts the checksums of the header and of each block right, so that what is behind them is read.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() < HEADER_BYTES {
        return bytes;
    }
    let sum = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let step = match BlockHeader::parse(&bytes[at..]) {
            Ok(header) => {
                let kind = bytes[at + 4];
                let body = at + BLOCK_HEADER_BYTES;
                let end = (body + header.payload_bytes as usize).min(bytes.len());
                let mut prefix = [kind, 0, 0, 0, 0, 0, 0, 0];
                prefix[4..].copy_from_slice(&((end - body) as u32).to_le_bytes());
                let mut hasher = crc32fast::Hasher::new();
                hasher.update(&prefix);
                hasher.update(&bytes[body..end]);
                bytes[at + 4..at + 12].copy_from_slice(&prefix);
                bytes[at + 12..at + 16].copy_from_slice(&hasher.finalize().to_le_bytes());
                end - at
            }
            Err(_) => Block::resync(&bytes[at..]),
        };
        at += step;
    }
    bytes
}

/// A recording whose addresses are in this file.
fn naming(binary: &Path) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &plain_header());
    let bias = 0x5555_0000_0000;
    writer.module(&ModuleDef {
        status: ModuleStatus::Loaded,
        id: ModuleId(1),
        at: Ticks(0),
        bias,
        start: Address(bias),
        end: Address(bias + (1 << 30)),
        main: true,
        build_id: b"",
        path: binary.as_os_str().as_encoded_bytes(),
    });
    for index in 0..64 {
        let node = writer.node(NodeId::ROOT, bias + 0x1000 + index * 8 + 1);
        writer.alloc((0, 0), 100 + index, 0x7000 + index * 16, 8, node);
    }
    writer.finish()
}

/// Good inputs to begin with, for a door.
pub fn seeds(door: Door, house: &House) -> Vec<Vec<u8>> {
    let text = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    match door {
        Door::Blocks => small_recordings().iter().flat_map(|bytes| payloads(bytes)).collect(),
        Door::Recording => {
            let recordings = small_recordings();
            recordings.into_iter().map(|bytes| [vec![1], bytes].concat()).collect()
        }
        Door::Symbols => vec![object_file(house.directory.path())],
        Door::Database => vec![house.bytes.clone()],
        Door::Sql => text(&[
            "SELECT * FROM allocations WHERE size > 64 ORDER BY alloc_after LIMIT 5;",
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
            "ATTACH 'x' AS y; PRAGMA writable_schema = 1; VACUUM INTO 'z'",
            "EXPLAIN QUERY PLAN SELECT hex(zeroblob(9)), printf('%d', :n) FROM sites JOIN frames",
            "CREATE TEMP TABLE t AS SELECT 1; INSERT INTO meta VALUES ('a', 'b'); DROP TABLE t",
            "SELECT load_extension('x'), readfile('/etc/passwd'), 'it''s', \"a\", [b], `c` -- end",
        ]),
        Door::Header => rheaper::database::Catalog::built_in()
            .iter()
            .map(|query| query.sql.clone().into_bytes())
            .collect(),
        Door::Cleaner => text(&[
            "core::ptr::drop_in_place<alloc::vec::Vec<u8>>",
            "\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{202e}evil\u{200b}\r\n\u{7f}",
            "1.5 GiB",
            "12 ms",
            "{\"a\": \"\\u001b\"}",
        ]),
        Door::Keys => {
            let mut random = Random(7);
            (0..4).map(|_| (0..200).map(|_| random.next() as u8).collect()).collect()
        }
    }
}

fn small_recordings() -> Vec<Vec<u8>> {
    let shape = Shape {
        events: 60,
        streams: 3,
        addresses: 20,
        nodes: 5,
        gap: 50,
        realloc_one_in: 8,
        lost_one_in: 0,
    };
    let mut writer = Writer::new(Vec::new(), &plain_header());
    for index in 0..u64::from(shape.nodes) {
        writer.node(NodeId::ROOT, 0x10_0000 + index);
    }
    for (index, (stream, thread, event)) in history(&mut Random(1), &shape).iter().enumerate() {
        writer.event(*stream, *thread, event);
        if index % 10 == 9 {
            writer.flush();
        }
    }
    let plan = Plan { events: 100, live: 10, stacks: 4, depth: 4, ..Plan::default() };
    vec![writer.finish(), generate(Vec::new(), &plan)]
}

fn payloads(recording: &[u8]) -> Vec<Vec<u8>> {
    let (mut payloads, mut rest) = (Vec::new(), &recording[HEADER_BYTES..]);
    while let Ok(Some((block, len))) = Block::parse(rest) {
        assert!(!matches!(block.kind, BlockKind::Unknown(_)));
        payloads.push(block.payload.to_vec());
        rest = &rest[len..];
    }
    payloads
}

/// A small library with line tables and an inlined function.
fn object_file(directory: &Path) -> Vec<u8> {
    let (source, library) = (directory.join("seed.c"), directory.join("seed.so"));
    let code = "static inline int in(int x) { return x * 3; }\n\
                int outer(int x) { return in(x) + 1; }\nint last(int x) { return outer(x); }\n";
    fs::write(&source, code).unwrap();
    let done = std::process::Command::new("cc")
        .args(["-O1", "-g", "-shared", "-fPIC", "-nostdlib", "-Wl,--build-id=none", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(done.success());
    let bytes = fs::read(&library).unwrap();
    fs::remove_file(&source).unwrap();
    fs::remove_file(&library).unwrap();
    bytes
}
