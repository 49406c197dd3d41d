//! A leak is the same leak however its program ends: forgotten, put back in a shutdown, killed.
//!
//! Programs that don't exist are recorded through the real encoder, each to the end that a test
//! wants, and loaded. Time is in milliseconds.

use rheaper::recording::{Event, NodeId, Ticks};

use crate::loader::end_to_end::{Loaded, load_bytes};
use crate::synthetic::random::Random;
use crate::synthetic::writer::{Writer, plain_header};

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It drops its state, but not what leaks: that was forgotten.
    Forgotten,
    /// It drops everything, at once.
    Dropped,
    /// … over a fifth of the time that it ran.
    DroppedSlowly,
    /// … and makes something for each block that it drops, and something large on the way.
    DroppedBusily,
    /// … from another thread than the one that made it, and lives on for a while without work.
    DroppedThenIdle,
    /// It stops in the midst of its work, and its recording with it.
    Killed,
    /// Its recording is stopped in the midst of its work.
    StillRunning,
}

const ENDS: [End; 7] = [
    End::Forgotten,
    End::Dropped,
    End::DroppedSlowly,
    End::DroppedBusily,
    End::DroppedThenIdle,
    End::Killed,
    End::StillRunning,
];

const MS: u64 = 1_000_000;
/// How long the programs work.
const WORK: u64 = 4_000;

/// A program that is being run.
struct Program {
    writer: Writer<Vec<u8>>,
    now: u64,
    next: u64,
    sites: Vec<NodeId>,
    /// Site, address, whether it leaks.
    live: Vec<(usize, u64, bool)>,
    random: Random,
    thread: u32,
}

/// The innermost frame of a site.
const SITE_BASE: u64 = 0x10_0000;

impl Program {
    fn start() -> Self {
        let mut writer = Writer::new(Vec::new(), &plain_header());
        for thread in 0..3 {
            writer.thread(thread, 100 + u64::from(thread), &format!("thread-{thread}"));
        }
        let sites = (0..32)
            .map(|site| writer.stack(NodeId::ROOT, &[SITE_BASE + site * 16, 0x20_0000 + site * 16]))
            .collect();
        Self { writer, now: 1000, next: 0, sites, live: Vec::new(), random: Random(7), thread: 0 }
    }

    fn pass(&mut self, ns: u64) {
        self.now += ns;
    }

    fn make(&mut self, site: usize, size: u64) -> u64 {
        self.next += 1;
        self.pass(150);
        let address = 0x7f00_0000_0000 + self.next * 64;
        let by = (self.thread, self.thread);
        self.writer.alloc(by, self.now, address, size, self.sites[site]);
        address
    }

    fn free(&mut self, address: u64) {
        self.pass(150);
        self.writer.free((self.thread, self.thread), self.now, address);
    }

    /// A block that is part of the program's state.
    fn hold(&mut self, site: usize, size: u64) -> u64 {
        let address = self.make(site, size);
        self.live.push((site, address, false));
        address
    }

    /// A block that should have been freed by now.
    fn leak(&mut self, site: usize, size: u64) {
        self.hold(site, size);
        self.live.last_mut().unwrap().2 = true;
    }

    fn release(&mut self, index: usize) {
        let (_, address, _) = self.live.remove(index);
        self.free(address);
    }

    fn release_of(&mut self, site: usize) {
        let index = self.live.iter().position(|block| block.0 == site).unwrap();
        self.release(index);
    }

    /// What a request makes and frees.
    fn temporaries(&mut self, count: usize) {
        for index in 0..count {
            let size = 50 + self.random.below(500);
            let address = self.make(20 + index % 8, size);
            self.free(address);
        }
    }

    /// Larger than before, in place or not.
    fn grow(&mut self, site: usize, size: u64) {
        let index = self.live.iter().position(|block| block.0 == site).unwrap();
        self.next += 1;
        self.pass(200);
        let (began, old) = (self.now - 50, self.live[index].1);
        let new = 0x7f00_0000_0000 + self.next * 64;
        let by = (self.thread, self.thread);
        self.writer.realloc(by, (began, self.now), (old, new), size, self.sites[site]);
        self.live[index].1 = new;
    }

    /// Every program has something to begin with.
    fn set_up(&mut self) {
        for site in 10..16 {
            for _ in 0..5 {
                self.hold(site, 800);
            }
        }
    }

