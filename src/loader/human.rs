//! Bytes and times for sentences.

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `817 B`, `12.4 MiB`.
pub(in crate::loader) fn bytes(value: u64) -> String {
    scaled(value as f64)
}

/// `+41.0 KiB`, `-3 B`.
pub(in crate::loader) fn signed_bytes(value: f64) -> String {
    let sign = if value < 0.0 { '-' } else { '+' };
    format!("{sign}{}", scaled(value.abs()))
}

fn scaled(value: f64) -> String {
    if value < 1024.0 {
        return format!("{value:.0} B");
    }
    let mut value = value / 1024.0;
    for unit in UNITS {
        // Rounded to one digit, 1023.95 would read 1024.0.
        if value < 1023.95 || unit == UNITS[UNITS.len() - 1] {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    String::new()
}

/// `0.8 ms`, `12.3 s`, `07:41`, `3:07:41`.
pub(in crate::loader) fn time(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    match seconds {
        0 => format!("{:.1} ms", ns as f64 / 1e6),
        1..60 => format!("{:.1} s", ns as f64 / 1e9),
        60..3600 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}
