//! Filters of all views, and their SQL.
//!
//! Invariants:
//! - User text reaches SQL only through [`quote`].
//! - Without filters on single blocks, the precomputed tables suffice.
//! - Undo restores exactly the previous filter set.

use crate::database::text::units;
use crate::tui::data::time_axis::Axis;

/// Number of undo steps.
const UNDO_MAX: usize = 100;

/// Rows are in the order of frees: live blocks are the last ones.
const LIVE: &str = "dealloc_after IS NULL AND rowid > coalesce(
    (SELECT value FROM meta WHERE key = 'freed_rows'), 0)";

/// A condition for allocations.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Live at the end.
    NeverFreed,
    /// Minimum age in ns, at its free or at the end of the recording.
    AgeAtLeast(i64),
    /// Size from `.0` to `.1` bytes, both included.
    Size(i64, i64),
    /// Allocated by this thread: number and name.
    Thread(i64, String),
    /// Allocated from `.0` to before `.1`, in ns.
    AllocatedIn(i64, i64),
    /// Allocated from `.0` to before `.1`, in ns, and live at the end.
    SurvivingFrom(i64, i64),
    /// Live after all events up to this moment, in ns.
    AliveAt(i64),
    /// Live at both moments, and so in between, in ns.
    AliveThrough(i64, i64),
    /// Live at the peak.
    AtPeak,
    /// Freed after `.0` to `.1` ns, both included.
    Lifetime(i64, i64),
    /// Never freed, and `.0` to `.1` ns old at the end, both included.
    Age(i64, i64),
    /// Some frame belongs to this crate.
    Crate(String),
    /// Some frame's function or file matches this regular expression.
    Matches(String),
    /// Belongs to this suspect: rank and name.
    Suspect(i64, String),
    /// The backtrace is this one.
    Backtrace(i64),
    /// The call path contains this function.
    Through(String),
    /// The call path does not contain this function.
    NotThrough(String),
    /// The backtrace is in the rows of a query.
    Result {
        /// The title of the query.
        title: String,
        /// The statement, with a `bt` column.
        sql: String,
    },
    /// Flamegraphs hide this function.
    Hide(String),
    /// Flamegraphs start at this function.
    From(String),
}

impl Filter {
    /// The label in the filter row.
    pub fn label(&self) -> String {
        match self {
            Self::NeverFreed => "never freed".into(),
            Self::AgeAtLeast(ns) => format!("age ≥ {}", units::duration(*ns as f64)),
            Self::Size(low, i64::MAX) => format!("size ≥ {}", units::bytes(*low as f64)),
            Self::Size(0, high) => format!("size ≤ {}", units::bytes(*high as f64)),
            Self::Size(low, high) => {
                format!("size {}..{}", units::bytes(*low as f64), units::bytes(*high as f64))
            }
            Self::AllocatedIn(from, to) => format!("allocated {}", span(*from, *to)),
            Self::SurvivingFrom(from, to) => {
                format!("allocated {}, live at the end", span(*from, *to))
            }
            Self::AliveAt(at) => format!("live at {}", units::duration(*at as f64)),
            Self::AliveThrough(from, to) => format!("live throughout {}", span(*from, *to)),
            Self::AtPeak => "live at the peak".into(),
            Self::Lifetime(low, high) => format!("freed after {}", span(*low, *high)),
            Self::Age(low, high) => format!("never freed, age {}", span(*low, *high)),
            Self::Thread(id, name) if name.is_empty() => format!("thread {id}"),
            Self::Thread(_, name) => format!("thread {name}"),
            Self::Crate(name) => format!("crate {name}"),
            Self::Matches(pattern) => format!("~{pattern}"),
            Self::Suspect(id, name) => format!("suspect #{id} {name}"),
            Self::Backtrace(id) => format!("backtrace {id}"),
            Self::Through(sym) => format!("through {}", last_segments(sym)),
            Self::NotThrough(sym) => format!("not through {}", last_segments(sym)),
            Self::Result { title, .. } => format!("result of {title}"),
            Self::Hide(sym) => format!("hide {}", last_segments(sym)),
            Self::From(sym) => format!("from {}", last_segments(sym)),
        }
    }

    /// Whether the filter depends only on the site; then the precomputed tables suffice.
    pub fn is_site_filter(&self) -> bool {
        !matches!(
            self,
            Self::NeverFreed
                | Self::AgeAtLeast(_)
                | Self::Size(..)
                | Self::Thread(..)
                | Self::Lifetime(..)
                | Self::Age(..)
        ) && !self.is_time_filter()
    }