    fn end(mut self, end: End) -> Loaded {
        let blocks = std::mem::take(&mut self.live);
        // What goes last goes first.
        let drop: Vec<_> = blocks
            .iter()
            .rev()
            .filter(|(.., leaks)| end != End::Forgotten || !leaks)
            .map(|(_, address, _)| *address)
            .collect();
        self.pass(MS / 2);
        match end {
            End::Killed | End::StillRunning => {}
            End::Forgotten | End::Dropped => drop.iter().for_each(|address| self.free(*address)),
            End::DroppedSlowly => {
                let pause = WORK * MS / 5 / drop.len() as u64;
                for address in drop {
                    self.free(address);
                    self.pass(pause);
                }
            }
            End::DroppedBusily => {
                for (nth, address) in drop.iter().enumerate() {
                    let line = self.make(30, 300);
                    self.free(*address);
                    self.free(line);
                    if nth == drop.len() / 2 {
                        let page = self.make(31, 20_000);
                        self.free(page);
                    }
                    self.pass(20_000);
                }
            }
            End::DroppedThenIdle => {
                self.thread = 2;
                drop.iter().for_each(|address| self.free(*address));
                self.pass(WORK * MS / 4);
            }
        }
        if !matches!(end, End::Killed) {
            // As `println!` makes it.
            self.make(9, 1024);
            self.writer.flush();
            let now = self.now;
            self.writer.clock(now, now);
            self.writer.seal(now);
        }
        load_bytes(&self.writer.finish())
    }
}

/// The suspect of a site: its rank, its label, and what it holds.
fn suspect(loaded: &Loaded, site: u64) -> Option<(i64, String, i64, String)> {
    let sql = "SELECT suspects.id, label, suspects.live_bytes, sentence FROM suspects
        JOIN backtrace_frames AS b ON b.bt = suspects.bt AND frame_no = 0
        JOIN frames ON frames.id = b.frame WHERE offset + 1 = ?1";
    let offset = (SITE_BASE + site * 16) as i64;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    loaded.connection.query_row(sql, [offset], row).ok()
}

fn shutdown(loaded: &Loaded) -> Option<i64> {
    let sql = "SELECT value FROM meta WHERE key = 'shutdown_ns'";
    loaded.connection.query_row(sql, [], |row| row.get(0)).ok()
}

