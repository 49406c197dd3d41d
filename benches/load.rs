//! Benchmark of the loader: generates synthetic recordings of any size and loads them.
//!
//! ```text
//! cargo bench --bench load                                     one small recording
//! cargo bench --bench load -- generate FILE [NAME=VALUE]...    events, live, threads, stacks, depth
//! cargo bench --bench load -- load RECORDING DATABASE          events per second, bytes per row, peak memory
//! cargo bench --bench load -- dry-run RECORDING                the same without a database
//! ```
#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first error")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "../tests/it/synthetic/mod.rs"]
mod synthetic;

use std::path::Path;
use std::time::Instant;

use rheaper::loader::{LoadOptions, Summary, dry_run, load};

use crate::synthetic::generate::{Plan, generate_file};

fn main() {
    // `cargo bench` and `cargo test --benches` add options.
    let arguments: Vec<_> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate", file, ref settings @ ..] => {
            let mut plan = Plan::default();
            settings.iter().for_each(|setting| plan.set(setting));
            generate(Path::new(file), &plan);
        }
        ["load", recording, database] => {
            let options = LoadOptions { force: true, ..LoadOptions::default() };
            print_summary(
                &load(Path::new(recording), Path::new(database), &options, &mut ()).unwrap(),
            );
        }
        ["dry-run", recording] => print_summary(&dry_run(Path::new(recording), &mut ()).unwrap()),
        [] => run_small(),
        _ => println!("generate FILE …, load RECORDING DATABASE, or dry-run RECORDING"),
    }
}

fn generate(file: &Path, plan: &Plan) {
    let started = Instant::now();
    let bytes = generate_file(file, plan);
    let took = started.elapsed().as_secs_f64();
    println!(
        "generated {} events, {bytes} bytes ({:.2} per event) in {took:.1} s",
        plan.events,
        bytes as f64 / plan.events as f64
    );
}

fn print_summary(summary: &Summary) {
    let took = summary.took.as_secs_f64();
    println!(
        "{} events in {took:.2} s: {:.2} M events/s; {} allocations, {:.1} bytes each in the \
         database; {} live, {} backtraces; peak {} MiB",
        summary.events,
        summary.events as f64 / took / 1e6,
        summary.allocations,
        summary.database_bytes as f64 / summary.allocations.max(1) as f64,
        summary.live_blocks,
        summary.backtraces,
        peak_memory_mib()
    );
    for loss in &summary.losses {
        println!("  {}: {}", loss.name, loss.count);
    }
    for note in &summary.symbols.notes {
        println!("  {note}");
    }
}

fn run_small() {
    let directory = tempfile::tempdir().unwrap();
    let (recording, database) = (directory.path().join("rip-1"), directory.path().join("db"));
    let plan = Plan { events: 2_000_000, ..Plan::default() };
    generate(&recording, &plan);
    print_summary(&dry_run(&recording, &mut ()).unwrap());
    print_summary(&load(&recording, &database, &LoadOptions::default(), &mut ()).unwrap());
}

fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
