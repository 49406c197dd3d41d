//! The page that a newcomer reads first: what grows, who holds, who allocates, what was lost.

use rheaper::recording::{Counter, Counters, NodeId};

use crate::cli::commands::Place;
use crate::synthetic::writer::{Writer, plain_header};
use crate::tui::driver::Driver;

const MS: u64 = 1_000_000;

/// Loads what a program did, and reports it.
fn report(run: impl FnOnce(&mut Writer<Vec<u8>>, &[NodeId])) -> (Place, String) {
    let place = Place::new(3);
    let mut writer = Writer::new(Vec::new(), &plain_header());
    let nodes: Vec<_> =
        (0..8).map(|site| writer.node(NodeId::ROOT, 0x10_0000 + site * 16)).collect();
    run(&mut writer, &nodes);
    std::fs::write(place.path("rip-1"), writer.finish()).unwrap();
    let ran = place.run(&["load", "rip-1", "-o", "x.db"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let page = place.run(&["report", "x.db"]);
    assert_eq!(page.code, 0, "{}", page.err);
    assert!(page.out.lines().count() <= 60, "{}", page.out);
    for line in page.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    (place, page.out)
}

fn end(writer: &mut Writer<Vec<u8>>, at: u64) {
    writer.flush();
    writer.clock(at, at);
    writer.seal(at);
}

/// The words, whatever the lines.
fn words(page: &str) -> String {
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_page_says_who_held_the_peak_and_who_allocates_though_all_is_freed() {
    let (_, page) = report(|writer, nodes| {
        let mut at = MS;
        for block in 0..300 {
            at += MS;
            writer.alloc((0, 0), at, 0x1000 + block * 64, 10_000, nodes[1]);
            writer.alloc((0, 0), at + 10, 0x1_000_000 + block * 64, 1_000, nodes[2]);
        }
        for block in 0..300 {
            writer.free((0, 0), at + 100 + block, 0x1000 + block * 64);
            writer.free((0, 0), at + 1000 + block, 0x1_000_000 + block * 64);
        }
        for _ in 0..5000 {
            at += MS / 10;
            writer.alloc((0, 0), at + 2000, 0x9_000_000, 4_000, nodes[3]);
            writer.free((0, 0), at + 2010, 0x9_000_000);
        }
        end(writer, at + MS);
    });
    let said = words(&page);
    assert!(said.contains("Nothing grows: no leak was found."), "{page}");
    assert!(said.contains("Held at the peak, at"), "{page}");
    assert!(said.contains("3.15 MiB; all 2 functions, 100.0 % 90.9 % 2.86 MiB"), "{page}");
    assert!(said.contains("Allocated in all: 22.2 MiB"), "{page}");
    assert!(said.contains("5,000 blocks, 100.0 % of the allocations of"), "{page}");
}

#[test]
fn whoever_holds_most_is_named_whatever_its_rank() {
    let (_, page) = report(|writer, nodes| {
        let mut at = MS;
        // An emptied map that keeps most of what is alive, since half time.
        for block in 0..2000 {
            at += MS;
            if block == 1000 {
                writer.alloc((0, 0), at, 0x4_000_000, 3_000_000, nodes[4]);
            }
            for site in 0..4 {
                let address = 0x1000 + (block * 4 + site) * 64;
                writer.alloc((0, 0), at + site, address, 100, nodes[site as usize]);
            }
        }
        end(writer, at + MS);
    });
    let said = words(&page);
    assert!(said.contains("4 suspects grow and hold 781 KiB of 3.62 MiB at the end."), "{page}");
    assert!(
        said.contains("Held at the end: 3.62 MiB; the first 4 of 5 functions, 94.7 %"),
        "{page}"
    );
    assert!(said.contains("78.9 % 2.86 MiB"), "{page}");
    // It rose in one step: that is no rate. And the peak is what is held.
    assert!(!said.contains("in the second half") && !said.contains("at the peak"), "{page}");
}

#[test]
fn what_was_lost_stands_at_the_head_and_older_blocks_are_no_loss() {
    let lose = |lost: u64| {
        report(move |writer, nodes| {
            for block in 0..10 {
                writer.alloc((0, 0), MS + block, 0x1000 + block * 64, 10, nodes[0]);
            }
            writer.free((0, 0), 2 * MS, 0x77_0000);
            let mut counters = Counters::default();
            counters.set(Counter::Allocations, 10);
            counters.set(Counter::DroppedNoTracker, lost);
            writer.counters(&counters);
            end(writer, 9 * MS);
        })
    };
    let (place, page) = lose(77_258);
    let said = words(&page);
    let head = said.find("77,258 events were not recorded").unwrap();
    assert!(head < said.find("duration").unwrap() && said.contains("raise max_trackers"), "{page}");
    let json = place.run(&["report", "x.db", "--json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["lost_events"].as_i64(), Some(77_258));
    // The explorer says so at any width; the name gives way.
    let named = place.path("rip-1796132777-of-a-long-name.db");
    std::fs::copy(place.path("x.db"), &named).unwrap();
    for width in [40, 80, 100, 160] {
        let screen = Driver::new(&named, (width, 24)).text();
        let header = screen.lines().next().unwrap();
        assert!(header.contains("! 77,258 lost"), "{width}: {header}");
    }
    let (_, page) = lose(0);
    assert!(!page.contains('!') && !page.contains("unknown_frees"), "{page}");
}

#[test]
fn more_alive_than_resident_was_never_touched() {
    let (_, page) = report(|writer, nodes| {
        writer.alloc((0, 0), MS, 0x1000, 5 << 30, nodes[0]);
        writer.flush();
        writer.sample(2 * MS, [Some(4 << 20), None, None]);
        end(writer, 3 * MS);
    });
    let said = words(&page);
    assert!(said.contains("of which at least 5.00 GiB were never touched"), "{page}");
    assert!(said.contains("at the end 5.00 GiB in 1 block "), "{page}");
}
