//! Arrays of JSON exports, serialized item by item.
//!
//! Invariants:
//! - Memory holds one item.
//! - An error of the source keeps its type, though a serializer has only its own.

use std::cell::RefCell;
use std::io;

use serde::ser::{Error as _, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::present::export::error::ExportError;

/// An array of the items of an iterator.
pub(crate) struct Each<I>(pub I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// An array of equal items.
pub(crate) type Same<T> = Each<std::iter::RepeatN<T>>;

pub(crate) fn same<T: Clone>(item: T, length: usize) -> Same<T> {
    Each(std::iter::repeat_n(item, length))
}

/// Receives the items of a [`Streamed`].
pub(crate) type Receiver<'r, T> = dyn FnMut(&T) -> Result<(), ExportError> + 'r;

type Source<'a, T> = dyn Fn(&mut Receiver<'_, T>) -> Result<(), ExportError> + 'a;

/// An array of the items that a function passes to its argument, which can fail.
pub(crate) struct Streamed<'a, T> {
    source: Box<Source<'a, T>>,
    failure: &'a Failure,
}

impl<'a, T> Streamed<'a, T> {
    pub(crate) fn new(
        failure: &'a Failure,
        source: impl Fn(&mut Receiver<'_, T>) -> Result<(), ExportError> + 'a,
    ) -> Self {
        Self { source: Box::new(source), failure }
    }
}

impl<T: Serialize> Serialize for Streamed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(None)?;
        let mut write_error = None;
        let result = (self.source)(&mut |item| {
            items.serialize_element(item).map_err(|error| {
                write_error = Some(error);
                // Stops the source. The error itself is returned below.
                ExportError::Io(io::ErrorKind::Other.into())
            })
        });
        match (write_error, result) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => {
                let error = self.failure.0.borrow_mut().insert(error).to_string();
                Err(S::Error::custom(error))
            }
            (None, Ok(())) => items.end(),
        }
    }
}

/// The error of the source of a [`Streamed`].
#[derive(Default)]
pub(crate) struct Failure(RefCell<Option<ExportError>>);

impl Failure {
    /// The error of the source if it failed, else the result of the serializer.
    pub(crate) fn or<T>(&self, result: serde_json::Result<T>) -> Result<T, ExportError> {
        match self.0.take() {
            Some(error) => Err(error),
            None => Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use serde::Serialize as _;

    use crate::present::export::error::ExportError;
    use crate::present::export::json::{Failure, Streamed};
    use crate::present::json;

    /// A writer whose reader is gone.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes two items from a source that may fail after them.
    fn written(fails: bool, out: &mut dyn Write) -> Result<(), ExportError> {
        let failure = Failure::default();
        let items = Streamed::new(&failure, |receiver| {
            receiver(&1)?;
            receiver(&2)?;
            if fails { Err(ExportError::Request("too many".to_owned())) } else { Ok(()) }
        });
        failure.or(items.serialize(&mut json::export(out)))
    }

    #[test]
    fn errors_keep_their_type() {
        let mut text = Vec::new();
        written(false, &mut text).unwrap();
        assert_eq!(text, b"[1,2]");
        let error = written(true, &mut Vec::new()).unwrap_err();
        assert!(matches!(&error, ExportError::Request(text) if text == "too many"), "{error:?}");
        for fails in [false, true] {
            let error = written(fails, &mut Closed).unwrap_err();
            let ExportError::Io(error) = error else { panic!("{error:?}") };
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
