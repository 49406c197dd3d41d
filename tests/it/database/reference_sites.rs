//! Twins of the queries that read what is known of each site.

use std::cmp::Reverse;

use rheaper::database::Value;

use crate::database::builtin_queries::{Twin, TwinFn};
use crate::support::random_heap::{Dice, FRAMES, Heap, Site, function};

pub(crate) const TWINS: &[(&str, TwinFn)] = &[
    ("never_freed", never_freed),
    ("all_leaked", all_leaked),
    ("partial_leaks", partial_leaks),
    ("freed_at_shutdown", freed_at_shutdown),
    ("startup_constants", startup_constants),
    ("idle_sites", idle_sites),
    ("late_sites", late_sites),
    ("live_at_peak", live_at_peak),
    ("own_peaks", own_peaks),
    ("most_allocations", most_allocations),
    ("most_bytes", most_bytes),
    ("largest_blocks", largest_blocks),
    ("tiny_blocks", tiny_blocks),
    ("temporary", temporary),
    ("short_lived", short_lived),
    ("churn", churn),
    ("lifetimes", lifetimes),
    ("realloc_sites", realloc_sites),
    ("growing_containers", growing_containers),
    ("cross_thread_frees", cross_thread_frees),
    ("by_function", by_function),
    ("by_line", by_line),
    ("by_caller", by_caller),
    ("by_crate", by_crate),
    ("through", through),
    ("build_up", build_up),
];

/// A cell.
pub(crate) trait Cell {
    fn cell(self) -> Value;
}

impl Cell for i64 {
    fn cell(self) -> Value {
        Value::Integer(self)
    }
}

impl Cell for f64 {
    fn cell(self) -> Value {
        if self.is_nan() { Value::Null } else { Value::Real(self) }
    }
}

impl Cell for &str {
    fn cell(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl Cell for String {
    fn cell(self) -> Value {
        Value::Text(self)
    }
}

impl<T: Cell> Cell for Option<T> {
    fn cell(self) -> Value {
        self.map_or(Value::Null, Cell::cell)
    }
}

/// A row.
#[macro_export]
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::database::reference_sites::Cell::cell($value)),*] };
}

pub(crate) fn twin(rows: Vec<Vec<Value>>) -> Twin {
    Twin { params: Vec::new(), rows }
}

