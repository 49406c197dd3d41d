//! Twins of the queries that need single blocks, slices of the run or anything else.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rheaper::database::Value;
use rheaper::database::sql::functions::size_class;

use crate::database::builtin_queries::{Twin, TwinFn};
use crate::database::reference_sites::{share, sites, twin};
use crate::row;
use crate::support::random_heap::{Block, Dice, Heap, Site};

pub(crate) const TWINS: &[(&str, TwinFn)] = &[
    ("suspects", |_, _| twin(Vec::new())),
    ("never_freed_older_than", never_freed_older_than),
    ("growing_sites", growing_sites),
    ("bounded_sites", bounded_sites),
    ("growth_by_site", growth_by_site),
    ("survival_by_site", survival_by_site),
    ("suspicious_age", suspicious_age),
    ("retained_in_window", retained_in_window),
    ("alive_through", alive_through),
    ("alive_at", alive_at),
    ("peak_in_window", peak_in_window),
    ("grew_between", grew_between),
    ("timeline", timeline),
    ("size_histogram", size_histogram),
    ("steady_state", steady_state),
    ("realloc_chains", realloc_chains),
    ("size_class_waste", size_class_waste),
    ("sparse_pages", sparse_pages),
];

/// Blocks by backtrace, NULL among them, as rows (bt, site, bytes, blocks), most bytes first.
fn grouped(
    heap: &Heap,
    chosen: impl Fn(&Block) -> bool,
) -> Vec<(Option<i64>, i64, i64, Vec<&Block>)> {
    let mut groups: BTreeMap<Option<i64>, Vec<&Block>> = BTreeMap::new();
    for block in heap.blocks.iter().filter(|block| chosen(block)) {
        groups.entry(block.bt).or_default().push(block);
    }
    let sum = |blocks: &[&Block]| blocks.iter().map(|block| block.size).sum();
    let rows =
        groups.into_iter().map(|(bt, blocks)| (bt, sum(&blocks), blocks.len() as i64, blocks));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(bt, bytes, _, _)| (Reverse(*bytes), *bt));
    rows
}

fn name(heap: &Heap, bt: Option<i64>) -> Option<String> {
    bt.map(|bt| heap.name(bt))
}

fn never_freed_older_than(heap: &Heap, dice: &mut Dice) -> Twin {
    let age = dice.int(heap.duration);
    let mut rows = grouped(heap, |b| b.freed.is_none() && heap.duration - b.made >= age);
    rows.sort_by_key(|(bt, bytes, blocks, _)| (Reverse(*bytes), Reverse(*blocks), *bt));
    let rows = rows.iter().map(|(bt, bytes, count, blocks)| {
        row![
            *bt,
            name(heap, *bt),
            *bytes,
            *count,
            blocks.iter().map(|b| heap.duration - b.made).max()
        ]
    });
    Twin { params: vec![("age", format!("{age}ns"))], rows: rows.collect() }
}

/// Bytes of a site at half time, as far as whole rows of its curve tell.
fn half(heap: &Heap, bt: i64) -> i64 {
    let before = (0..heap.slices)
        .filter(|slice| *slice < heap.slices / 2 && heap.group_end(*slice) == *slice);
    before.max().map_or(0, |slice| heap.live_at_end_of(slice, &heap.of(bt)).0)
}

fn halves(
    heap: &Heap,
    chosen: impl Fn(&Site, i64) -> bool,
    key: impl Fn(&Site) -> i64,
) -> Vec<Vec<Value>> {
    let late = |s: &Site| s.last * 10 >= heap.duration * 9;
    sites(
        heap,
        |s| late(s) && chosen(s, half(heap, s.bt)),
        key,
        |s| {
            let half = half(heap, s.bt);
            row![s.live_bytes, half, s.live_bytes - half, s.last]
        },
    )
}

fn growing_sites(heap: &Heap, _: &mut Dice) -> Twin {
    twin(halves(heap, |s, half| s.live_bytes > half, |s| s.live_bytes - half(heap, s.bt)))
}

fn bounded_sites(heap: &Heap, dice: &mut Dice) -> Twin {
    let percent = dice.int(150);
    let flat = |s: &Site, half: i64| {
        s.live_bytes > 0 && (s.live_bytes - half).abs() * 100 <= s.live_bytes * percent
    };
    Twin {
        params: vec![("percent", percent.to_string())],
        rows: halves(heap, flat, |s| s.live_bytes),
    }
}

