//! Reads a file that may be compressed with zstd or gzip.
//!
//! Invariants: memory is bounded; a file that is cut off gives the bytes up to there, and
//! [`Input::is_torn`] is set.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::loader::api::error::LoadError;

/// Size of the buffer of decompressed bytes.
const BUFFER_BYTES: usize = 1 << 18;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Opens a regular file.
pub(crate) fn open(path: &Path) -> Result<File, LoadError> {
    let failed = |error| LoadError::reading(path, error);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(LoadError::not_a_file(path, metadata.file_type()));
    }
    if metadata.len() == 0 {
        return Err(LoadError::empty(path));
    }
    Ok(file)
}

/// Counts the bytes that are read from a file.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.file.read(into)?;
        self.bytes.fetch_add(taken as u64, Ordering::Relaxed);
        Ok(taken)
    }
}

/// The file, with the bytes in front that were read to recognize the compression.
type Compressed = io::Chain<io::Cursor<Vec<u8>>, Counted>;

/// A decompressor.
enum Decompressor {
    Plain(Compressed),
    Gzip(flate2::read::MultiGzDecoder<Compressed>),
    Zstd(Zstd),
}

impl Read for Decompressor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(into),
            Self::Gzip(file) => file.read(into),
            Self::Zstd(file) => file.read(into),
        }
    }
}

type Frame =
    ruzstd::decoding::StreamingDecoder<BufReader<Compressed>, ruzstd::decoding::FrameDecoder>;

/// A sequence of Zstandard frames.
enum Zstd {
    InFrame(Box<Frame>),
    BetweenFrames(BufReader<Compressed>),
    AtEnd,
}

impl Read for Zstd {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(self, Self::AtEnd) {
                Self::AtEnd => return Ok(0),
                Self::BetweenFrames(mut file) => {
                    if file.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder = ruzstd::decoding::StreamingDecoder::new(file);
                    *self = Self::InFrame(Box::new(decoder.map_err(io::Error::other)?));
                }
                Self::InFrame(mut decoder) => {
                    let taken = decoder.read(into)?;
                    if taken > 0 || into.is_empty() {
                        *self = Self::InFrame(decoder);
                        return Ok(taken);
                    }
                    *self = Self::BetweenFrames(decoder.into_inner());
                }
            }
        }
    }
}

/// The decompressed bytes of a file.
pub(crate) struct Input {
    decompressor: BufReader<Decompressor>,
    read_bytes: Arc<AtomicU64>,
    file_bytes: u64,
    is_torn: bool,
}

impl Input {
    /// Opens a file that is `file_bytes` long.
    pub(crate) fn open(path: &Path, file_bytes: u64) -> Result<Self, LoadError> {
        let failed = |error| LoadError::reading(path, error);
        let mut file = open(path)?;
        let mut start = Vec::new();
        (&mut file).take(ZSTD_MAGIC.len() as u64).read_to_end(&mut start).map_err(failed)?;
        let is_zstd = start == ZSTD_MAGIC;
        let is_gzip = start.starts_with(&GZIP_MAGIC);
        let read_bytes = Arc::new(AtomicU64::new(start.len() as u64));
        let counted = Counted { file, bytes: Arc::clone(&read_bytes) };
        let compressed = io::Cursor::new(start).chain(counted);
        let decompressor = if is_zstd {
            Decompressor::Zstd(Zstd::BetweenFrames(BufReader::new(compressed)))
        } else if is_gzip {
            Decompressor::Gzip(flate2::read::MultiGzDecoder::new(compressed))
        } else {
            Decompressor::Plain(compressed)
        };
        let decompressor = BufReader::with_capacity(BUFFER_BYTES, decompressor);
        Ok(Self { decompressor, read_bytes, file_bytes, is_torn: false })
    }

    /// Share of the file that has been read, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        self.read_bytes.load(Ordering::Relaxed) as f64 / self.file_bytes.max(1) as f64
    }

    /// Whether the file is cut off; known at the end.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Marks the file as cut off, for a reader that misses bytes.
    pub(crate) fn set_torn(&mut self) {
        self.is_torn = true;
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(into.len());
        into[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.is_torn {
            return Ok(&[]);
        }
        // The first call only checks for an error, because a result that is returned would borrow
        // `self` in the error case too; the second call costs nothing.
        if let Err(error) = self.decompressor.fill_buf() {
            let is_at_end = self.read_bytes.load(Ordering::Relaxed) >= self.file_bytes;
            let is_cut = is_at_end && ends_early(&error);
            if !is_cut {
                return Err(error);
            }
            self.is_torn = true;
            return Ok(&[]);
        }
        self.decompressor.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.decompressor.consume(amount);
    }
}

/// Whether a decompressor failed at the end of the file. Zstandard's wraps that error in its own.
fn ends_early(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(error) = found.downcast_ref::<io::Error>() {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                return true;
            }
            cause = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
            continue;
        }
        cause = found.source();
    }
    false
}
