//! The filter set: what all views show, as a list of filters, and its SQL.
//!
//! Reads: nothing. Writes: conditions for `allocations` and for sites.
//!
//! Invariants:
//! - User text reaches SQL only through [`quote`].
//! - A filter set without filters on single blocks can be answered from the precomputed tables.
//! - Undo brings back exactly the filter set that was.

use crate::database::text::units;
use crate::tui::data::time_axis::Axis;

/// Filter sets that undo can bring back.
const UNDO_MAX: usize = 100;

/// Rows stand in the order in which their blocks ended: those alive are the last ones.
const LIVE: &str = "dealloc_after IS NULL AND rowid > coalesce(
    (SELECT value FROM meta WHERE key = 'ended_rows'), 0)";

/// One condition, shown as a chip.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Alive at the end.
    NeverFreed,
    /// Lived at least so long, until its end or the recording's, in ns.
    AgeAtLeast(i64),
    /// From `.0` to `.1` bytes, both included.
    Size(i64, i64),
    /// Made by this thread; its name.
    Thread(i64, String),
    /// Made from `.0` on and before `.1`, in ns.
    AllocatedIn(i64, i64),
    /// The same, and alive at the end.
    SurvivingFrom(i64, i64),
    /// Alive at this moment, in ns: what happened at it has happened.
    AliveAt(i64),
    /// Alive at both moments and so in between, in ns.
    AliveThrough(i64, i64),
    /// Alive when most was.
    AtPeak,
    /// Freed after a life of `.0` to `.1` ns, both included.
    Lifetime(i64, i64),
    /// Never freed, and `.0` to `.1` ns old at the end, both included.
    Age(i64, i64),
    /// Some frame is of this crate.
    Crate(String),
    /// Some frame's function or file matches this regular expression.
    Matches(String),
    /// In this group of sites; its name.
    Suspect(i64, String),
    /// This backtrace.
    Backtrace(i64),
    /// Goes through this function.
    Through(String),
    /// Doesn't.
    NotThrough(String),
    /// A backtrace of this query's rows; what the query is called.
    Result {
        /// A name for the chip.
        title: String,
        /// The statement, with a `bt` column.
        sql: String,
    },
    /// In flamegraphs, this function is left out.
    Hide(String),
    /// In flamegraphs, this function is the outermost.
    From(String),
}

impl Filter {
    /// The chip's text.
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

    /// Whether the site alone decides; then the precomputed tables are enough.
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

    /// Whether it says when a block was made or alive.
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

    /// Whether it only changes how flamegraphs are drawn.
    pub fn is_flame_filter(&self) -> bool {
        matches!(self, Self::Hide(_) | Self::From(_))
    }

    /// The condition.
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

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterSet {
    filters: Vec<Filter>,
}

impl FilterSet {
    /// The conditions, oldest first.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether everything is looked at, drawing apart.
    pub fn is_unfiltered(&self) -> bool {
        self.filters.iter().all(Filter::is_flame_filter)
    }

    /// Whether the site alone decides.
    pub fn is_site_only(&self) -> bool {
        self.filters.iter().all(Filter::is_site_filter)
    }

    /// Whether it is of sites and, of blocks, at most "never freed".
    pub fn is_live_only(&self) -> bool {
        self.filters.contains(&Filter::NeverFreed)
            && self
                .filters
                .iter()
                .all(|filter| filter.is_site_filter() || *filter == Filter::NeverFreed)
    }

    /// The filter that says when a block was made or alive, and whether it must live at the end,
    /// if nothing but these and filters on sites are asked: then sums by slice are enough.
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

    /// Everything that must hold of a row of `allocations`, or `None`.
    pub fn row_condition(&self, axis: &Axis) -> Option<String> {
        join(self.filters.iter().filter_map(|it| it.condition(axis)))
    }

    /// What must hold of a site, leaving out what is asked of single blocks.
    pub fn site_condition(&self) -> Option<String> {
        let of_sites = self.filters.iter().filter(|filter| filter.is_site_filter());
        join(of_sites.filter_map(|it| it.condition(&Axis::default())))
    }
}

/// Whether blocks that were freed are meant as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreedFilter {
    /// They are.
    Any,
    /// Only those alive at the end.
    LiveOnly,
}

/// The filter set and those before and after it.
#[derive(Clone, Debug, Default)]
pub struct FilterHistory {
    current: FilterSet,
    before: Vec<FilterSet>,
    after: Vec<FilterSet>,
}

impl FilterHistory {
    /// The filter set.
    pub fn current(&self) -> &FilterSet {
        &self.current
    }

    /// Adds a condition; one of a kind that can't be met twice replaces the earlier one.
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

    /// Drops the conditions that `which` says yes to.
    pub fn drop_matching(&mut self, which: impl Fn(&Filter) -> bool) {
        let mut next = self.current.clone();
        next.filters.retain(|filter| !which(filter));
        self.set(next);
    }

    /// Drops the condition added last.
    pub fn drop_last(&mut self) {
        let mut next = self.current.clone();
        if next.filters.pop().is_some() {
            self.set(next);
        }
    }

    /// Drops all conditions.
    pub fn clear(&mut self) {
        self.set(FilterSet::default());
    }

    /// Whether there is a step to go back.
    pub fn can_undo(&self) -> bool {
        !self.before.is_empty()
    }

    /// Goes back one step; whether there was one.
    pub fn undo(&mut self) -> bool {
        let Some(filters) = self.before.pop() else {
            return false;
        };
        self.after.push(std::mem::replace(&mut self.current, filters));
        true
    }

    /// Takes back an undo; whether there was one.
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

/// Reads a condition as it is typed, or says what can be typed.
///
/// # Errors
/// With a sentence for the user.
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

/// A text as an SQL literal.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Blocks made by `from` and not freed by `to`. Those that ended earlier stand before them.
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

/// `1m..5m`, `..5m`, `1m..`; the second one is not the smaller.
fn parse_span(text: &str) -> Result<(i64, i64), String> {
    const EXPECTED: &str = "expected a range, for example 1m..5m, ..30s or 10m..";
    let (from, to) = text.split_once("..").ok_or(EXPECTED)?;
    let ns = |text: &str| units::parse_duration(text.trim()).map_err(|error| error.to_string());
    let from = if from.trim().is_empty() { 0 } else { ns(from)? };
    let to = if to.trim().is_empty() { i64::MAX } else { ns(to)? };
    if to < from { Err(EXPECTED.into()) } else { Ok((from, to)) }
}

/// A span of time in words.
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

/// The last two parts of a path, generic arguments cut.
fn last_segments(sym: &str) -> String {
    let plain = sym.split('<').find(|part| !part.is_empty()).unwrap_or(sym);
    let mut parts: Vec<&str> = plain.trim_end_matches(':').rsplit("::").take(2).collect();
    parts.reverse();
    parts.join("::")
}
