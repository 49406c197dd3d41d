//! SQL functions that SQLite lacks, registered on each connection. A query that uses none of them
//! also runs in plain `sqlite3`.
//!
//! Invariants:
//! - NULL arguments give NULL; no type of argument causes a panic.
//! - All functions are deterministic and depend only on their arguments.

use std::sync::Arc;

use regex::Regex;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};

use crate::database::text::units;

/// A function, for completion and documentation.
pub struct Function {
    /// Name and parameters.
    pub signature: &'static str,
    /// A description of the result.
    pub help: &'static str,
}

/// The functions that [`register`] adds.
pub const FUNCTIONS: &[Function] = &[
    Function { signature: "human_bytes(bytes)", help: "bytes with a unit: 1.50 MiB" },
    Function { signature: "human_time(ns)", help: "nanoseconds with a unit: 1m 05s" },
    Function { signature: "log2(x)", help: "logarithm to the base 2; NULL for x <= 0" },
    Function { signature: "median(x)", help: "the middle value of a group" },
    Function { signature: "percentile(x, p)", help: "the value that p % of a group do not exceed" },
    Function {
        signature: "regexp(pattern, text)",
        help: "1 if the text matches; also `text REGEXP pattern`",
    },
    Function { signature: "size_class(bytes)", help: "bytes that jemalloc reserves for a request" },
    Function { signature: "hist_bucket(x)", help: "the power of two at or above x, 0 for x <= 0" },
];

/// Limit on a compiled pattern, so that a hostile one can't exhaust memory.
const REGEX_MAX_BYTES: usize = 1 << 20;

/// Adds [`FUNCTIONS`] to a connection.
///
/// # Errors
/// If SQLite is out of memory.
pub fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("human_bytes", 1, flags, |ctx| {
        Ok(number(ctx.get_raw(0)).map(units::bytes))
    })?;
    connection.create_scalar_function("human_time", 1, flags, |ctx| {
        Ok(number(ctx.get_raw(0)).map(units::duration))
    })?;
    connection.create_scalar_function("log2", 1, flags, |ctx| {
        Ok(number(ctx.get_raw(0)).filter(|x| *x > 0.0).map(f64::log2))
    })?;
    connection.create_scalar_function("size_class", 1, flags, |ctx| {
        Ok(integer(ctx.get_raw(0)).map(size_class))
    })?;
    connection.create_scalar_function("hist_bucket", 1, flags, |ctx| {
        Ok(integer(ctx.get_raw(0)).map(hist_bucket))
    })?;
    connection.create_scalar_function("regexp", 2, flags, regexp)?;
    connection.create_aggregate_function("median", 1, flags, Percentile)?;
    connection.create_aggregate_function("percentile", 2, flags, Percentile)
}

/// jemalloc's size class of a request: 8, then steps of 16 up to 128, then four steps per doubling.
pub fn size_class(bytes: i64) -> i64 {
    match bytes {
        ..=0 => 0,
        1..=8 => 8,
        9..=128 => (bytes + 15) / 16 * 16,
        _ => {
            // 2^k < bytes <= 2^(k+1) has steps of 2^(k-2).
            let k = 63 - (bytes - 1).leading_zeros();
            let step = 1i64 << (k - 2);
            (bytes - 1).saturating_add(step) / step * step
        }
    }
}

/// The smallest power of two that is at least `x`; 0 for 0 and below.
pub fn hist_bucket(x: i64) -> i64 {
    match x {
        ..=0 => 0,
        _ => x
            .unsigned_abs()
            .checked_next_power_of_two()
            .and_then(|p| i64::try_from(p).ok())
            .unwrap_or(i64::MAX),
    }
}

/// `regexp(pattern, text)`, which `text REGEXP pattern` calls. A constant pattern is compiled once
/// per statement.
fn regexp(ctx: &Context<'_>) -> Result<Option<bool>> {
    let (ValueRef::Text(_), ValueRef::Text(text)) = (ctx.get_raw(0), ctx.get_raw(1)) else {
        return Ok(None);
    };
    let pattern: Arc<Regex> =
        ctx.get_or_create_aux(0, |value| -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
            Ok(regex::RegexBuilder::new(value.as_str()?).size_limit(REGEX_MAX_BYTES).build()?)
        })?;
    Ok(Some(pattern.is_match(&String::from_utf8_lossy(text))))
}

/// `median(x)` and `percentile(x, p)`, with linear interpolation.
struct Percentile;

/// The values of a group and the percentile.
struct Group {
    values: Vec<f64>,
    percent: f64,
}

impl Aggregate<Group, Option<Value>> for Percentile {
    fn init(&self, _: &mut Context<'_>) -> Result<Group> {
        Ok(Group { values: Vec::new(), percent: 50.0 })
    }

    fn step(&self, ctx: &mut Context<'_>, group: &mut Group) -> Result<()> {
        if ctx.len() > 1 {
            group.percent =
                number(ctx.get_raw(1)).filter(|p| (0.0..=100.0).contains(p)).ok_or_else(|| {
                    Error::UserFunctionError(
                        "percentile: the second argument must be a number from 0 to 100".into(),
                    )
                })?;
        }
        group.values.extend(number(ctx.get_raw(0)));
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, group: Option<Group>) -> Result<Option<Value>> {
        Ok(group.and_then(quantile).map(Value::Real))
    }
}

fn quantile(mut group: Group) -> Option<f64> {
    let last = group.values.len().checked_sub(1)?;
    let position = group.percent / 100.0 * last as f64;
    let below = (position.floor() as usize).min(last);
    let (_, low, rest) = group.values.select_nth_unstable_by(below, f64::total_cmp);
    let low = *low;
    let high = rest.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    Some(low + (high - low) * (position - below as f64))
}

fn number(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Integer(number) => Some(number as f64),
        ValueRef::Real(number) => Some(number),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

fn integer(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(number) => Some(number),
        _ => number(value).map(|number| number.ceil() as i64),
    }
}
