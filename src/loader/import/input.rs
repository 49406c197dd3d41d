//! A file's bytes, unpacked.
//!
//! Reads: a file that is packed by zstd or gzip, or not at all. Writes: nothing.
//!
//! Invariants: bytes are unpacked as they are read, in bounded memory; a file that ends inside of
//! what is packed gives what is there and says so ([`Input::is_torn`]).

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::loader::error::LoadError;

/// Unpacked bytes that are kept at once.
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

/// Counts what is read of a file.
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

type Packed = io::Chain<io::Cursor<Vec<u8>>, Counted>;

/// How a file is packed.
enum Unpacker {
    Plain(Packed),
    Gzip(flate2::read::MultiGzDecoder<Packed>),
    Zstd(Zstd),
}

impl Read for Unpacker {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(into),
            Self::Gzip(file) => file.read(into),
            Self::Zstd(file) => file.read(into),
        }
    }
}

type Frame = ruzstd::decoding::StreamingDecoder<BufReader<Packed>, ruzstd::decoding::FrameDecoder>;

/// Zstandard frames, one behind the other.
enum Zstd {
    Inside(Box<Frame>),
    Between(BufReader<Packed>),
    Over,
}

impl Read for Zstd {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(self, Self::Over) {
                Self::Over => return Ok(0),
                Self::Between(mut file) => {
                    if file.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder = ruzstd::decoding::StreamingDecoder::new(file);
                    *self = Self::Inside(Box::new(decoder.map_err(io::Error::other)?));
                }
                Self::Inside(mut decoder) => {
                    let taken = decoder.read(into)?;
                    if taken > 0 || into.is_empty() {
                        *self = Self::Inside(decoder);
                        return Ok(taken);
                    }
                    *self = Self::Between(decoder.into_inner());
                }
            }
        }
    }
}

/// The unpacked bytes of a file.
pub(crate) struct Input {
    unpacker: BufReader<Unpacker>,
    read_bytes: Arc<AtomicU64>,
    file_bytes: u64,
    is_torn: bool,
}

impl Input {
    /// Opens a file that is `file_bytes` long.
    pub(crate) fn open(path: &Path, file_bytes: u64) -> Result<Self, LoadError> {
        let failed = |error| LoadError::reading(path, error);
        let mut file = open(path)?;
        let mut begin = Vec::new();
        (&mut file).take(ZSTD_MAGIC.len() as u64).read_to_end(&mut begin).map_err(failed)?;
        let is_zstd = begin == ZSTD_MAGIC;
        let is_gzip = begin.starts_with(&GZIP_MAGIC);
        let read_bytes = Arc::new(AtomicU64::new(begin.len() as u64));
        let counted = Counted { file, bytes: Arc::clone(&read_bytes) };
        let packed = io::Cursor::new(begin).chain(counted);
        let unpacker = if is_zstd {
            Unpacker::Zstd(Zstd::Between(BufReader::new(packed)))
        } else if is_gzip {
            Unpacker::Gzip(flate2::read::MultiGzDecoder::new(packed))
        } else {
            Unpacker::Plain(packed)
        };
        let unpacker = BufReader::with_capacity(BUFFER_BYTES, unpacker);
        Ok(Self { unpacker, read_bytes, file_bytes, is_torn: false })
    }

    /// How much of the file is read, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        self.read_bytes.load(Ordering::Relaxed) as f64 / self.file_bytes.max(1) as f64
    }

    /// Whether the file ended inside of what is packed; known at the end.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Says that the end came too early for another reason.
    pub(crate) fn tear(&mut self) {
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
        // Asked once for whether it works and once for the bytes, which is free the second time.
        if let Err(error) = self.unpacker.fill_buf() {
            let is_over = self.read_bytes.load(Ordering::Relaxed) >= self.file_bytes;
            let is_cut = is_over && ends_early(&error);
            if !is_cut {
                return Err(error);
            }
            self.is_torn = true;
            return Ok(&[]);
        }
        self.unpacker.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.unpacker.consume(amount);
    }
}

/// Whether an unpacker wanted more bytes than there are. Zstandard's wraps that error in its own.
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
