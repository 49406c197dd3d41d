//! Twins of the queries about threads, requests and the recording itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::database::builtin_queries::{Twin, TwinFn};
use crate::database::reference_sites::twin;
use crate::row;
use crate::support::random_heap::{Block, Dice, Heap, SCOPES, scope_of, thread_name};

pub(crate) const TWINS: &[(&str, TwinFn)] = &[
    ("unusual_requests", unusual_requests),
    ("by_thread", by_thread),
    ("thread_matrix", thread_matrix),
    ("overview", overview),
    ("health", health),
    ("failures", failures),
    ("leaks_by_scope", leaks_by_scope),
    ("sites_of_scope", sites_of_scope),
    ("made_between_alive_at", made_between_alive_at),
    ("marks", marks),
    ("resident_memory", resident_memory),
];

/// Whether a scope is another one or inside it.
fn is_inside(scope: i64, other: i64) -> bool {
    let path = |id: i64| SCOPES.iter().find(|scope| scope.0 == id).unwrap().2;
    scope == other || path(scope).starts_with(&format!("{} > ", path(other)))
}

/// Blocks that were made in a scope or further in, with the scope of each.
fn in_scope(heap: &Heap, scope: i64) -> Vec<(i64, &Block)> {
    let scoped = heap.blocks.iter().enumerate().map(|(row, block)| (scope_of(row), block));
    scoped
        .filter_map(|(own, block)| Some((own.filter(|own| is_inside(*own, scope))?, block)))
        .collect()
}

/// Live bytes, live blocks, bytes and blocks by site, most live bytes first.
fn by_site(blocks: &[(i64, &Block)]) -> Vec<(Option<i64>, [i64; 4])> {
    let mut sums: BTreeMap<Option<i64>, [i64; 4]> = BTreeMap::new();
    for (_, block) in blocks {
        let live = i64::from(block.freed.is_none());
        let more = [live * block.size, live, block.size, 1];
        let sums = sums.entry(block.bt).or_default();
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|(bt, sums)| (Reverse(sums[0]), Reverse(sums[2]), *bt));
    rows
}

fn leaks_by_scope(heap: &Heap, _: &mut Dice) -> Twin {
    let live = |blocks: &[(i64, &Block)]| -> i64 {
        blocks.iter().filter(|(_, b)| b.freed.is_none()).map(|(_, b)| b.size).sum()
    };
    let all = heap.blocks.iter().map(|block| (0, block)).collect::<Vec<_>>();
    let mut rows = Vec::new();
    for (id, _, path) in SCOPES {
        let blocks = in_scope(heap, id);
        let own: Vec<_> = blocks.iter().copied().filter(|(own, _)| *own == id).collect();
        let sites = by_site(&blocks);
        // Of two sites that hold as much the one with the smaller number.
        let heaviest = sites.iter().min_by_key(|(bt, sums)| (Reverse(sums[0]), *bt));
        let Some((bt, _)) = heaviest else { continue };
        let sum = |i: usize| sites.iter().map(|(_, sums)| sums[i]).sum::<i64>();
        let share = sum(0) as f64 / live(&all).max(1) as f64;
        let row = row![id, path, sum(0), sum(1), live(&own), share, sum(2), sum(3), *bt];
        rows.push(((Reverse(sum(0)), Reverse(sum(2)), id), row));
    }
    rows.sort_by_key(|(key, _)| *key);
    twin(rows.into_iter().map(|(_, row)| row).collect())
}

fn sites_of_scope(heap: &Heap, dice: &mut Dice) -> Twin {
    let scope = SCOPES[dice.int(SCOPES.len() as i64) as usize].0;
    let rows =
        by_site(&in_scope(heap, scope)).into_iter().map(|(bt, [live, blocks, bytes, made])| {
            row![bt, site_name(heap, bt), live, blocks, bytes, made]
        });
    Twin { rows: rows.collect(), params: vec![("scope", scope.to_string())] }
}

/// A moment and how it is typed: as a time, or by a mark's name.
fn moment(heap: &Heap, dice: &mut Dice) -> (i64, String) {
    let marks = heap.marks();
    let (at, name, ..) = marks[dice.int(marks.len() as i64) as usize];
    let same: Vec<_> = marks.iter().filter(|mark| mark.1 == name).collect();
    match dice.int(3) {
        0 => (at, format!("@{name}#{}", 1 + same.iter().position(|mark| mark.0 == at).unwrap())),
        1 => (same.last().unwrap().0, format!("@{name}")),
        _ => (at + 1, format!("{}ns", at + 1)),
    }
}

fn made_between_alive_at(heap: &Heap, dice: &mut Dice) -> Twin {
    let (from, from_typed) = moment(heap, dice);
    let (to, to_typed) = moment(heap, dice);
    let (at, at_typed) = moment(heap, dice);
    let at = Some(at).filter(|_| !dice.one_in(4));
    let kept = |b: &&Block| {
        let alive = match at {
            Some(at) => b.made <= at && b.freed.is_none_or(|freed| freed > at),
            None => b.freed.is_none(),
        };
        alive && (from..=to).contains(&b.made)
    };
    let mut sums: BTreeMap<Option<i64>, (i64, i64)> = BTreeMap::new();
    for block in heap.blocks.iter().filter(kept) {
        let sums = sums.entry(block.bt).or_default();
        *sums = (sums.0 + block.size, sums.1 + 1);
    }
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|(bt, (bytes, _))| (Reverse(*bytes), *bt));
    let rows = rows.into_iter().map(|(bt, (bytes, n))| row![bt, site_name(heap, bt), bytes, n]);
    let at_typed = at.map_or(String::new(), |_| at_typed);
    let params = vec![("from", from_typed), ("to", to_typed), ("alive_at", at_typed)];
    Twin { rows: rows.collect(), params }
}

fn marks(heap: &Heap, _: &mut Dice) -> Twin {
    let (all, blocks) = (heap.marks(), heap.blocks.iter().collect::<Vec<_>>());
    let mut rows = Vec::new();
    for (i, (at, name, value, thread)) in all.iter().enumerate() {
        let nth = all[..=i].iter().filter(|mark| mark.1 == *name).count();
        let since = i.checked_sub(1).map(|before| at - all[before].0);
        let (live, _) = heap.live_at_end_of(heap.slice(*at), &blocks);
        rows.push(row![*at, format!("@{name}#{nth}"), *value, *thread, since, live]);
    }
    twin(rows)
}

fn resident_memory(heap: &Heap, _: &mut Dice) -> Twin {
    let rows = heap.samples().into_iter().map(|(at, rss, cgroup, live)| {
        let share = rss.map(|rss| live as f64 / rss.max(1) as f64);
        row![at, rss, live, share, rss.map(|rss| rss - live), cgroup]
    });
    twin(rows.collect())
}

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
