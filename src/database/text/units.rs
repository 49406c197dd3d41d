//! Formats and parses bytes, durations, counts and shares.
//!
//! Invariants:
//! - Bytes, short counts and durations need at most [`WIDTH`] columns.
//! - Formatted values can be parsed: the result equals the value up to the digits shown.

use std::fmt;

use crate::database::table::{Unit, Value};

/// Largest width of [`bytes`], [`duration`] and [`count_short`] in columns.
pub const WIDTH: usize = 9;

/// "512 B", "1.50 KiB", "12.4 MiB", "1023 GiB": three or four digits.
pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (value, unit) = scale(bytes, 1024.0, UNITS.len());
    if unit == 0 && value.fract() == 0.0 {
        return format!("{value:.0} B");
    }
    format!("{} {}", digits(value), UNITS[unit])
}

/// "850 ns", "12.3 ms", "4.56 s", "1m 05s", "2h 03m", "4d 05h".
pub fn duration(ns: f64) -> String {
    let sign = if ns < 0.0 { "-" } else { "" };
    let abs = ns.abs();
    if abs < 999.5 && abs.fract() == 0.0 {
        return format!("{sign}{abs:.0} ns");
    }
    if abs < 59.95e9 {
        const UNITS: [&str; 4] = ["ns", "µs", "ms", "s"];
        let (value, unit) = scale(abs, 1000.0, UNITS.len());
        return format!("{sign}{} {}", digits(value), UNITS[unit]);
    }
    let seconds = (abs / 1e9).round();
    let (big, small, first, second) = if seconds < 3600.0 {
        (60.0, 1.0, "m", "s")
    } else if seconds < 86_400.0 {
        (3600.0, 60.0, "h", "m")
    } else {
        (86_400.0, 3600.0, "d", "h")
    };
    let units = (seconds / small).floor();
    let ratio = big / small;
    format!("{sign}{:.0}{first} {:02.0}{second}", (units / ratio).floor(), units % ratio)
}

