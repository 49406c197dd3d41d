//! Twins of the queries about threads, requests and the recording itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::heap::{Block, Dice, Heap, thread_name};
use crate::queries::{Twin, TwinFn};
use crate::queries_twins_sites::twin;
use crate::row;

pub(crate) const TWINS: &[(&str, TwinFn)] = &[
    ("unusual_requests", unusual_requests),
    ("by_thread", by_thread),
    ("thread_matrix", thread_matrix),
    ("overview", overview),
    ("health", health),
    ("failures", failures),
];

/// The name of a site; none where the site made nothing.
fn site_name(heap: &Heap, bt: Option<i64>) -> Option<String> {
    bt.filter(|bt| !heap.of(*bt).is_empty()).map(|bt| heap.name(bt))
}

fn unusual_requests(heap: &Heap, _: &mut Dice) -> Twin {
    let mut rows = heap.layouts.clone();
    rows.sort_by_key(|(bt, zeroed, align, _, bytes)| (Reverse(*bytes), *bt, *zeroed, *align));
    twin(
        rows.iter()
            .map(|(bt, zeroed, align, n, bytes)| {
                row![*bt, site_name(heap, *bt), *zeroed, *align, *n, *bytes]
            })
            .collect(),
    )
}

fn by_thread(heap: &Heap, _: &mut Dice) -> Twin {
    let mut rows: Vec<_> = (0..heap.threads)
        .map(|id| {
            let made: Vec<&Block> = heap.blocks.iter().filter(|b| b.maker == id).collect();
            let live: Vec<&&Block> = made.iter().filter(|b| b.freed.is_none()).collect();
            let frees = heap.blocks.iter().filter(|b| b.freer == Some(id)).count() as i64;
            let bytes: i64 = made.iter().map(|b| b.size).sum();
            let live_bytes: i64 = live.iter().map(|b| b.size).sum();
            (
                id,
                live_bytes,
                live.len() as i64,
                bytes,
                made.len() as i64,
                frees,
                made.iter().map(|b| b.made).max(),
            )
        })
        .collect();
    rows.sort_by_key(|row| (Reverse(row.1), Reverse(row.3), row.0));
    twin(rows.iter().map(|r| row![r.0, thread_name(r.0), r.1, r.2, r.3, r.4, r.5, r.6]).collect())
}

fn thread_matrix(heap: &Heap, dice: &mut Dice) -> Twin {
    let only = dice.one_in(2).then(|| dice.int(heap.threads));
    let mut pairs: BTreeMap<(i64, i64), (i64, i64)> = BTreeMap::new();
    for block in &heap.blocks {
        let Some(freer) = block.freer.filter(|freer| *freer != block.maker) else {
            continue;
        };
        if only.is_none_or(|only| only == block.maker) {
            let sums = pairs.entry((block.maker, freer)).or_default();
            *sums = (sums.0 + 1, sums.1 + block.size);
        }
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(pair, sums)| (Reverse(sums.0), *pair));
    let rows = pairs.iter().map(|((maker, freer), (n, bytes))| {
        row![*maker, *freer, thread_name(*maker), thread_name(*freer), *n, *bytes]
    });
    // A number and a name mean the same.
    let typed = only
        .map_or(String::new(), |id| if dice.one_in(2) { thread_name(id) } else { id.to_string() });
    Twin { params: vec![("thread", typed)], rows: rows.collect() }
}

fn overview(heap: &Heap, _: &mut Dice) -> Twin {
    let sum = |blocks: &[&Block]| blocks.iter().map(|b| b.size).sum::<i64>();
    let all: Vec<&Block> = heap.blocks.iter().collect();
    let live: Vec<&Block> = all.iter().filter(|b| b.freed.is_none()).copied().collect();
    let (peak, at) = heap.peak();
    twin(vec![row![
        heap.duration,
        all.len() as i64,
        sum(&all),
        (all.len() - live.len()) as i64,
        live.len() as i64,
        sum(&live),
        peak,
        at,
        heap.threads,
        heap.sites().len() as i64,
    ]])
}

fn health(heap: &Heap, _: &mut Dice) -> Twin {
    let mut losses = heap.losses.clone();
    losses.sort_by_key(|(name, count)| (Reverse(*count), *name));
    twin(losses.iter().map(|(name, count)| row![*name, *count, "something was lost"]).collect())
}

fn failures(heap: &Heap, _: &mut Dice) -> Twin {
    let mut rows = heap.failures.clone();
    rows.sort_by_key(|(at, bt, _, _)| (*at, *bt));
    twin(
        rows.iter()
            .map(|(at, bt, size, thread)| row![*at, *bt, site_name(heap, *bt), *size, *thread])
            .collect(),
    )
}
