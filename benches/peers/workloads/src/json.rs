//! `json`: serde_json parses an array of 2,000 nested records into `Value`, again and again. Many
//! small blocks of many sizes from a recursive parser, as services do all day. One iteration is
//! one parse, with the drop of what it made.

use std::fmt::Write as _;
use std::hint::black_box;

use serde_json::Value;

use crate::{Scatter, Work};

const RECORDS: u64 = 2_000;

pub(crate) fn parse_records() -> Work {
    let text = records(RECORDS);
    Box::new(move |iterations| {
        for _ in 0..iterations {
            let value: Value = serde_json::from_str(&text).expect("the records are valid JSON");
            drop(black_box(value));
        }
    })
}

/// An array of `count` records, four levels deep.
pub(crate) fn records(count: u64) -> String {
    let mut scatter = Scatter::new(1);
    let mut text = String::from("[");
    for id in 0..count {
        if id > 0 {
            text.push(',');
        }
        record(&mut text, id, &mut scatter);
    }
    text.push(']');
    text
}

fn record(text: &mut String, id: u64, scatter: &mut Scatter) {
    let (street, zip, stars) = (scatter.below(900), scatter.below(90_000), scatter.below(50));
    let written = write!(
        text,
        r#"{{"id":{id},"name":"customer number {id}","active":{active},"score":{stars}.5,
"owner":{{"mail":"user{id}@example.org","address":{{"street":"Long Street {street}","zip":"{zip:05}",
"geo":{{"lat":{lat}.25,"lon":-{lon}.75}}}}}},"tags":["red","tag-{street}","{zip:x}"],
"orders":[{{"sku":"A-{zip}","amount":{stars},"note":null}},{{"sku":"B-{street}","amount":2,"note":"gift"}}]}}"#,
        active = id.is_multiple_of(3),
        lat = scatter.below(90),
        lon = scatter.below(180),
    );
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
}
