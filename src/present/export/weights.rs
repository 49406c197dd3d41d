//! Computes the weights of backtraces: from the totals of sites, from a scan of blocks, or from a
//! column of a query result.
//!
//! Invariants:
//! - The weights of all backtraces, including blocks without one, add up to the recording's totals.
//! - Memory grows with backtraces only.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::database::table::{Column, Unit};
use crate::database::{Database, Measure, Value};
use crate::present::export::error::ExportError;
use crate::present::export::metadata::Metadata;
use crate::present::export::request::{Request, Selection, Window};

/// A kind of weight, of which each backtrace has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WeightKind {
    /// The title of the measure, or the name of the column.
    pub name: String,
    /// The unit.
    pub unit: Unit,
    /// The source of the numbers.
    pub source: Source,
}

/// The source of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A measure.
    Measure(Measure),
    /// A column of the selection.
    Column,
}

/// The weights of every backtrace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weights {
    /// The kinds of weights.
    pub kinds: Vec<WeightKind>,
    /// Backtraces in ascending order; `None`, for blocks without one, is the last.
    pub bts: Vec<Option<i64>>,
    /// One number per backtrace and kind, by backtrace.
    numbers: Vec<i64>,
}

impl Weights {
    /// The weights of the backtrace at a position.
    pub(crate) fn at(&self, position: usize) -> &[i64] {
        let width = self.kinds.len();
        &self.numbers[position * width..(position + 1) * width]
    }

    /// The position of a measure in `kinds`.
    pub(crate) fn kind(&self, measure: Measure) -> Option<usize> {
        self.kinds.iter().position(|kind| kind.source == Source::Measure(measure))
    }

    fn new(kinds: Vec<WeightKind>, mut rows: Vec<(Option<i64>, Vec<i64>)>) -> Self {
        rows.sort_by_key(|(bt, _)| (bt.is_none(), *bt));
        let mut weights = Self { kinds, ..Self::default() };
        for (bt, numbers) in rows {
            weights.bts.push(bt);
            weights.numbers.extend(numbers);
        }
        weights
    }
}

/// Computes the weights of a request; also returns whether they are the totals of whole sites.
pub(crate) fn compute(
    database: &Database,
    request: &Request<'_>,
) -> Result<(Weights, bool), ExportError> {
    let columns = match &request.selection {
        Some(selection) => {
            let columns = database.columns(&selection.sql)?;
            check_bt(&columns, selection)?;
            Some(columns)
        }
        None => None,
    };
    if let (Some(selection), Some(columns)) = (&request.selection, &columns) {
        if let Some(weight) = &request.weight {
            return Ok((from_column(database, request, selection, columns, weight)?, false));
        }
        if BLOCK_COLUMNS.iter().all(|name| find(columns, name).is_some()) {
            return Ok((from_blocks(database, request, &selection.sql)?, false));
        }
    }
    if !request.window.is_whole() {
        return Ok((from_blocks(database, request, "SELECT * FROM allocations")?, false));
    }
    Ok((from_sites(database, request)?, true))
}

/// The columns by which rows of a selection are recognized as blocks.
const BLOCK_COLUMNS: [&str; 4] = ["bt", "size", "alloc_after", "dealloc_after"];

fn find<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

