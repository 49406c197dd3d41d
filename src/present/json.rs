//! Serializes JSON with sanitized strings, in three layouts.
//!
//! Invariant: strings parse to the original, and contain no character that acts on a terminal.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

use crate::database::text::sanitize;

/// Writes an indented document and a line end.
pub(crate) fn document(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    value.serialize(&mut serializer(PrettyFormatter::new(), out))?;
    out.write_all(b"\n")
}

/// Writes a row of a table in one line, without its end.
pub(crate) fn row(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    Ok(value.serialize(&mut serializer(Row, out))?)
}

/// A serializer of exports, which are long: no blanks, and a line per item of an array of arrays or
/// objects.
pub(crate) fn export(out: &mut dyn Write) -> Serializer<&mut dyn Write, Sanitized<Lines>> {
    serializer(Lines::default(), out)
}

fn serializer<L>(layout: L, out: &mut dyn Write) -> Serializer<&mut dyn Write, Sanitized<L>>
where
    L: Formatter,
{
    Serializer::with_formatter(out, Sanitized(layout))
}

/// A layout with sanitized strings.
pub(crate) struct Sanitized<L>(L);

macro_rules! by_layout {
    ($($method:ident($($first:ident)?)),*) => {$(
        fn $method<W: ?Sized + Write>(
            &mut self,
            out: &mut W
            $(, $first: bool)?
        ) -> io::Result<()> {
            self.0.$method(out $(, $first)?)
        }
    )*};
}

impl<L: Formatter> Formatter for Sanitized<L> {
    /// `serde_json` passes the text between escapes, so an escape of a terminal character can't
    /// split one of its own.
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        out.write_all(sanitize::json(fragment).as_bytes())
    }

    by_layout!(
        begin_array(),
        begin_array_value(first),
        end_array_value(),
        end_array(),
        begin_object(),
        begin_object_key(first),
        begin_object_value(),
        end_object_value(),
        end_object()
    );
}

/// A blank after each comma and colon.
struct Row;

impl Formatter for Row {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// A line end before an array or object that follows another item of an array.
#[derive(Default)]
pub(crate) struct Lines {
    /// Whether the next value follows another item of an array.
    follows: bool,
}

impl Lines {
    fn end_line<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if std::mem::take(&mut self.follows) { out.write_all(b"\n") } else { Ok(()) }
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end_line(out)?;
        out.write_all(b"[")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.follows = !first;
        if first { Ok(()) } else { out.write_all(b",") }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end_line(out)?;
        out.write_all(b"{")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.follows = false;
        if first { Ok(()) } else { out.write_all(b",") }
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize as _;
    use serde_json::{Value, json};

    fn written(value: &Value) -> [String; 3] {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (mut document, mut row, mut export) = (Vec::new(), Vec::new(), Vec::new());
        crate::present::json::document(value, &mut document).unwrap();
        crate::present::json::row(value, &mut row).unwrap();
        value.serialize(&mut crate::present::json::export(&mut export)).unwrap();
        [document, row, export].map(text)
    }

    #[test]
    fn layouts_differ_in_blanks_only() {
        let value = json!({"a": [[1, 2], [], {"b": [3, {}]}, "x"], "c": [], "d": {}});
        let [document, row, export] = written(&value);
        assert_eq!(document, serde_json::to_string_pretty(&value).unwrap() + "\n");
        assert_eq!(row, r#"{"a": [[1, 2], [], {"b": [3, {}]}, "x"], "c": [], "d": {}}"#);
        assert_eq!(export, "{\"a\":[[1,2],\n[],\n{\"b\":[3,\n{}]},\"x\"],\"c\":[],\"d\":{}}");
    }

    #[test]
    fn keys_and_strings_are_sanitized() {
        for hostile in ["\u{1b}[2J", "a\u{9b}\"\u{7f}", "\u{202e}\\\n\u{e0041}\t", "\u{2028}", ""] {
            let value = json!({ hostile: [hostile, { hostile: hostile }] });
            for text in written(&value) {
                assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
                let is_unsafe = |c| c != '\n' && crate::database::text::sanitize::is_unsafe(c);
                assert!(!text.contains(is_unsafe), "{text:?}");
            }
        }
    }
}
