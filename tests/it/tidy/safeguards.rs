//! Mutation tests: with a safeguard disabled, the test that covers it must fail, and with all of them
//! enabled it must pass. This takes a build of its own, so the list runs in the full tier:
//! `RELIABILITY_GUARDS=all`, or the name of one safeguard.

#[path = "../../../src/safeguards.rs"]
mod product;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use crate::tidy::safeguards::product::{Safeguard, is_disabled};

/// The safeguards, each with a test that fails without it.
pub(crate) const SAFEGUARDS: [(Safeguard, &str); 29] = [
    (
        Safeguard::TimestampBeforeFree,
        "recorder::fault_injection::a_block_that_is_reused_while_it_is_freed_is_paired",
    ),
    (Safeguard::BusyFlag, "recorder::fault_injection::handlers_may_allocate_at_any_instruction"),
    (
        Safeguard::PidCheck,
        "recorder::fault_injection::forked_children_live_on_and_record_themselves",
    ),
    (Safeguard::PreserveErrno, "recorder::fault_injection::errno_is_left_alone"),
    (
        Safeguard::SignalFrames,
        "recorder::fault_injection::handlers_may_allocate_at_any_instruction",
    ),
    (
        Safeguard::HeldSignals,
        "recorder::rough::signals_come_while_a_handler_on_an_alternate_stack_allocates",
    ),
    (
        Safeguard::OwnFile,
        "recorder::rough::a_program_that_closes_all_descriptors_keeps_its_files_and_its_recording",
    ),
    (Safeguard::AltStack, "recorder::fault_injection::recording_takes_little_of_a_thread_s_stack"),
    (
        Safeguard::BlockSignals,
        "recorder::fault_injection::signals_of_the_program_go_to_the_program",
    ),
    (
        Safeguard::ExitRounds,
        "recorder::fault_injection::destructors_of_threads_are_recorded_or_counted",
    ),
    (Safeguard::ThreadRecorderLimit, "recorder::truth::threads_without_a_tracker_are_counted"),
    (
        Safeguard::LockDuringRealloc,
        "recorder::sampling::an_address_that_is_handed_on_belongs_to_its_next_block",
    ),
    (
        Safeguard::SampleEpochs,
        "recorder::sampling::what_one_recording_sampled_is_unknown_to_the_next",
    ),
    (Safeguard::Quota, "recorder::aggregate::a_quota_is_never_exceeded_by_a_byte"),
    (
        Safeguard::BlockSizeSignal,
        "recorder::disk_faults::a_size_limit_at_any_byte_ends_the_recording_and_not_the_program",
    ),
    (
        Safeguard::FailureTrailer,
        "recorder::disk_faults::a_write_that_fails_once_ends_the_recording_and_not_the_program",
    ),
    (
        Safeguard::ExclusiveCreate,
        "recorder::truth::the_file_is_private_and_another_one_is_never_touched",
    ),
    (
        Safeguard::HighDescriptor,
        "recorder::disk_faults::closed_standard_streams_are_never_written_to",
    ),
    (
        Safeguard::PrivilegedEnvironment,
        "cli::permissions::the_environment_does_not_speak_to_a_program_with_more_rights_than_its_caller",
    ),
    (Safeguard::FileMode, "recorder::truth::the_file_is_private_and_another_one_is_never_touched"),
    (Safeguard::BlockChecksum, "loader::damaged_input::any_changed_byte_gives_an_answer"),
    (
        Safeguard::ForkedRingTail,
        "recorder::fault_injection::forked_children_live_on_and_record_themselves",
    ),
    (Safeguard::ForeignOutput, "loader::damaged_input::what_is_not_ours_is_never_touched"),
    (Safeguard::BuildId, "loader::symbols::another_build_gives_no_names"),
    (Safeguard::Authorizer, "database::sandbox::hostile_statements_are_refused_and_leave_no_trace"),
    (Safeguard::LengthLimit, "database::sandbox::a_single_call_can_not_make_a_huge_value"),
    (
        Safeguard::HeapLimit,
        "database::sandbox::a_query_that_needs_too_much_memory_fails_with_a_message",
    ),
    (
        Safeguard::Deadline,
        "database::sandbox::a_deadline_ends_a_query_and_a_used_token_stops_one_before_it_begins",
    ),
    (Safeguard::Sanitizer, "recording::mutated_inputs::changed_names_are_printed_safely"),
];

/// Builds this binary and its programs so that safeguards can be disabled.
fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--test", "it", "--no-run", "--message-format", "json"])
        .current_dir(root)
        .env("CARGO_TARGET_DIR", root.join("target/guards"))
        .env("RHEAPER_TEST_GUARDS", "yes")
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).unwrap();
    let built = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        (message["target"]["name"] == "it")
            .then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    let mut built = built.collect::<Vec<_>>();
    built.pop().expect("cargo reports the test binary")
}

/// Whether a test passes with one safeguard disabled, or with all enabled.
fn passes(binary: &Path, disabled: Option<Safeguard>, test: &str) -> bool {
    // A test that hangs without its safeguard counts as failed.
    let mut run = Command::new("timeout");
    run.args(["-k", "5", "240"]).arg(binary).args(["--exact", test]);
    run.current_dir(env!("CARGO_MANIFEST_DIR"));
    run.env("RHEAPER_TEST_GUARDS", "yes").env_remove("RELIABILITY_GUARDS");
    run.envs(disabled.map(|safeguard| ("RHEAPER_TEST_WITHOUT", safeguard.name())));
    let output = run.stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("running 1 test"), "there is no test {test}: {printed}");
    output.status.success()
}

#[test]
fn disabling_a_safeguard_fails_its_test() {
    let Ok(selected) = std::env::var("RELIABILITY_GUARDS") else {
        println!("SKIPPED: mutation tests need their own build; RELIABILITY_GUARDS=all runs them");
        return;
    };
    let binary = build();
    let mut wrong = Vec::new();
    let is_selected = |name| selected == "all" || selected == name;
    for (safeguard, test) in SAFEGUARDS.into_iter().filter(|(it, _)| is_selected(it.name())) {
        let without = passes(&binary, Some(safeguard), test);
        let with = passes(&binary, None, test);
        let result = |passes: bool| if passes { "passes" } else { "fails" };
        let name = safeguard.name();
        println!("{name}: {test} {} without it, {} with it", result(without), result(with));
        if without || !with {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "no test notices that these are disabled: {wrong:?}");
}

#[test]
fn every_safeguard_is_in_the_source_and_in_the_list() {
    let mut found = std::collections::BTreeSet::new();
    for (path, text) in crate::tidy::layout::sources("src") {
        for rest in text.split("is_disabled(Safeguard::").skip(1) {
            let name = rest.split(')').next().unwrap().to_owned();
            let is_listed =
                SAFEGUARDS.iter().any(|(safeguard, _)| format!("{safeguard:?}") == name);
            assert!(is_listed, "{path}: {name}");
            found.insert(name);
        }
    }
    let missing: Vec<_> =
        SAFEGUARDS.iter().filter(|(it, _)| !found.contains(&format!("{it:?}"))).collect();
    assert!(missing.is_empty(), "not in the source: {missing:?}");
}

#[test]
fn names_are_the_variants_in_kebab_case() {
    for (safeguard, _) in SAFEGUARDS {
        let mut expected = String::new();
        for letter in format!("{safeguard:?}").chars() {
            if letter.is_uppercase() && !expected.is_empty() {
                expected.push('-');
            }
            expected.extend(letter.to_lowercase());
        }
        assert_eq!(safeguard.name(), expected);
    }
}
