//! Tests of the tests: with each guard taken out of the product, the test that is there for it
//! must go red, and green with it. That needs a build of its own, so the list runs in the full
//! tier: `RELIABILITY_GUARDS=all`, or a guard's name.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A guard, by the name that the source asks for, and a test that fails without it.
pub(crate) const GUARDS: [(&str, &str); 27] = [
    (
        "free stamped first",
        "recorder::fault_injection::a_block_that_is_reused_while_it_is_freed_is_paired",
    ),
    ("busy flag", "recorder::fault_injection::handlers_may_allocate_at_any_instruction"),
    ("pid check", "recorder::fault_injection::forked_children_live_on_and_record_themselves"),
    ("errno", "recorder::fault_injection::errno_is_left_alone"),
    ("signal frames", "recorder::fault_injection::handlers_may_allocate_at_any_instruction"),
    ("own stack", "recorder::fault_injection::recording_takes_little_of_a_thread_s_stack"),
    ("signals blocked", "recorder::fault_injection::signals_of_the_program_go_to_the_program"),
    ("exit rounds", "recorder::fault_injection::destructors_of_threads_are_recorded_or_counted"),
    ("trackers at most", "recorder::truth::threads_without_a_tracker_are_counted"),
    (
        "held while moved",
        "recorder::sampling::an_address_that_is_handed_on_belongs_to_its_next_block",
    ),
    ("own samples", "recorder::sampling::what_one_recording_sampled_is_unknown_to_the_next"),
    ("quota", "recorder::aggregate::a_quota_is_never_exceeded_by_a_byte"),
    (
        "size signal",
        "recorder::disk_faults::a_size_limit_at_any_byte_ends_the_recording_and_not_the_program",
    ),
    (
        "reason",
        "recorder::disk_faults::a_write_that_fails_once_ends_the_recording_and_not_the_program",
    ),
    ("exclusive creation", "recorder::truth::the_file_is_private_and_another_one_is_never_touched"),
    ("high descriptor", "recorder::disk_faults::closed_standard_streams_are_never_written_to"),
    (
        "privileged environment",
        "cli::permissions::the_environment_does_not_speak_to_a_program_with_more_rights_than_its_caller",
    ),
    ("file mode", "recorder::truth::the_file_is_private_and_another_one_is_never_touched"),
    ("block checksum", "loader::damaged_input::any_changed_byte_gives_an_answer"),
    ("own bytes", "recorder::fault_injection::forked_children_live_on_and_record_themselves"),
    ("foreign output", "loader::damaged_input::what_is_not_ours_is_never_touched"),
    ("build id", "loader::symbols::another_build_gives_no_names"),
    ("authorizer", "database::sandbox::hostile_statements_are_refused_and_leave_no_trace"),
    ("length limit", "database::sandbox::a_single_call_can_not_make_a_huge_value"),
    ("heap limit", "database::sandbox::a_query_that_needs_too_much_memory_fails_with_a_message"),
    (
        "deadline",
        "database::sandbox::a_deadline_ends_a_query_and_a_used_token_stops_one_before_it_begins",
    ),
    ("cleaner", "recording::mutated_inputs::changed_names_are_printed_safely"),
];

/// What the recorder's own files ask where they are a part of this binary: there none is missing.
pub(crate) const fn without(_guard: &str) -> bool {
    false
}

/// This binary and its programs, built so that guards can be taken out.
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
    let said = String::from_utf8(output.stdout).unwrap();
    let built = said.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        (message["target"]["name"] == "it")
            .then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    let mut built = built.collect::<Vec<_>>();
    built.pop().expect("the tests were built")
}

/// Runs a test without a guard, or with all of them; answers whether it passes.
fn passes(binary: &Path, guard: Option<&str>, test: &str) -> bool {
    // What hangs without its guard is red as well.
    let mut run = Command::new("timeout");
    run.args(["-k", "5", "240"]).arg(binary).args(["--exact", test]);
    run.current_dir(env!("CARGO_MANIFEST_DIR"));
    run.env("RHEAPER_TEST_GUARDS", "yes").env_remove("RELIABILITY_GUARDS");
    run.envs(guard.map(|guard| ("RHEAPER_TEST_WITHOUT", guard)));
    let output = run.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test"), "{test} is no test: {said}");
    output.status.success()
}

#[test]
fn without_a_guard_its_test_goes_red() {
    let Ok(asked) = std::env::var("RELIABILITY_GUARDS") else {
        println!("SKIPPED: guards need a build of their own; RELIABILITY_GUARDS=all runs them");
        return;
    };
    let binary = build();
    let mut wrong = Vec::new();
    for (guard, test) in GUARDS.into_iter().filter(|(guard, _)| asked == "all" || asked == *guard) {
        let (without, with) = (passes(&binary, Some(guard), test), passes(&binary, None, test));
        let color = |passes: bool| if passes { "green" } else { "red" };
        println!("{guard}: {test} is {} without it, {} with it", color(without), color(with));
        if without || !with {
            wrong.push(guard);
        }
    }
    assert!(wrong.is_empty(), "nothing notices that these are missing: {wrong:?}");
}

#[test]
fn every_guard_stands_in_the_source_and_in_the_list() {
    let mut found = std::collections::BTreeSet::new();
    for (path, text) in crate::tidy::layout::sources("src") {
        for piece in text.split("guards::without(\"").skip(1) {
            let name = piece.split('"').next().unwrap().to_owned();
            assert!(GUARDS.iter().any(|guard| guard.0 == name), "{path}: {name}");
            found.insert(name);
        }
    }
    let missing: Vec<_> = GUARDS.iter().filter(|guard| !found.contains(guard.0)).collect();
    assert!(missing.is_empty(), "no such guard in the source: {missing:?}");
}