/// The textbook's line through the points, a point a slice.
fn growth_by_site(heap: &Heap, dice: &mut Dice) -> Twin {
    let warmup = dice.int(60);
    let first = heap.slices * warmup / 100;
    let mut rows = Vec::new();
    for site in heap.sites() {
        // A row of the curve holds until the next one.
        let level = |slice: i64| {
            let told = (0..=slice).rev().find(|slice| heap.group_end(*slice) == *slice);
            told.map_or(0, |slice| heap.live_at_end_of(slice, &heap.of(site.bt)).0) as f64
        };
        let points: Vec<(f64, f64)> = (first..heap.slices).map(|x| (x as f64, level(x))).collect();
        let n = points.len() as f64;
        let (mx, my) = (
            points.iter().map(|p| p.0).sum::<f64>() / n,
            points.iter().map(|p| p.1).sum::<f64>() / n,
        );
        let sxy: f64 = points.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
        let sxx: f64 = points.iter().map(|(x, _)| (x - mx).powi(2)).sum();
        let syy: f64 = points.iter().map(|(_, y)| (y - my).powi(2)).sum();
        let seconds = heap.to_ns(heap.slices - 1) as f64 / 1e9 / heap.slices as f64;
        if sxx > 0.0 && sxy > 1e-3 {
            rows.push((sxy / sxx / seconds, sxy * sxy / (sxx * syy), site));
        }
    }
    rows.sort_by(|a, b| (b.0 * b.1).total_cmp(&(a.0 * a.1)));
    let rows = rows
        .iter()
        .map(|(slope, fit, s)| row![s.bt, heap.name(s.bt), *slope, *fit, s.live_bytes])
        .collect();
    Twin { params: vec![("warmup", warmup.to_string())], rows }
}

fn survival_by_site(heap: &Heap, dice: &mut Dice) -> Twin {
    let (age, least) = (dice.int(heap.duration), 1 + dice.int(3));
    let whole =
        |slice: &i64| heap.group_end(*slice) == *slice && heap.duration - heap.to_ns(*slice) >= age;
    let cut = (0..heap.slices).filter(whole).max();
    let mut rows = Vec::new();
    for site in heap.sites() {
        let blocks = heap.of(site.bt);
        let old: Vec<_> =
            blocks.iter().filter(|b| cut.is_some_and(|cut| heap.slice(b.made) <= cut)).collect();
        let kept: Vec<_> = old.iter().filter(|b| b.freed.is_none()).collect();
        if !old.is_empty() && old.len() as i64 >= least {
            let bytes: i64 = kept.iter().map(|b| b.size).sum();
            rows.push((
                bytes,
                share(kept.len() as i64, old.len() as i64),
                site.bt,
                old.len() as i64,
                kept.len() as i64,
            ));
        }
    }
    rows.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    let rows = rows.iter().map(|(bytes, kept_share, bt, old, kept)| {
        row![*bt, heap.name(*bt), *old, *kept, *kept_share, *bytes]
    });
    Twin {
        params: vec![("age", format!("{age}ns")), ("blocks", least.to_string())],
        rows: rows.collect(),
    }
}

fn suspicious_age(heap: &Heap, _: &mut Dice) -> Twin {
    let usual: BTreeMap<i64, i64> =
        heap.sites().iter().filter_map(|s| Some((s.bt, s.lifetime(99)?))).collect();
    let old = |b: &Block| {
        b.freed.is_none()
            && b.bt.and_then(|bt| usual.get(&bt)).is_some_and(|p99| heap.duration - b.made > *p99)
    };
    let rows = grouped(heap, old).into_iter().map(|(bt, bytes, count, blocks)| {
        let oldest = blocks.iter().map(|b| heap.duration - b.made).max();
        row![bt, name(heap, bt), count, bytes, usual[&bt.unwrap()], oldest]
    });
    twin(rows.collect())
}

/// Two moments, the second perhaps not given.
fn window(heap: &Heap, dice: &mut Dice) -> (i64, Option<i64>) {
    let from = dice.int(heap.duration);
    (from, (!dice.one_in(3)).then(|| from + dice.int(heap.duration - from + 1)))
}

fn typed(from: i64, to: Option<i64>) -> Vec<(&'static str, String)> {
    vec![("from", format!("{from}ns")), ("to", to.map_or(String::new(), |to| format!("{to}ns")))]
}