fn all(loaded: &Loaded) -> Vec<String> {
    let mut query = loaded
        .connection
        .prepare("SELECT printf('%.1f ', score) || sentence FROM suspects ORDER BY id LIMIT 6")
        .unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A program at work, one millisecond at a time.
type Work = fn(&mut Program, u64);

/// Programs that leak at site 0, and what is to be said of it.
const LEAKS: &[(&str, &str, Work)] = &[
    ("a map of sessions", "steady leak", |program, _| {
        program.temporaries(4);
        program.leak(0, 1000);
    }),
    ("a small leak beside a large state", "steady leak", |program, ms| {
        if ms == 0 {
            (0..200).for_each(|_| _ = program.hold(1, 50_000));
        }
        program.temporaries(3);
        if ms % 4 == 0 {
            program.leak(0, 64);
        }
    }),
    ("one in four is forgotten", "partial leak", |program, ms| {
        program.temporaries(2);
        for nth in 0..4 {
            program.hold(0, 200);
            if ms > 20 && nth > 0 {
                let index = program.live.iter().position(|it| it.0 == 0 && !it.2).unwrap();
                program.release(index);
            } else if nth == 0 {
                program.live.last_mut().unwrap().2 = true;
            }
        }
    }),
    ("a leak under a saw-tooth", "steady leak", |program, ms| {
        program.leak(0, 300);
        program.hold(2, 400);
        if ms % 400 == 399 {
            while program.live.iter().any(|block| block.0 == 2) {
                program.release_of(2);
            }
        }
    }),
    ("a leak beside a cache that is cleared", "steady leak", |program, ms| {
        program.leak(0, 500);
        if ms < 2000 {
            program.hold(3, 2000);
        }
        if ms == 2500 {
            while program.live.iter().any(|block| block.0 == 3) {
                program.release_of(3);
            }
        }
        program.temporaries(3);
    }),
    ("a log in a Vec that is filled for ever", "growing container", |program, ms| {
        match ms {
            0 => _ = program.hold(0, 64),
            ms if ms.is_power_of_two() && ms > 16 => program.grow(0, 64 * ms),
            _ => {}
        }
        program.temporaries(3);
    }),
    ("each is grown once before it is kept", "steady leak", |program, _| {
        program.leak(0, 8);
        let (_, old, _) = program.live[program.live.len() - 1];
        program.next += 1;
        program.pass(200);
        let new = 0x7f00_0000_0000 + program.next * 64;
        let at = (program.now - 50, program.now);
        program.writer.realloc((0, 0), at, (old, new), 700, program.sites[0]);
        program.live.last_mut().unwrap().1 = new;
        program.temporaries(2);
    }),
    ("late in a long run", "steady leak", |program, ms| {
        program.temporaries(3);
        if ms > WORK * 7 / 10 {
            program.leak(0, 700);
        }
    }),
];

#[test]
fn a_leak_is_the_first_suspect_however_its_program_ends() {
    for (what, label, work) in LEAKS {
        for end in ENDS {
            let mut program = Program::start();
            program.set_up();
            for ms in 0..WORK {
                program.now = program.now.max((ms + 1) * MS);
                work(&mut program, ms);
            }
            let worked = program.now;
            let loaded = program.end(end);
            let (rank, found, live, sentence) = suspect(&loaded, 0).unwrap();
            assert_eq!((rank, found.as_str()), (1, *label), "{what}, {end:?}: {:#?}", all(&loaded));
            assert!(live > 0, "{what}, {end:?}: {sentence}");
            let is_known = shutdown(&loaded).is_some_and(|at| at as u64 <= worked + WORK * MS / 50);
            let is_dropped = !matches!(end, End::Killed | End::StillRunning | End::Forgotten);
            if is_dropped {
                assert!(is_known, "{what}, {end:?}: {:#?}", all(&loaded));
                assert!(sentence.contains("before the shutdown"), "{sentence}");
            }
            if matches!(end, End::Killed | End::StillRunning) {
                assert_eq!(shutdown(&loaded), None, "{what}, {end:?}");
                assert!(sentence.contains("at the end"), "{sentence}");
            }
        }
    }
}

/// Programs that don't leak.
const CLEAN: &[(&str, Work)] = &[
    ("requests only", |program, _| program.temporaries(5)),
    ("a cache that is full", |program, ms| {
        program.hold(0, 900);
        if ms > 300 {
            program.release_of(0);
        }
        program.temporaries(2);
    }),
    ("a saw-tooth", |program, ms| {
        program.hold(0, 300);
        if ms % 500 == 450 {
            while program.live.iter().any(|block| block.0 == 0) {
                program.release_of(0);
            }
        }
    }),
    ("batches of different kinds", |program, ms| {
        let site = (ms / 1000) as usize;
        program.hold(site, 400);
        if ms % 1000 == 999 {
            while program.live.iter().any(|block| block.0 == site) {
                program.release_of(site);
            }
        }
        program.temporaries(1);
    }),
    ("a table that is built once, then used", |program, ms| {
        if ms < 150 {
            (0..10).for_each(|_| _ = program.hold(0, 120));
        }
        program.temporaries(3);
    }),
    ("a few late one-offs", |program, ms| {
        program.temporaries(3);
        if ms == 2000 || ms == WORK - 2 {
            program.hold((ms % 7) as usize, 4096);
        }
    }),
    ("a ring of buffers", |program, ms| {
        if ms < 8 {
            program.hold(0, 60_000);
        } else {
            program.release_of(0);
            program.hold(0, 60_000);
        }
    }),
];

#[test]
fn no_leak_is_claimed_of_a_clean_program_however_it_ends() {
    for (what, work) in CLEAN {
        for end in ENDS {
            let mut program = Program::start();
            program.set_up();
            for ms in 0..WORK {
                program.now = program.now.max((ms + 1) * MS);
                work(&mut program, ms);
            }
            let loaded = program.end(end);
            let sql = "SELECT count(*) FROM suspects
                WHERE label IN ('steady leak', 'partial leak', 'growing container', 'freed at shutdown')
                    AND live_bytes > 0";
            assert_eq!(loaded.one(sql), 0, "{what}, {end:?}: {:#?}", all(&loaded));
        }
    }
}

/// Programs that free much and go on, so that nothing ends.
const SHRINKING: &[(&str, Work)] = &[
    ("one batch is freed and another begins", |program, ms| {
        program.temporaries(2);
        let site = usize::from(ms > WORK * 3 / 4);
        program.hold(site, 1000);
        if ms == WORK * 3 / 4 {
            while program.live.iter().any(|block| block.0 == 0) {
                program.release_of(0);
            }
        }
    }),
    ("a cache is cleared", |program, ms| {
        program.temporaries(3);
        if ms < WORK / 2 {
            program.hold(0, 5000);
        }
        if ms == WORK * 3 / 4 {
            while program.live.iter().any(|block| block.0 == 0) {
                program.release_of(0);
            }
        }
    }),
    ("a saw-tooth that ends low", |program, ms| {
        program.hold(0, 300);
        if ms % 500 == 480 || ms == WORK - 1 {
            while program.live.iter().any(|block| block.0 == 0) {
                program.release_of(0);
            }
        }
    }),
    ("it shrinks slowly while it works", |program, ms| {
        if ms < WORK / 4 {
            program.hold(0, 1000);
        } else if ms.is_multiple_of(4) && program.live.iter().any(|block| block.0 == 0) {
            program.release_of(0);
        }
        program.temporaries(6);
    }),
];

#[test]
fn what_shrinks_and_goes_on_is_not_shut_down() {
    for (what, work) in SHRINKING {
        for end in [End::Killed, End::StillRunning] {
            let mut program = Program::start();
            program.set_up();
            for ms in 0..WORK {
                program.now = program.now.max((ms + 1) * MS);
                work(&mut program, ms);
            }
            let loaded = program.end(end);
            assert_eq!(shutdown(&loaded), None, "{what}, {end:?}: {:#?}", all(&loaded));
        }
    }
}

#[test]
fn what_was_held_before_the_shutdown_is_what_the_rows_say() {
    for (what, _, work) in LEAKS {
        for end in ENDS {
            let mut program = Program::start();
            program.set_up();
            for ms in 0..WORK / 4 {
                program.now = program.now.max((ms + 1) * MS);
                work(&mut program, ms * 4);
            }
            let loaded = program.end(end);
            let wrong = "WITH moment(ns) AS (SELECT max(value) FROM meta
                    WHERE key = 'shutdown_ns' OR key = 'duration_ns' AND NOT EXISTS
                        (SELECT 1 FROM meta WHERE key = 'shutdown_ns')),
                truth AS (SELECT bt, count(*) AS blocks, sum(size) AS bytes FROM allocations, moment
                    WHERE alloc_after <= ns AND (dealloc_after IS NULL OR dealloc_after > ns)
                    GROUP BY bt)
                SELECT count(*) FROM sites LEFT JOIN truth USING (bt)
                WHERE judged_blocks <> ifnull(blocks, 0) OR judged_bytes <> ifnull(truth.bytes, 0)";
            assert_eq!(loaded.one(wrong), 0, "{what}, {end:?}");
            let sums = "SELECT (SELECT sum(judged_bytes) FROM sites)
                = (SELECT value FROM meta WHERE key = 'judged_bytes')
                AND (SELECT sum(judged_blocks) FROM sites)
                = (SELECT value FROM meta WHERE key = 'judged_blocks')";
            assert_eq!(loaded.one(sums), 1, "{what}, {end:?}");
        }
    }
}

