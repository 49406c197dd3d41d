//! Parses the filter of a column as the user types it.
//!
//! Invariant: numbers are parsed in the unit of the column: `>4K` is bytes for sizes.

use crate::database::page::Condition;
use crate::database::table::{Unit, Value};
use crate::database::text::units;

/// Parses a filter for a column of this unit; an empty text is no filter.
///
/// # Errors
/// A message for the user.
pub fn parse(text: &str, unit: Unit) -> Result<Option<Condition>, String> {
    let text = text.trim();
    let number = |text: &str| number(text, unit);
    Ok(Some(match text {
        "" => return Ok(None),
        "null" | "NULL" => Condition::IsNull,
        "!null" | "!NULL" => Condition::IsNotNull,
        _ => {
            if let Some(pattern) = text.strip_prefix('~') {
                return match regex::Regex::new(pattern) {
                    Ok(_) => Ok(Some(Condition::Matches(pattern.to_owned()))),
                    Err(_) => {
                        Err("invalid regular expression; escape special characters with \\".into())
                    }
                };
            }
            for (sign, make) in SIGNS {
                if let Some(rest) = text.strip_prefix(sign) {
                    return Ok(Some(make(number(rest)?)));
                }
            }
            match text.split_once("..") {
                Some((low, "")) => Condition::AtLeast(number(low)?),
                Some(("", high)) => Condition::AtMost(number(high)?),
                Some((low, high)) if unit.is_numeric() => {
                    Condition::Between(number(low)?, number(high)?)
                }
                _ if unit.is_numeric() => Condition::Equal(number(text)?),
                _ => Condition::Contains(text.to_owned()),
            }
        }
    }))
}

type Make = fn(Value) -> Condition;

/// Longer operators first.
const SIGNS: [(&str, Make); 8] = [
    (">=", Condition::AtLeast),
    ("≥", Condition::AtLeast),
    ("<=", Condition::AtMost),
    ("≤", Condition::AtMost),
    ("!=", Condition::NotEqual),
    (">", Condition::More),
    ("<", Condition::Less),
    ("=", Condition::Equal),
];

fn number(text: &str, unit: Unit) -> Result<Value, String> {
    let text = text.trim();
    let parsed = match unit {
        Unit::Bytes | Unit::BytesPerSecond => units::parse_bytes(text.trim_end_matches("/s")),
        Unit::Duration | Unit::Moment => units::parse_duration(text),
        Unit::Address => match i64::from_str_radix(text.trim_start_matches("0x"), 16) {
            Ok(address) => Ok(address),
            Err(_) => return Err("expected an address such as 0x7f00".into()),
        },
        Unit::Share => {
            let share = text.trim_end_matches('%').trim().parse::<f64>();
            return match share {
                Ok(share) if text.ends_with('%') => Ok(Value::Real(share / 100.0)),
                Ok(share) => Ok(Value::Real(share)),
                Err(_) => Err("expected a share such as 5% or 0.05".into()),
            };
        }
        Unit::None => return Ok(plain(text)),
        _ => units::parse_count(text),
    };
    parsed.map(Value::Integer).map_err(|error| error.to_string())
}

/// A number if the text is one, otherwise text.
fn plain(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return Value::Integer(whole);
    }
    match text.parse::<f64>() {
        Ok(real) if real.is_finite() => Value::Real(real),
        _ => Value::Text(text.to_owned()),
    }
}