/// "1,234,567": all digits, grouped.
pub fn count(count: i64) -> String {
    let raw = count.unsigned_abs().to_string();
    let mut text = String::with_capacity(raw.len() + raw.len() / 3 + 1);
    if count < 0 {
        text.push('-');
    }
    for (i, digit) in raw.chars().enumerate() {
        if i > 0 && (raw.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "999", "1.23k", "45.6M": for narrow columns.
pub fn count_short(count: f64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let (value, unit) = scale(count, 1000.0, UNITS.len());
    if unit == 0 && value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    format!("{}{}", digits(value), UNITS[unit])
}

/// "38.0 %" of a share from 0 to 1.
pub fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A value with its unit. Text is not sanitized.
pub fn value(value: &Value, unit: Unit) -> String {
    match (value, unit) {
        (Value::Null, _) => String::new(),
        (Value::Blob(blob), _) => format!("blob of {}", bytes(float(blob.len()))),
        (Value::Text(text), _) => text.clone(),
        (Value::Integer(number), Unit::None | Unit::Backtrace | Unit::Thread) => number.to_string(),
        (Value::Integer(number), Unit::Count) => count(*number),
        (Value::Integer(number), Unit::Address) => format!("{number:#x}"),
        (Value::Integer(_) | Value::Real(_), _) => {
            let number = value.as_f64().unwrap_or(0.0);
            match unit {
                Unit::Bytes => bytes(number),
                Unit::BytesPerSecond => format!("{}/s", bytes(number)),
                Unit::PerSecond => format!("{}/s", count_short(number)),
                Unit::Duration | Unit::Moment => duration(number),
                Unit::Share => share(number),
                Unit::Count => count_short(number),
                Unit::None | Unit::Address | Unit::Backtrace | Unit::Thread => real(number),
            }
        }
    }
}

/// A value with all digits, without unit and grouping.
pub fn raw(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => real(*number),
        Value::Text(text) => text.clone(),
        Value::Blob(blob) => {
            blob.iter().fold(String::with_capacity(blob.len() * 2), |mut hex, byte| {
                use fmt::Write as _;
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        }
    }
}

/// The input is invalid; the message names accepted forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(pub &'static str);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ParseError {}

/// Parses `512`, `4K`, `1.5MiB`, `10 mb`. K, M, … and KiB, MiB, … are powers of 1024, kB, MB, … of
/// 1000.
///
/// # Errors
/// If the text has another form, is negative or too large.
pub fn parse_bytes(text: &str) -> Result<i64, ParseError> {
    const EXPECTED: ParseError = ParseError("expected bytes such as 512, 4K, 10MB or 1.5MiB");
    let (number, unit) = number_and_unit(text).ok_or(EXPECTED)?;
    let unit = unit.to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        _ => {
            let power = "kmgtpe".find(unit.chars().next().ok_or(EXPECTED)?).ok_or(EXPECTED)?;
            let power = i32::try_from(power + 1).map_err(|_| EXPECTED)?;
            match &unit[1..] {
                "" | "i" | "ib" => 1024f64.powi(power),
                "b" => 1000f64.powi(power),
                _ => return Err(EXPECTED),
            }
        }
    };
    to_integer(number * factor).ok_or(EXPECTED)
}

/// Parses `10m`, `1h30m`, `1m 05s`, `500 ms`, `1.5s`, `2d` into nanoseconds. A number without a unit
/// is an error, except 0.
///
/// # Errors
/// If the text has another form, is negative or too large.
pub fn parse_duration(text: &str) -> Result<i64, ParseError> {
    const EXPECTED: ParseError =
        ParseError("expected a duration with its unit, such as 10m, 1h30m, 500ms or 2d");
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(EXPECTED);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(EXPECTED)?;
        let number: f64 = rest[..end].parse().map_err(|_| EXPECTED)?;
        let after = rest[end..].trim_start();
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c.is_whitespace() || c == '.')
            .unwrap_or(after.len());
        total += number * unit_ns(&after[..unit_end]).ok_or(EXPECTED)?;
        rest = after[unit_end..].trim_start();
    }
    to_integer(total).ok_or(EXPECTED)
}

/// Parses `17`, `1,000`, `2k`, `1.5M`.
///
/// # Errors
/// If the text has another form, is negative or too large.
pub fn parse_count(text: &str) -> Result<i64, ParseError> {
    const EXPECTED: ParseError = ParseError("expected a whole number such as 20, 1,000 or 2k");
    let plain: String = text.chars().filter(|c| !matches!(c, ',' | '_')).collect();
    if let Ok(number) = plain.trim().parse::<i64>() {
        return Ok(number);
    }
    let (number, unit) = number_and_unit(&plain).ok_or(EXPECTED)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        _ => return Err(EXPECTED),
    };
    to_integer(number * factor).ok_or(EXPECTED)
}

fn unit_ns(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" | "sec" | "secs" | "second" | "seconds" => 1e9,
        "m" | "min" | "mins" | "minute" | "minutes" => 60e9,
        "h" | "hour" | "hours" => 3600e9,
        "d" | "day" | "days" => 86_400e9,
        "w" | "week" | "weeks" => 7.0 * 86_400e9,
        _ => return None,
    })
}

/// Splits `1.5 MiB` into 1.5 and `MiB`.
fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

fn to_integer(number: f64) -> Option<i64> {
    (number.is_finite() && (0.0..9.2e18).contains(&number)).then(|| number.round() as i64)
}

/// The value in the largest unit in which it is at least one after rounding.
fn scale(value: f64, base: f64, units: usize) -> (f64, usize) {
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= base - 0.5 && unit + 1 < units {
        value /= base;
        unit += 1;
    }
    (value, unit)
}

/// Three digits: 1.23, 12.3, 123; four from 1000 to 1023.
fn digits(value: f64) -> String {
    match value.abs() {
        abs if abs < 9.995 => format!("{value:.2}"),
        abs if abs < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn real(number: f64) -> String {
    if number.is_finite() && number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.1}");
    }
    number.to_string()
}

fn float(number: usize) -> f64 {
    number as f64
}
