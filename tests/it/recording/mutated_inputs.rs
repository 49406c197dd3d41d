//! Bytes that were changed at random, through every door: no panic, no hang, little memory.
//!
//! A child process of this very binary does it, under a limit of memory and a deadline; what it
//! is about to try stands in a file, so that what kills it is known. Inputs that once did are
//! kept in `tests/data/found/<door>`.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::recording::untrusted_inputs::{Door, House, seeds};
use crate::support::programs::{figure, finish, scaled};
use crate::synthetic::random::Random;

/// What a child may have in memory of its own.
const MEMORY_MAX_BYTES: u64 = 256 << 20;

/// No number of inputs that a tier asks for takes as long.
const DEADLINE: Duration = Duration::from_secs(3000);

/// One input that takes longer ends the child: it hangs.
const INPUT_SECONDS_MAX: u32 = 60;

/// Has a child bring `count` changed inputs in through a door.
fn check(door: Door, count: u64) {
    let directory = tempfile::tempdir().unwrap();
    let trying = directory.path().join("input");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args([
            "--exact",
            "recording::mutated_inputs::a_child_brings_inputs_in",
            "--ignored",
            "--nocapture",
        ])
        .env("MUTANTS_DOOR", door.name())
        .env("MUTANTS_COUNT", count.to_string())
        .env("MUTANTS_TRYING", &trying)
        // One arena: the limit is of memory, not of what threads set aside.
        .env("MALLOC_ARENA_MAX", "1");
    let output = finish(child, DEADLINE);
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-found", door.name()));
        fs::copy(&trying, &kept).unwrap();
        panic!("{door:?}: {:?}; the input is {}:\n{said}", output.status, kept.display());
    }
    let done = said.lines().find_map(|line| line.strip_prefix(&format!("{count} inputs ")));
    let what = format!("changed inputs through the door {}", door.name());
    figure(&what, &format!("{count}; {}", done.expect(&said)));
}

#[test]
#[ignore = "the child of the tests below, with its limits"]
fn a_child_brings_inputs_in() {
    let Some(door) = std::env::var("MUTANTS_DOOR").ok() else {
        return;
    };
    let door = Door::of(&door);
    let count: u64 = std::env::var("MUTANTS_COUNT").unwrap().parse().unwrap();
    let trying = PathBuf::from(std::env::var_os("MUTANTS_TRYING").unwrap());
    let limit = libc::rlimit { rlim_cur: MEMORY_MAX_BYTES, rlim_max: MEMORY_MAX_BYTES };
    let house = House::new();
    let seeds = seeds(door, &house);
    // SAFETY: the limit is read by the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) }, 0);
    let mut random = Random(0x5eed ^ u64::from(door.name().as_bytes()[0]) << 8);
    let trying = fs::File::create(trying).unwrap();
    let began = Instant::now();
    for _ in 0..count {
        let input = mutated(&seeds, &mut random);
        trying.write_all_at(&input, 0).unwrap();
        trying.set_len(input.len() as u64).unwrap();
        // SAFETY: the signal's default is the end of this process, and nobody here changes it.
        unsafe { libc::alarm(INPUT_SECONDS_MAX) };
        house.enter(door, &input);
    }
    let (peak_mib, seconds) = (resident_peak_kib() >> 10, began.elapsed().as_secs());
    assert!(peak_mib < MEMORY_MAX_BYTES >> 20, "{peak_mib} MiB");
    println!("{count} inputs at most {peak_mib} MiB, {seconds} s");
}

fn resident_peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A good input with a few things wrong with it.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| &seeds[random.below(seeds.len() as u64) as usize];
    let mut bytes = pick(random).clone();
    for _ in 0..1 + random.below(6) {
        let at =
            |random: &mut Random, bytes: &Vec<u8>| random.below(bytes.len() as u64 + 1) as usize;
        let (from, to) = (at(random, &bytes), at(random, &bytes));
        let (from, to) = (from.min(to), from.max(to));
        match random.below(9) {
            // A byte, a bit, an extreme number.
            0 if from < bytes.len() => bytes[from] = random.next() as u8,
            1 if from < bytes.len() => bytes[from] ^= 1 << random.below(8),
            2 | 3 => {
                let extreme = [0, 1, 0x7f, 0x80, 0xffff, u64::from(u32::MAX), u64::MAX, 1 << 63];
                let number = extreme[random.below(8) as usize].to_le_bytes();
                let len = [1, 2, 4, 8][random.below(4) as usize].min(bytes.len() - from);
                bytes[from..from + len].copy_from_slice(&number[..len]);
            }
            // Cut, left out, twice, moved from another input.
            4 => bytes.truncate(from),
            5 => drop(bytes.drain(from..to.min(from + 64))),
            6 => {
                let piece = bytes[from..to.min(from + 256)].to_vec();
                let place = at(random, &bytes);
                drop(bytes.splice(place..place, piece));
            }
            _ => {
                let other = pick(random);
                let start = random.below(other.len() as u64 + 1) as usize;
                let end = (start + random.below(128) as usize).min(other.len());
                drop(bytes.splice(from..from, other[start..end].iter().copied()));
            }
        }
    }
    bytes
}

#[test]
fn changed_blocks_and_recordings_give_an_answer() {
    check(Door::Blocks, scaled(20_000));
    check(Door::Recording, scaled(1_000));
}

#[test]
fn changed_executables_give_names_or_none() {
    check(Door::Symbols, scaled(200));
}

#[test]
fn changed_databases_give_a_message() {
    check(Door::Database, scaled(200));
}

#[test]
fn changed_statements_write_nothing_and_end() {
    check(Door::Sql, scaled(500));
    check(Door::Header, scaled(500));
}

#[test]
fn changed_names_are_printed_safely() {
    check(Door::Cleaner, scaled(10_000));
}

#[test]
fn changed_keys_move_no_selection_out_of_range() {
    check(Door::Keys, scaled(50));
}

#[test]
fn inputs_that_were_found_once_stay_harmless() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/found");
    let house = House::new();
    for door in Door::ALL {
        let Ok(inputs) = fs::read_dir(found.join(door.name())) else {
            continue;
        };
        for input in inputs {
            house.enter(door, &fs::read(input.unwrap().path()).unwrap());
        }
    }
}
