//! `btree`: a `BTreeMap<u64, String>` is filled with 50,000 scattered keys and dropped. Blocks that
//! stay alive, addresses far apart, nodes that split deep inside the map. One iteration is one map.

use std::collections::BTreeMap;
use std::hint::black_box;

use crate::{Scatter, Work};

const KEYS: u64 = 50_000;

pub(crate) fn fill() -> Work {
    Box::new(|iterations| {
        for _ in 0..iterations {
            let mut scatter = Scatter::new(2);
            let mut map = BTreeMap::new();
            for i in 0..KEYS {
                map.insert(scatter.next(), format!("value number {i}"));
            }
            drop(black_box(map));
        }
    })
}