/// A share, NULL of nothing.
pub(crate) fn share(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

/// The sites that are chosen, largest key first, as rows that begin with backtrace and name.
pub(crate) fn sites(
    heap: &Heap,
    chosen: impl Fn(&Site) -> bool,
    key: impl Fn(&Site) -> i64,
    columns: impl Fn(&Site) -> Vec<Value>,
) -> Vec<Vec<Value>> {
    let mut sites = heap.sites();
    sites.retain(chosen);
    sites.sort_by_key(|site| (Reverse(key(site)), site.bt));
    sites.iter().map(|site| [row![site.bt, heap.name(site.bt)], columns(site)].concat()).collect()
}

fn total(heap: &Heap, of: impl Fn(&Site) -> i64) -> i64 {
    heap.sites().iter().map(of).sum()
}

fn never_freed(heap: &Heap, _: &mut Dice) -> Twin {
    let all = total(heap, |s| s.live_bytes);
    twin(sites(
        heap,
        |s| s.live_blocks > 0,
        |s| s.live_bytes,
        |s| {
            row![
                s.live_bytes,
                s.live_blocks,
                share(s.live_bytes, all),
                s.allocations,
                s.first,
                s.last
            ]
        },
    ))
}

fn all_leaked(heap: &Heap, dice: &mut Dice) -> Twin {
    let least = 1 + dice.int(4);
    let rows = sites(
        heap,
        |s| s.frees == 0 && s.allocations >= least,
        |s| s.live_bytes,
        |s| row![s.live_bytes, s.live_blocks, s.first, s.last],
    );
    Twin { params: vec![("blocks", least.to_string())], rows }
}

fn partial_leaks(heap: &Heap, dice: &mut Dice) -> Twin {
    let least = 1 + dice.int(4);
    let chosen =
        |s: &Site| s.frees > 0 && s.live_blocks >= least && s.live_blocks * 10 < s.allocations * 9;
    let rows = sites(
        heap,
        chosen,
        |s| s.live_bytes,
        |s| row![s.live_bytes, s.live_blocks, share(s.live_blocks, s.allocations), s.allocations],
    );
    Twin { params: vec![("blocks", least.to_string())], rows }
}

fn freed_at_shutdown(heap: &Heap, _: &mut Dice) -> Twin {
    twin(sites(
        heap,
        |s| s.end_blocks > 0,
        |s| s.end_bytes,
        |s| row![s.end_bytes, s.end_blocks, s.allocations],
    ))
}

fn startup_constants(heap: &Heap, _: &mut Dice) -> Twin {
    twin(sites(
        heap,
        |s| s.frees == 0 && s.last * 20 <= heap.duration,
        |s| s.live_bytes,
        |s| row![s.live_bytes, s.live_blocks, s.last],
    ))
}

fn idle_sites(heap: &Heap, dice: &mut Dice) -> Twin {
    let idle = dice.int(heap.duration);
    let rows = sites(
        heap,
        |s| s.live_blocks > 0 && heap.duration - s.last >= idle,
        |s| s.live_bytes,
        |s| row![s.live_bytes, s.live_blocks, heap.duration - s.last, s.last],
    );
    Twin { params: vec![("idle", format!("{idle}ns"))], rows }
}

fn late_sites(heap: &Heap, dice: &mut Dice) -> Twin {
    let after = dice.int(heap.duration / 2);
    let mut late = heap.sites();
    late.retain(|s| s.first > after);
    late.sort_by_key(|s| (Reverse(s.live_bytes), Reverse(s.bytes), s.bt));
    let rows = late
        .iter()
        .map(|s| row![s.bt, heap.name(s.bt), s.first, s.live_bytes, s.bytes, s.allocations])
        .collect();
    Twin { params: vec![("after", format!("{after}ns"))], rows }
}

fn live_at_peak(heap: &Heap, _: &mut Dice) -> Twin {
    let all = total(heap, |s| s.at_peak_bytes);
    twin(sites(
        heap,
        |s| s.at_peak_blocks > 0,
        |s| s.at_peak_bytes,
        |s| row![s.at_peak_bytes, s.at_peak_blocks, share(s.at_peak_bytes, all)],
    ))
}

fn own_peaks(heap: &Heap, _: &mut Dice) -> Twin {
    twin(sites(heap, |_| true, |s| s.peak_bytes, |s| row![s.peak_bytes, s.peak_ns, s.live_bytes]))
}

fn most_allocations(heap: &Heap, _: &mut Dice) -> Twin {
    let all = total(heap, |s| s.allocations);
    twin(sites(
        heap,
        |_| true,
        |s| s.allocations,
        |s| row![s.allocations, share(s.allocations, all), s.bytes, s.live_blocks],
    ))
}

fn most_bytes(heap: &Heap, _: &mut Dice) -> Twin {
    let all = total(heap, |s| s.bytes);
    twin(sites(
        heap,
        |_| true,
        |s| s.bytes,
        |s| row![s.bytes, share(s.bytes, all), s.allocations, share(s.bytes, s.allocations)],
    ))
}

fn largest_blocks(heap: &Heap, dice: &mut Dice) -> Twin {
    let least = dice.int(5_000);
    let rows = sites(
        heap,
        |s| s.size_max >= least,
        |s| s.size_max,
        |s| row![s.size_max, s.size_min, s.allocations, s.live_bytes],
    );
    Twin { params: vec![("size", least.to_string())], rows }
}

fn tiny_blocks(heap: &Heap, dice: &mut Dice) -> Twin {
    let (most, permille) = (1 + dice.int(2_000), dice.int(300));
    let all = total(heap, |s| s.allocations);
    let chosen =
        |s: &Site| s.bytes <= most * s.allocations && s.allocations * 1000 >= permille * all;
    let rows = sites(
        heap,
        chosen,
        |s| s.allocations,
        |s| row![s.allocations, share(s.bytes, s.allocations), s.live_blocks],
    );
    Twin { params: vec![("size", most.to_string()), ("permille", permille.to_string())], rows }
}

fn temporary(heap: &Heap, _: &mut Dice) -> Twin {
    twin(sites(
        heap,
        |s| s.temporary > 0,
        |s| s.temporary,
        |s| row![s.temporary, share(s.temporary, s.allocations), s.temporary_bytes, s.allocations],
    ))
}

fn short_lived(heap: &Heap, dice: &mut Dice) -> Twin {
    let (most, permille) = (dice.int(heap.duration / 4), dice.int(300));
    let all = total(heap, |s| s.allocations);
    let chosen = |s: &Site| {
        s.lifetime(50).is_some_and(|p50| p50 <= most) && s.allocations * 1000 >= permille * all
    };
    let rows =
        sites(heap, chosen, |s| s.allocations, |s| row![s.allocations, s.lifetime(50), s.bytes]);
    Twin {
        params: vec![("lifetime", format!("{most}ns")), ("permille", permille.to_string())],
        rows,
    }
}

fn churn(heap: &Heap, dice: &mut Dice) -> Twin {
    let least = 1 + dice.int(4);
    let mut busy = heap.sites();
    busy.retain(|s| s.allocations >= least && s.last > s.first);
    let rate = |n: i64, s: &Site| n as f64 * 1e9 / (s.last - s.first) as f64;
    busy.sort_by(|a, b| {
        rate(b.allocations, b).total_cmp(&rate(a.allocations, a)).then(a.bt.cmp(&b.bt))
    });
    let rows = busy.iter().map(|s| {
        row![
            s.bt,
            heap.name(s.bt),
            rate(s.allocations, s),
            rate(s.bytes, s),
            s.allocations,
            s.last - s.first
        ]
    });
    Twin { params: vec![("blocks", least.to_string())], rows: rows.collect() }
}

fn lifetimes(heap: &Heap, _: &mut Dice) -> Twin {
    twin(sites(
        heap,
        |s| s.frees > 0,
        |s| s.frees,
        |s| {
            row![
                s.frees,
                s.lifetime(50),
                s.lifetime(90),
                s.lifetime(99),
                s.lifetimes.last().copied(),
                s.live_blocks
            ]
        },
    ))
}

fn realloc_sites(heap: &Heap, _: &mut Dice) -> Twin {
    twin(sites(
        heap,
        |s| s.reallocs > 0,
        |s| s.reallocs,
        |s| row![s.reallocs, s.moved, share(s.moved, s.reallocs), s.bytes],
    ))
}

fn growing_containers(heap: &Heap, dice: &mut Dice) -> Twin {
    let factor = 1 + dice.int(8);
    let chosen =
        |s: &Site| s.reallocs > 0 && s.live_blocks > 0 && s.size_max >= factor * s.size_min.max(1);
    let rows = sites(
        heap,
        chosen,
        |s| s.live_bytes,
        |s| row![s.live_bytes, s.live_blocks, s.size_min, s.size_max, s.reallocs],
    );
    Twin { params: vec![("factor", factor.to_string())], rows }
}

fn cross_thread_frees(heap: &Heap, _: &mut Dice) -> Twin {
    twin(sites(
        heap,
        |s| s.cross > 0,
        |s| s.cross,
        |s| row![s.cross, share(s.cross, s.frees), s.frees],
    ))
}

/// Sums of sites by a key that begins a row, sorted by one of four measures and a second key.
fn sums_by<K: Ord + Clone>(
    heap: &Heap,
    dice: &mut Dice,
    key: impl Fn(&Site) -> K,
    cells: impl Fn(&K) -> Vec<Value>,
) -> Twin {
    let mut groups: std::collections::BTreeMap<K, [i64; 6]> = std::collections::BTreeMap::new();
    for site in heap.sites() {
        let sums = groups.entry(key(&site)).or_default();
        let more =
            [site.at_peak_bytes, site.bytes, site.live_bytes, site.allocations, site.temporary, 1];
        for (sum, more) in sums.iter_mut().zip(more) {
            *sum += more;
        }
    }
    let whole = [0, 1, 2].map(|at| groups.values().map(|sums| sums[at]).sum::<i64>());
    let (measure, column) =
        [("peak", 0), ("bytes", 1), ("live", 2), ("temporary", 4)][dice.int(4) as usize];
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(key, sums)| (Reverse(sums[column]), Reverse(sums[1]), key.clone()));
    let part = |sums: &[i64; 6], at: usize| match whole[at] {
        0 => f64::NAN,
        whole => share(sums[at], whole),
    };
    let row = |(key, sums): &(K, [i64; 6])| {
        let numbers = row![
            sums[0],
            part(sums, 0),
            sums[1],
            part(sums, 1),
            sums[2],
            part(sums, 2),
            sums[3],
            sums[4],
            sums[5]
        ];
        [cells(key), numbers].concat()
    };
    let rows = groups.iter().map(row).collect();
    Twin { params: vec![("measure", measure.to_owned())], rows }
}