fn retained_in_window(heap: &Heap, dice: &mut Dice) -> Twin {
    let (from, to) = window(heap, dice);
    let end = to.unwrap_or(heap.duration);
    let kept = |b: &Block| {
        b.made >= from && b.made <= end && (b.freed.is_none() || (to.is_some() && b.freed > to))
    };
    let rows = grouped(heap, kept)
        .into_iter()
        .map(|(bt, bytes, count, _)| row![bt, name(heap, bt), bytes, count]);
    Twin { params: typed(from, to), rows: rows.collect() }
}

fn alive_through(heap: &Heap, dice: &mut Dice) -> Twin {
    let (from, to) = window(heap, dice);
    let end = to.map(|to| to.max(from));
    let kept =
        |b: &Block| b.made <= from && (b.freed.is_none() || (end.is_some() && b.freed > end));
    let rows = grouped(heap, kept)
        .into_iter()
        .map(|(bt, bytes, count, _)| row![bt, name(heap, bt), bytes, count]);
    Twin { params: typed(from, to), rows: rows.collect() }
}

/// Sites that live at the end of a slice: backtrace, name, bytes, blocks; most bytes first.
fn live_sites(heap: &Heap, slice: i64) -> Vec<Vec<Value>> {
    let at = |s: &Site| heap.live_at_end_of(slice, &heap.of(s.bt));
    sites(heap, |s| at(s).1 > 0, |s| at(s).0, |s| row![at(s).0, at(s).1])
}

fn slice_of(heap: &Heap, at: i64) -> i64 {
    (0..heap.slices).find(|slice| heap.to_ns(*slice) > at).unwrap_or(heap.slices - 1)
}

fn alive_at(heap: &Heap, dice: &mut Dice) -> Twin {
    let at = dice.int(heap.duration + 10);
    let alive = |b: &Block| b.made <= at && b.freed.is_none_or(|freed| freed > at);
    let rows = grouped(heap, alive)
        .into_iter()
        .map(|(bt, bytes, count, _)| row![bt, name(heap, bt), bytes, count, at]);
    Twin { params: vec![("at", format!("{at}ns"))], rows: rows.collect() }
}

fn peak_in_window(heap: &Heap, dice: &mut Dice) -> Twin {
    let (from, to) = window(heap, dice);
    let within =
        |slice: &i64| heap.to_ns(*slice) > from && to.is_none_or(|to| slice * heap.width <= to);
    let top =
        (0..heap.slices).filter(within).max_by_key(|slice| (heap.peak_in(*slice), Reverse(*slice)));
    let rows = top.map_or(Vec::new(), |top| {
        let rows = live_sites(heap, heap.group_end(top)).into_iter();
        rows.map(|row| [row, row![heap.peak_in(top), top * heap.width]].concat()).collect()
    });
    Twin { params: typed(from, to), rows }
}

fn grew_between(heap: &Heap, dice: &mut Dice) -> Twin {
    let (from, to) = window(heap, dice);
    let first = heap.group_end(slice_of(heap, from));
    let second = to.map_or(heap.slices - 1, |to| heap.group_end(slice_of(heap, to)));
    let at = |s: &Site, slice: i64| heap.live_at_end_of(slice, &heap.of(s.bt)).0;
    let grown = |s: &Site| at(s, second) - at(s, first);
    let rows =
        sites(heap, |s| grown(s) != 0, grown, |s| row![grown(s), at(s, first), at(s, second)]);
    Twin { params: typed(from, to), rows }
}

fn timeline(heap: &Heap, _: &mut Dice) -> Twin {
    let all: Vec<&Block> = heap.blocks.iter().collect();
    let rows = (0..heap.slices).map(|slice| {
        let (bytes, blocks) = heap.live_at_end_of(slice, &all);
        let before = heap.live_at_end_of(slice - 1, &all).0;
        let ((made, _), (freed, _)) = heap.in_slices(slice, slice, &all);
        let kept: i64 = all
            .iter()
            .filter(|b| b.freed.is_none() && heap.slice(b.made) <= slice)
            .map(|b| b.size)
            .sum();
        let length = heap.to_ns(slice) - slice * heap.width;
        let rate = (length > 0).then(|| made as f64 * 1e9 / length as f64);
        row![
            slice * heap.width,
            bytes,
            blocks,
            kept,
            bytes - before,
            heap.peak_in(slice),
            made,
            freed,
            rate
        ]
    });
    twin(rows.collect())
}