#[test]
fn one_block_is_no_verdict_and_a_short_run_no_rate() {
    // One buffer, made when it was first needed: a millisecond before the end.
    let mut program = Program::start();
    for _ in 0..200 {
        program.pass(2 * MS);
        program.hold(0, 20_000);
    }
    for _ in 0..200 {
        program.pass(2 * MS);
        program.temporaries(1);
    }
    program.hold(5, 1024);
    let loaded = program.end(End::StillRunning);
    let (_, label, _, sentence) = suspect(&loaded, 5).unwrap();
    assert_eq!(label, "constant", "{sentence}");
    assert!(sentence.contains("1 of 1 block from"), "{sentence}");

    // Two milliseconds in which everything grows.
    let mut program = Program::start();
    (0..500).for_each(|_| program.leak(0, 5_000));
    let loaded = program.end(End::StillRunning);
    let (_, _, _, sentence) = suspect(&loaded, 0).unwrap();
    assert!(!sentence.contains("/s"), "{sentence}");
}

#[test]
fn nothing_alive_is_said_to_be_freed() {
    // A rolling cache, of which only the last blocks are alive, and most were freed near the end.
    let mut program = Program::start();
    for ms in 0..WORK {
        program.now = program.now.max((ms + 1) * MS);
        program.hold(0, 4096);
        if ms > 200 {
            program.release_of(0);
        }
    }
    let loaded = program.end(End::StillRunning);
    let sql = "SELECT count(*) FROM suspects WHERE live_blocks > 0 AND label = 'freed at shutdown'";
    assert_eq!(loaded.one(sql), 0, "{:#?}", all(&loaded));
}

/// Keeps the import of what programs are made of honest.
#[test]
fn a_program_is_recorded_as_it_was_run() {
    let mut program = Program::start();
    program.hold(0, 10);
    let at = Ticks(program.now + 10);
    let event = Event::Failed { at, size: rheaper::recording::Bytes(1), node: program.sites[1] };
    program.writer.event(0, 0, &event);
    let loaded = program.end(End::Dropped);
    assert_eq!(loaded.one("SELECT count(*) FROM failures"), 1);
    assert_eq!(loaded.one("SELECT count(*) FROM allocations WHERE dealloc_after IS NULL"), 1);
}