fn by_function(heap: &Heap, dice: &mut Dice) -> Twin {
    let frame = |sym: &&str| FRAMES.iter().find(|frame| frame.sym == *sym).unwrap();
    sums_by(
        heap,
        dice,
        |site| heap.first_own(site.bt).sym,
        |sym| row![function(frame(sym)), frame(sym).kind, frame(sym).krate],
    )
}

fn by_line(heap: &Heap, dice: &mut Dice) -> Twin {
    sums_by(
        heap,
        dice,
        |site| {
            let frame = heap.first_own(site.bt);
            (frame.file, frame.line, frame.sym, function(frame))
        },
        |(file, line, _, name)| row![*file, *line, *name],
    )
}

fn by_caller(heap: &Heap, dice: &mut Dice) -> Twin {
    sums_by(
        heap,
        dice,
        |site| {
            let named = heap.first_own(site.bt);
            let caller = heap.caller(site.bt).map(|id| &FRAMES[id as usize - 1]);
            (named.sym, caller.map(|it| it.sym), function(named), caller.map(function))
        },
        |(_, _, name, caller)| row![*name, *caller],
    )
}

fn by_crate(heap: &Heap, _: &mut Dice) -> Twin {
    let all = total(heap, |s| s.live_bytes);
    let mut crates: std::collections::BTreeMap<&str, [i64; 4]> = std::collections::BTreeMap::new();
    for site in heap.sites() {
        let frame = heap.first_own(site.bt);
        let sums = crates.entry(frame.krate.unwrap_or(frame.kind)).or_default();
        for (sum, more) in sums.iter_mut().zip([site.live_bytes, site.bytes, site.allocations, 1]) {
            *sum += more;
        }
    }
    let mut crates: Vec<_> = crates.into_iter().collect();
    crates.sort_by_key(|(name, sums)| (Reverse(sums[0]), Reverse(sums[1]), *name));
    let whole = |live| if all == 0 { f64::NAN } else { share(live, all) };
    twin(
        crates
            .iter()
            .map(|(name, [live, bytes, n, sites])| {
                row![*name, *live, whole(*live), *bytes, *n, *sites]
            })
            .collect(),
    )
}