    /// Whether the filter depends on the time of allocation or on liveness at a moment.
    pub fn is_time_filter(&self) -> bool {
        matches!(
            self,
            Self::AllocatedIn(..)
                | Self::SurvivingFrom(..)
                | Self::AliveAt(_)
                | Self::AliveThrough(..)
                | Self::AtPeak
        )
    }

    /// Whether the filter affects only the drawing of flamegraphs.
    pub fn is_flame_filter(&self) -> bool {
        matches!(self, Self::Hide(_) | Self::From(_))
    }

    /// The SQL condition.
    fn condition(&self, axis: &Axis) -> Option<String> {
        let end_ns = axis.end_ns;
        let through = |sym: &str| {
            format!(
                "SELECT bt FROM backtrace_frames JOIN frames ON frames.id = frame WHERE sym = {}",
                quote(sym)
            )
        };
        Some(match self {
            Self::NeverFreed => LIVE.into(),
            Self::AgeAtLeast(ns) => {
                format!("coalesce(dealloc_after, {end_ns}) - alloc_after >= {ns}")
            }
            Self::Size(low, i64::MAX) => format!("size >= {low}"),
            Self::Size(0, high) => format!("size <= {high}"),
            Self::Size(low, high) => format!("size BETWEEN {low} AND {high}"),
            Self::Thread(id, _) => format!("alloc_thread = {id}"),
            Self::AllocatedIn(from, to) => format!("alloc_after >= {from} AND alloc_after < {to}"),
            Self::SurvivingFrom(from, to) => {
                format!("{LIVE}\n  AND alloc_after >= {from} AND alloc_after < {to}")
            }
            Self::AliveAt(at) => alive(*at, *at, axis),
            Self::AliveThrough(from, to) => alive(*from, *to, axis),
            Self::AtPeak => alive(axis.peak_ns, axis.peak_ns, axis),
            Self::Lifetime(low, high) => {
                format!("dealloc_after - alloc_after BETWEEN {low} AND {high}")
            }
            Self::Age(low, high) => {
                format!("{LIVE}\n  AND {end_ns} - alloc_after BETWEEN {low} AND {high}")
            }
            Self::Crate(name) => format!(
                "bt IN (SELECT bt FROM backtrace_frames JOIN frames ON frames.id = frame WHERE crate = {})",
                quote(name)
            ),
            Self::Matches(pattern) => format!(
                "bt IN (SELECT bt FROM backtrace_frames JOIN frames ON frames.id = frame WHERE sym REGEXP {0} OR file REGEXP {0})",
                quote(pattern)
            ),
            Self::Suspect(id, _) => format!("bt IN (SELECT bt FROM sites WHERE suspect = {id})"),
            Self::Backtrace(id) => format!("bt = {id}"),
            Self::Through(sym) => format!("bt IN ({})", through(sym)),
            Self::NotThrough(sym) => format!("(bt IS NULL OR bt NOT IN ({}))", through(sym)),
            Self::Result { sql, .. } => format!("bt IN (SELECT bt FROM ({sql}))"),
            Self::Hide(_) | Self::From(_) => return None,
        })
    }
}

/// A list of filters, all of which must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterSet {
    filters: Vec<Filter>,
}

impl FilterSet {
    /// The filters, oldest first.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether all allocations are selected.
    pub fn is_unfiltered(&self) -> bool {
        self.filters.iter().all(Filter::is_flame_filter)
    }

    /// Whether all filters depend only on the site.
    pub fn is_site_only(&self) -> bool {
        self.filters.iter().all(Filter::is_site_filter)
    }

    /// Whether it selects live blocks of sites.
    pub fn is_live_only(&self) -> bool {
        self.filters.contains(&Filter::NeverFreed)
            && self
                .filters
                .iter()
                .all(|filter| filter.is_site_filter() || *filter == Filter::NeverFreed)
    }

    /// The time filter and whether blocks must be live at the end, if all other filters depend only on the
    /// site: then sums by slice suffice.
    pub fn time_filter(&self) -> Option<(&Filter, FreedFilter)> {
        let time = self.filters.iter().find(|it| it.is_time_filter())?;
        let mut freed = match time {
            Filter::SurvivingFrom(..) => FreedFilter::LiveOnly,
            _ => FreedFilter::Any,
        };
        for filter in &self.filters {
            match filter {
                Filter::NeverFreed => freed = FreedFilter::LiveOnly,
                filter if filter == time || filter.is_site_filter() => {}
                _ => return None,
            }
        }
        Some((time, freed))
    }

    /// The SQL condition for a row of `allocations`; `None`: all rows.
    pub fn row_condition(&self, axis: &Axis) -> Option<String> {
        join(self.filters.iter().filter_map(|it| it.condition(axis)))
    }