fn size_histogram(heap: &Heap, dice: &mut Dice) -> Twin {
    let only = dice.one_in(2).then(|| 1 + dice.int(4));
    let mut rows: BTreeMap<i64, [i64; 4]> = BTreeMap::new();
    for block in heap.blocks.iter().filter(|b| only.is_none() || b.bt == only) {
        let mut bucket = 1;
        while bucket < block.size {
            bucket *= 2;
        }
        let live = i64::from(block.freed.is_none());
        for (sum, more) in
            rows.entry(bucket).or_default().iter_mut().zip([1, block.size, live, live * block.size])
        {
            *sum += more;
        }
    }
    let rows = rows.iter().map(|(bucket, [n, bytes, live, live_bytes])| {
        row![*bucket, *n, *bytes, *live, *live_bytes]
    });
    Twin {
        params: vec![("bt", only.map_or(String::new(), |bt| bt.to_string()))],
        rows: rows.collect(),
    }
}

fn steady_state(heap: &Heap, dice: &mut Dice) -> Twin {
    let after = dice.int(heap.duration);
    let first =
        (0..heap.slices).find(|slice| slice * heap.width >= after && slice % heap.group == 0);
    let made = |s: &Site| {
        first.map_or((0, 0), |first| heap.in_slices(first, heap.slices, &heap.of(s.bt)).0)
    };
    let rows = sites(heap, |s| made(s).0 > 0, |s| made(s).0, |s| row![made(s).0, made(s).1]);
    Twin { params: vec![("after", format!("{after}ns"))], rows }
}

fn realloc_chains(heap: &Heap, dice: &mut Dice) -> Twin {
    let least = 1 + dice.int(2);
    let mut chains = Vec::new();
    for (i, block) in heap.blocks.iter().enumerate() {
        let is_last =
            !heap.blocks.iter().any(|b| b.grown_from.is_some_and(|(old, _)| old == i + 1));
        if block.grown_from.is_none() || !is_last {
            continue;
        }
        let (mut at, mut steps, mut copied) = (block, 0, 0);
        while let Some((old, moved)) = at.grown_from {
            let before = &heap.blocks[old - 1];
            copied += if moved { at.size.min(before.size) } else { 0 };
            steps += 1;
            at = before;
        }
        if steps >= least {
            chains.push((steps, block, i, at.size, copied));
        }
    }
    chains.sort_by_key(|(steps, last, row, _, _)| (Reverse(*steps), Reverse(last.size), *row));
    let rows = chains.iter().map(|(steps, last, _, first, copied)| {
        row![
            last.bt,
            name(heap, last.bt),
            *steps,
            *first,
            last.size,
            *copied,
            i64::from(last.freed.is_none())
        ]
    });
    Twin { params: vec![("steps", least.to_string())], rows: rows.collect() }
}

fn size_class_waste(heap: &Heap, _: &mut Dice) -> Twin {
    let mut rows: Vec<_> = grouped(heap, |b| b.freed.is_none())
        .into_iter()
        .map(|(bt, bytes, count, blocks)| {
            (blocks.iter().map(|b| size_class(b.size)).sum::<i64>(), bt, bytes, count)
        })
        .filter(|(reserved, _, bytes, _)| reserved > bytes)
        .collect();
    rows.sort_by_key(|(reserved, bt, bytes, _)| (Reverse(reserved - bytes), *bt));
    let shown = |(reserved, bt, bytes, count): &(i64, Option<i64>, i64, i64)| {
        row![
            *bt,
            name(heap, *bt),
            reserved - bytes,
            share(reserved - bytes, *reserved),
            *bytes,
            *count
        ]
    };
    twin(rows.iter().map(shown).collect())
}

fn sparse_pages(heap: &Heap, dice: &mut Dice) -> Twin {
    let percent = dice.int(100);
    let small = |b: &&Block| b.freed.is_none() && b.size < 4096;
    let full = |page: i64| {
        heap.blocks
            .iter()
            .filter(small)
            .filter(|b| b.addr / 4096 == page)
            .map(|b| b.size)
            .sum::<i64>()
    };
    let mut rows: Vec<_> =
        grouped(heap, |b| small(&b) && full(b.addr / 4096) * 100 <= 4096 * percent)
            .into_iter()
            .map(|(bt, bytes, count, blocks)| {
                let pages: std::collections::BTreeSet<i64> =
                    blocks.iter().map(|b| b.addr / 4096).collect();
                (pages.len() as i64, bytes, bt, count)
            })
            .collect();
    rows.sort_by_key(|(pages, bytes, bt, _)| (Reverse(*pages), Reverse(*bytes), *bt));
    let rows = rows
        .iter()
        .map(|(pages, bytes, bt, count)| row![*bt, name(heap, *bt), *pages, *bytes, *count])
        .collect();
    Twin { params: vec![("percent", percent.to_string())], rows }
}