/// Whether a frame of the site's stack has such a name.
fn passes(heap: &Heap, bt: i64, matches: impl Fn(&str) -> bool) -> bool {
    heap.stacks[&bt].iter().any(|id| {
        let frame = &FRAMES[*id as usize - 1];
        matches(frame.sym) || frame.file.is_some_and(&matches)
    })
}

fn through(heap: &Heap, dice: &mut Dice) -> Twin {
    let pattern = ["tokio", "server::", "cache", "main.rs", "malloc"][dice.int(5) as usize];
    let mut found = heap.sites();
    found.retain(|s| passes(heap, s.bt, |text| text.contains(pattern)));
    found.sort_by_key(|s| (Reverse(s.live_bytes), Reverse(s.bytes), s.bt));
    let rows = found
        .iter()
        .map(|s| row![s.bt, heap.name(s.bt), s.live_bytes, s.bytes, s.allocations])
        .collect();
    Twin { params: vec![("pattern", pattern.to_owned())], rows }
}

fn build_up(heap: &Heap, _: &mut Dice) -> Twin {
    let mut found: Vec<(&str, Site)> = Vec::new();
    for site in heap.sites().into_iter().filter(|s| s.live_blocks > 0) {
        let message = passes(heap, site.bt, |text| text.starts_with("flume::"));
        let task = passes(heap, site.bt, |text| text.starts_with("tokio::task::spawn"));
        if message || task {
            found.push((if message { "message" } else { "task" }, site));
        }
    }
    found.sort_by_key(|(_, s)| (Reverse(s.live_blocks), Reverse(s.live_bytes), s.bt));
    let shown = |(what, s): &(&str, Site)| {
        row![
            *what,
            s.bt,
            heap.name(s.bt),
            s.live_blocks,
            s.live_bytes,
            share(s.bytes, s.allocations)
        ]
    };
    twin(found.iter().map(shown).collect())
}