    /// The SQL condition for a site, without filters on single blocks; `None`: all sites.
    pub fn site_condition(&self) -> Option<String> {
        let of_sites = self.filters.iter().filter(|filter| filter.is_site_filter());
        join(of_sites.filter_map(|it| it.condition(&Axis::default())))
    }
}

/// Whether freed blocks are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreedFilter {
    /// Included.
    Any,
    /// Only blocks live at the end.
    LiveOnly,
}

/// The current filter set with its undo history.
#[derive(Clone, Debug, Default)]
pub struct FilterHistory {
    current: FilterSet,
    before: Vec<FilterSet>,
    after: Vec<FilterSet>,
}

impl FilterHistory {
    /// The current filter set.
    pub fn current(&self) -> &FilterSet {
        &self.current
    }

    /// Adds a filter; it replaces earlier ones of a kind that can be used only once.
    pub fn add(&mut self, filter: Filter) {
        let mut next = self.current.clone();
        let replaces = |old: &Filter| {
            *old == filter
                || old.is_time_filter() && filter.is_time_filter()
                || matches!(
                    (old, &filter),
                    (Filter::AgeAtLeast(_), Filter::AgeAtLeast(_))
                        | (Filter::Size(..), Filter::Size(..))
                        | (
                            Filter::Lifetime(..) | Filter::Age(..),
                            Filter::Lifetime(..) | Filter::Age(..)
                        )
                        | (Filter::Thread(..), Filter::Thread(..))
                        | (Filter::Suspect(..), Filter::Suspect(..))
                        | (Filter::Backtrace(_), Filter::Backtrace(_))
                        | (Filter::From(_), Filter::From(_))
                        | (Filter::Result { .. }, Filter::Result { .. })
                )
        };
        next.filters.retain(|old| !replaces(old));
        next.filters.push(filter);
        self.set(next);
    }

    /// Removes the filters that `which` selects.
    pub fn drop_matching(&mut self, which: impl Fn(&Filter) -> bool) {
        let mut next = self.current.clone();
        next.filters.retain(|filter| !which(filter));
        self.set(next);
    }

    /// Removes the last filter.
    pub fn drop_last(&mut self) {
        let mut next = self.current.clone();
        if next.filters.pop().is_some() {
            self.set(next);
        }
    }

    /// Removes all filters.
    pub fn clear(&mut self) {
        self.set(FilterSet::default());
    }

    /// Whether there is a change to undo.
    pub fn can_undo(&self) -> bool {
        !self.before.is_empty()
    }

    /// Undoes a change; returns whether there was one.
    pub fn undo(&mut self) -> bool {
        let Some(filters) = self.before.pop() else {
            return false;
        };
        self.after.push(std::mem::replace(&mut self.current, filters));
        true
    }

    /// Redoes a change; returns whether there was one.
    pub fn redo(&mut self) -> bool {
        let Some(filters) = self.after.pop() else {
            return false;
        };
        self.before.push(std::mem::replace(&mut self.current, filters));
        true
    }

    fn set(&mut self, filters: FilterSet) {
        if filters != self.current {
            self.before.push(std::mem::replace(&mut self.current, filters));
            self.after.clear();
            if self.before.len() > UNDO_MAX {
                self.before.remove(0);
            }
        }
    }
}

