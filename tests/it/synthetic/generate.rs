//! Synthetic recordings of any size, written through the real encoder as they are made.
//!
//! Reads: a [`Plan`]. Writes: a recording; memory is that of the live set and the stacks.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use rheaper::recording::{Header, NodeId};

use crate::synthetic::random::Random;
use crate::synthetic::writer::{Writer, plain_header};

/// What a synthetic program does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Allocations and frees together.
    pub events: u64,
    /// Blocks alive once it has warmed up.
    pub live: u64,
    pub threads: u64,
    /// Distinct stacks.
    pub stacks: u64,
    /// Frames of a stack.
    pub depth: u64,
    /// One allocation in so many is never freed; 0: all are.
    pub leak_one_in: u64,
    /// One allocation in so many is freed at once.
    pub temporary_one_in: u64,
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            events: 10_000_000,
            live: 100_000,
            threads: 4,
            stacks: 1_000,
            depth: 20,
            leak_one_in: 1_000,
            temporary_one_in: 2,
            seed: 1,
        }
    }
}

impl Plan {
    /// Takes `name=value`.
    pub fn set(&mut self, setting: &str) {
        let (name, value) = setting.split_once('=').expect("NAME=VALUE");
        let value: u64 = value.replace('_', "").parse().expect("a number");
        match name {
            "events" => self.events = value,
            "live" => self.live = value,
            "threads" => self.threads = value,
            "stacks" => self.stacks = value,
            "depth" => self.depth = value,
            "leak_one_in" => self.leak_one_in = value,
            "temporary_one_in" => self.temporary_one_in = value,
            "seed" => self.seed = value,
            _ => panic!("no setting is called {name}"),
        }
    }
}

/// Events between two flushes.
const EVENTS_A_FLUSH: u64 = 100_000;

/// Writes a recording to a file; says its length.
pub fn generate_file(path: &Path, plan: &Plan) -> u64 {
    let file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    generate(file, plan).into_inner().unwrap().metadata().unwrap().len()
}

/// Writes a recording.
pub fn generate<W: Write>(out: W, plan: &Plan) -> W {
    let header = Header { ring_bytes: 1 << 18, ..plain_header() };
    let mut writer = Writer::new(out, &header);
    let mut random = Random(plan.seed);
    for thread in 0..plan.threads {
        writer.thread(thread as u32, 1000 + thread, &format!("worker-{thread}"));
    }
    writer.clock(0, 0);
    let stacks = stacks(&mut writer, &mut random, plan);
    writer.flush();
    let end = run(&mut writer, &mut random, plan, &stacks);
    writer.flush();
    writer.clock(end, end);
    writer.seal(end);
    writer.finish()
}

/// Stacks with common outer parts, as those of real programs: a tree whose levels branch.
fn stacks<W: Write>(writer: &mut Writer<W>, random: &mut Random, plan: &Plan) -> Vec<NodeId> {
    let mut inner = vec![NodeId::ROOT];
    for level in 0..plan.depth {
        let left = plan.depth - 1 - level;
        // Half of the levels only pass on, the inner ones branch.
        let wanted = plan.stacks >> (left * 2).min(63);
        let width = wanted.clamp(1, plan.stacks).max(inner.len() as u64);
        let code = 0x5555_0000_0000 + level * 0x10_0000;
        inner = (0..width)
            .map(|index| {
                let parent = inner[(index % inner.len() as u64) as usize];
                writer.node(parent, code + index * 16 + random.below(16))
            })
            .collect();
    }
    inner
}

fn run<W: Write>(
    writer: &mut Writer<W>,
    random: &mut Random,
    plan: &Plan,
    stacks: &[NodeId],
) -> u64 {
    let mut live: Vec<u64> = Vec::new();
    let mut free: Vec<u64> = Vec::new();
    let (mut next_slot, mut now, mut done) = (0_u64, 1_000_u64, 0_u64);
    while done < plan.events {
        let before = done;
        let thread = random.below(plan.threads) as u32;
        // A thread runs for a while, as real ones do.
        for _ in 0..1 + random.below(200) {
            now += 20 + random.below(200);
            let temporary = random.one_in(plan.temporary_one_in.max(1));
            if temporary || (live.len() as u64) < plan.live || random.one_in(2) {
                let address = free.pop().unwrap_or_else(|| {
                    next_slot += 1;
                    0x7f00_0000_0000 + next_slot * 64
                });
                // Low sites are the busy ones.
                let site = random.below(plan.stacks).min(random.below(plan.stacks));
                let size = 16 + (site * 37) % 500 + random.below(4) * 8;
                let node = stacks[(site % stacks.len() as u64) as usize];
                writer.alloc((thread, thread), now, address, size, node);
                done += 1;
                if temporary {
                    now += 20 + random.below(200);
                    writer.free((thread, thread), now, address);
                    done += 1;
                    free.push(address);
                } else if plan.leak_one_in == 0 || !random.one_in(plan.leak_one_in) {
                    live.push(address);
                }
            } else {
                let index = random.below(live.len() as u64) as usize;
                let address = live.swap_remove(index);
                writer.free((thread, thread), now, address);
                done += 1;
                free.push(address);
            }
        }
        if before / EVENTS_A_FLUSH != done / EVENTS_A_FLUSH {
            writer.flush();
        }
    }
    now
}