fn check_bt(columns: &[Column], selection: &Selection) -> Result<(), ExportError> {
    if find(columns, "bt").is_some() {
        return Ok(());
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    Err(ExportError::Request(format!(
        "{}: its rows name no backtraces: a column `bt` is needed, there are: {}",
        selection.title,
        names.join(", ")
    )))
}

/// The measures of sites and blocks, in the order of the numbers of a backtrace.
const MEASURES: [Measure; 8] = [
    Measure::Allocations,
    Measure::AllocatedBytes,
    Measure::LiveBlocks,
    Measure::LiveBytes,
    Measure::LeakedBlocks,
    Measure::LeakedBytes,
    Measure::PeakBlocks,
    Measure::PeakBytes,
];

fn measure_kinds() -> Vec<WeightKind> {
    let kind = |measure: Measure| WeightKind {
        name: measure.title().to_owned(),
        unit: measure.unit(),
        source: Source::Measure(measure),
    };
    MEASURES.map(kind).to_vec()
}

/// The totals of sites. Without a window, leaked blocks are the live ones.
fn from_sites(database: &Database, request: &Request<'_>) -> Result<Weights, ExportError> {
    let only = match &request.selection {
        Some(selection) => format!("WHERE bt IN (SELECT bt FROM ({}))", statement(&selection.sql)),
        None => String::new(),
    };
    let sql = format!(
        "SELECT bt, allocations, bytes, live_blocks, live_bytes, live_blocks, live_bytes, \
         at_peak_blocks, at_peak_bytes FROM sites {only}"
    );
    let mut rows = Vec::new();
    let mut rest = if request.selection.is_none() { totals(database, request)? } else { [0; 8] };
    database.stream(&sql, &request.params(), &request.limits(), |row| {
        let numbers: Vec<i64> = row[1..].iter().map(|it| it.as_i64().unwrap_or(0)).collect();
        for (rest, number) in rest.iter_mut().zip(&numbers) {
            *rest = rest.saturating_sub(*number);
        }
        rows.push((row[0].as_i64(), numbers));
        ControlFlow::Continue(())
    })?;
    // Blocks that belong to no site have no recorded backtrace.
    if request.selection.is_none() && rest.iter().any(|number| *number > 0) {
        rows.push((None, rest.iter().map(|number| (*number).max(0)).collect()));
    }
    Ok(Weights::new(measure_kinds(), rows))
}

/// The totals of the recording in the order of [`MEASURES`].
fn totals(database: &Database, request: &Request<'_>) -> Result<[i64; 8], ExportError> {
    let metadata = Metadata::read(database, request)?;
    Ok([
        "allocations",
        "bytes",
        "live_blocks",
        "live_bytes",
        "live_blocks",
        "live_bytes",
        "peak_blocks",
        "peak_bytes",
    ]
    .map(|name| metadata.number(name)))
}

/// Resolution of fractional blocks in sums of samples: far below rounding and overflow.
const PARTS_OF_A_BLOCK: i64 = 1 << 12;

/// Sums over the blocks of a window, or of the selection.
fn from_blocks(
    database: &Database,
    request: &Request<'_>,
    blocks: &str,
) -> Result<Weights, ExportError> {
    let metadata = Metadata::read(database, request)?;
    let (peak, rate) = (metadata.number("peak_ns"), metadata.rate());
    let sql = blocks_sql(request, blocks);
    let mut sums: HashMap<Option<i64>, [i64; 8]> = HashMap::new();
    // A sample stands for a fractional number of blocks, which is summed in fixed point.
    let parts = if rate.is_some() { PARTS_OF_A_BLOCK } else { 1 };
    let to = request.window.to.unwrap_or(i64::MAX);
    database.stream(&sql, &request.params(), &request.limits(), |row| {
        let size = row[1].as_i64().unwrap_or(0);
        let made = row[2].as_i64().unwrap_or(0);
        let freed = row[3].as_i64();
        let alive_at = |at: i64| made <= at && freed.is_none_or(|freed| freed > at);
        let counts = [true, alive_at(to), freed.is_none(), alive_at(peak)];
        let (blocks, size) = match rate {
            None => (1, size),
            Some(rate) => {
                let of = size.max(0).unsigned_abs();
                let blocks = (rate.blocks(of) * parts as f64).round() as i64;
                (blocks, rate.bytes(of).cast_signed())
            }
        };
        let sums = sums.entry(row[0].as_i64()).or_default();
        for (pair, counts) in sums.as_chunks_mut::<2>().0.iter_mut().zip(counts) {
            if counts {
                pair[0] = pair[0].saturating_add(blocks);
                pair[1] = pair[1].saturating_add(size);
            }
        }
        ControlFlow::Continue(())
    })?;
    for numbers in sums.values_mut() {
        for pair in numbers.as_chunks_mut::<2>().0 {
            pair[0] = (pair[0] + parts / 2) / parts;
        }
    }
    let rows = sums.into_iter().map(|(bt, numbers)| (bt, numbers.to_vec())).collect();
    Ok(Weights::new(measure_kinds(), rows))
}

fn blocks_sql(request: &Request<'_>, blocks: &str) -> String {
    let Window { from, to } = request.window;
    let mut conditions = Vec::new();
    conditions.extend(from.map(|from| format!("alloc_after >= {from}")));
    conditions.extend(to.map(|to| format!("alloc_after <= {to}")));
    let is_result = request.selection.as_ref().is_some_and(|it| it.sql == blocks);
    if let Some(selection) = request.selection.as_ref().filter(|_| !is_result) {
        conditions.push(format!("bt IN (SELECT bt FROM ({}))", statement(&selection.sql)));
    }
    if conditions.is_empty() {
        conditions.push("1".to_owned());
    }
    let blocks = statement(blocks);
    let conditions = conditions.join(" AND ");
    format!("SELECT bt, size, alloc_after, dealloc_after FROM ({blocks}) WHERE {conditions}")
}

/// Sums of a column of the selection.
fn from_column(
    database: &Database,
    request: &Request<'_>,
    selection: &Selection,
    columns: &[Column],
    weight: &str,
) -> Result<Weights, ExportError> {
    if !request.window.is_whole() {
        return Err(ExportError::Request(
            "--from and --to choose blocks, and can't be used with --weight: \
             the weights are those of the rows"
                .to_owned(),
        ));
    }
    let Some(column) = find(columns, weight) else {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let names = names.join(", ");
        let title = &selection.title;
        return Err(ExportError::Request(format!(
            "{title}: there is no column `{weight}`, only: {names}"
        )));
    };
    let kind = WeightKind { name: column.name.clone(), unit: column.unit, source: Source::Column };
    let quoted = format!("\"{}\"", column.name.replace('"', "\"\""));
    let sql = format!("SELECT bt, {quoted} FROM ({})", statement(&selection.sql));
    let mut sums: HashMap<Option<i64>, f64> = HashMap::new();
    let mut wholes: HashMap<Option<i64>, i64> = HashMap::new();
    let mut text = false;
    database.stream(&sql, &request.params(), &request.limits(), |row| {
        let bt = row[0].as_i64();
        match &row[1] {
            Value::Integer(number) => {
                let sum = wholes.entry(bt).or_default();
                *sum = sum.saturating_add(*number);
            }
            Value::Real(number) => *sums.entry(bt).or_default() += number,
            Value::Null => {}
            Value::Text(_) | Value::Blob(_) => {
                text = true;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    if text {
        return Err(ExportError::Request(format!(
            "{}: column `{weight}` has text, and a weight is a number",
            selection.title
        )));
    }
    for (bt, sum) in sums {
        let whole = wholes.entry(bt).or_default();
        *whole = whole.saturating_add(sum.round() as i64);
    }
    let rows = wholes.into_iter().map(|(bt, sum)| (bt, vec![sum])).collect();
    Ok(Weights::new(vec![kind], rows))
}

/// A statement as a subquery: without a trailing `;`, and on lines of its own, because it may end in
/// a comment.
fn statement(sql: &str) -> String {
    format!("\n{}\n", sql.trim_end().trim_end_matches(';'))
}