/// Parses a filter as the user types it.
///
/// # Errors
/// A message for the user.
pub fn parse_filter(text: &str) -> Result<Filter, String> {
    let text = text.trim();
    let (word, rest) = match text.find(|c: char| !c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let rest = rest.trim_start_matches([' ', '≥', '>', '=', ':']).trim();
    let needed = |what: &str| match rest {
        "" => Err(format!("{word} needs a value, for example {word} {what}")),
        rest => Ok(rest.to_owned()),
    };
    match word {
        "" if text.starts_with('~') => checked_regex(rest.trim_start_matches('~')),
        "live" | "leaked" | "never" => Ok(Filter::NeverFreed),
        "age" => units::parse_duration(&needed("10m")?)
            .map(Filter::AgeAtLeast)
            .map_err(|error| error.to_string()),
        "size" => parse_size(text[word.len()..].trim()),
        "thread" => match needed("0")?.parse() {
            Ok(id) => Ok(Filter::Thread(id, String::new())),
            Err(_) => {
                Err("expected the number of a thread, as in the thread column, or its full name".into())
            }
        },
        "made" => parse_span(rest).map(|(from, to)| Filter::AllocatedIn(from, to)),
        "kept" => parse_span(rest).map(|(from, to)| Filter::SurvivingFrom(from, to)),
        "at" if rest == "peak" => Ok(Filter::AtPeak),
        "at" | "alive" if rest.contains("..") => {
            parse_span(rest).map(|(from, to)| Filter::AliveThrough(from, to))
        }
        "at" | "alive" => {
            let moment = units::parse_duration(&needed("5m")?);
            moment.map(Filter::AliveAt).map_err(|error| error.to_string())
        }
        "life" => parse_span(rest).map(|(low, high)| Filter::Lifetime(low, high)),
        "peak" => Ok(Filter::AtPeak),
        "crate" => Ok(Filter::Crate(needed("serde_json")?)),
        "fn" | "file" | "match" => checked_regex(needed("cache.*insert")?.trim_start_matches('~')),
        "bt" | "backtrace" | "site" => match needed("17")?.parse() {
            Ok(id) => Ok(Filter::Backtrace(id)),
            Err(_) => Err("expected the number of a backtrace, as in the bt column".into()),
        },
        _ => {
            Err("expected: live · age 10m · size 4K..1M · made 1m..2m · kept 1m..2m · at 5m · peak · life 1ms..1s · thread 0 · crate NAME · ~REGEX · bt 17".into())
        }
    }
}

/// Text as an SQL literal.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Blocks allocated by `from` and not freed by `to`. Rows of earlier frees are skipped by number.
fn alive(from: i64, to: i64, axis: &Axis) -> String {
    let mut condition =
        format!("alloc_after <= {from} AND (dealloc_after IS NULL OR dealloc_after > {to})");
    let edge = axis.edge_at(to.saturating_add(1)).or_else(|| {
        let near = axis.nearest(to);
        if axis.edge(near) <= to { Some(near) } else { near.checked_sub(1) }
    });
    if let Some(freed) = edge.map(|edge| axis.min_ended_before(edge)).filter(|freed| *freed > 0) {
        condition.push_str(&format!(" AND rowid > {freed}"));
    }
    condition
}

/// Parses `1m..5m`, `..5m` or `1m..`.
fn parse_span(text: &str) -> Result<(i64, i64), String> {
    const EXPECTED: &str = "expected a range, for example 1m..5m, ..30s or 10m..";
    let (from, to) = text.split_once("..").ok_or(EXPECTED)?;
    let ns = |text: &str| units::parse_duration(text.trim()).map_err(|error| error.to_string());
    let from = if from.trim().is_empty() { 0 } else { ns(from)? };
    let to = if to.trim().is_empty() { i64::MAX } else { ns(to)? };
    if to < from { Err(EXPECTED.into()) } else { Ok((from, to)) }
}

/// The label of a time range.
fn span(from: i64, to: i64) -> String {
    let time = |ns: i64| units::duration(ns as f64);
    match (from, to) {
        (from, i64::MAX) => format!("from {}", time(from)),
        (from, to) => format!("{}..{}", time(from), time(to)),
    }
}

fn parse_size(text: &str) -> Result<Filter, String> {
    let bytes = |text: &str| units::parse_bytes(text).map_err(|error| error.to_string());
    if let Some((low, high)) = text.split_once("..") {
        let low = if low.trim().is_empty() { 0 } else { bytes(low)? };
        let high = match high.trim() {
            "" => i64::MAX,
            high => bytes(high)?,
        };
        return match low <= high {
            true => Ok(Filter::Size(low, high)),
            false => Err("expected a range from small to large, for example 1K..4K".into()),
        };
    }
    let (operator, number) =
        text.split_at(text.len() - text.trim_start_matches(['<', '>', '=', '≥', '≤']).len());
    let number = bytes(number)?;
    match operator {
        "<" => Ok(Filter::Size(0, number.saturating_sub(1))),
        "<=" | "≤" => Ok(Filter::Size(0, number)),
        ">" => Ok(Filter::Size(number.saturating_add(1), i64::MAX)),
        "=" => Ok(Filter::Size(number, number)),
        _ => Ok(Filter::Size(number, i64::MAX)),
    }
}

fn checked_regex(pattern: &str) -> Result<Filter, String> {
    match regex::Regex::new(pattern) {
        Ok(_) if pattern.is_empty() => Err("~ needs a pattern, for example ~cache.*insert".into()),
        Ok(_) => Ok(Filter::Matches(pattern.to_owned())),
        Err(_) => Err("invalid regular expression; escape special characters with \\".into()),
    }
}

fn join(conditions: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = conditions.collect();
    (!all.is_empty()).then(|| all.join("\n  AND "))
}

/// The last two segments of a path, without generic arguments.
fn last_segments(sym: &str) -> String {
    let plain = sym.split('<').find(|part| !part.is_empty()).unwrap_or(sym);
    let mut parts: Vec<&str> = plain.trim_end_matches(':').rsplit("::").take(2).collect();
    parts.reverse();
    parts.join("::")
}
