//! Little-endian integers and varints on byte slices.
//!
//! Invariants: no panic and no allocation. A writer that runs out of space writes nothing more and
//! reports it in [`ByteWriter::finish`]; a reader that runs out of bytes names what it was reading.

use crate::recording::error::FormatError;

/// Appends to a fixed buffer. After a value did not fit, nothing more is written and
/// [`ByteWriter::finish`] returns `None`.
#[derive(Debug)]
pub struct ByteWriter<'a> {
    buffer: &'a mut [u8],
    len: usize,
    overflowed: bool,
}

impl<'a> ByteWriter<'a> {
    /// Starts at the beginning of `buffer`.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0, overflowed: false }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Free bytes of the buffer.
    pub fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.len)
    }

    /// The number of bytes written, or `None` if a value did not fit.
    pub fn finish(self) -> Option<usize> {
        (!self.overflowed).then_some(self.len)
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.buffer.get_mut(self.len..end) {
            Some(free) if !self.overflowed => {
                free.copy_from_slice(bytes);
                self.len = end;
            }
            _ => self.overflowed = true,
        }
    }

    /// Appends one byte.
    #[inline(always)]
    pub fn u8(&mut self, value: u8) {
        match self.buffer.get_mut(self.len) {
            Some(place) if !self.overflowed => {
                *place = value;
                self.len += 1;
            }
            _ => self.overflowed = true,
        }
    }

    /// Appends a little-endian number.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    /// Appends a little-endian number.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    /// Appends a little-endian number.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// Appends an unsigned LEB128 number, 1 to 10 bytes.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Appends a signed number as a zigzag varint.
    pub fn zigzag(&mut self, value: i64) {
        self.varint(zigzag(value));
    }

    /// Appends a `u16` length and the bytes of `text`, cut to what that length can express.
    pub fn text(&mut self, text: &[u8]) {
        let text = text.get(..usize::from(u16::MAX)).unwrap_or(text);
        self.u16(text.len() as u16);
        self.bytes(text);
    }
}

/// Takes numbers off the front of a slice.
#[derive(Clone, Debug)]
pub struct ByteReader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> ByteReader<'a> {
    /// Reads `bytes`; `what` names them in a [`FormatError::Truncated`].
    #[inline(always)]
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The bytes that were not read yet.
    #[inline(always)]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `len` bytes.
    #[inline(always)]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or(FormatError::Truncated(self.what))?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (taken, rest) =
            self.rest.split_first_chunk::<N>().ok_or(FormatError::Truncated(self.what))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes one byte.
    #[inline(always)]
    pub fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.array::<1>()?[0])
    }

    /// Takes a little-endian number.
    #[inline(always)]
    pub fn u16(&mut self) -> Result<u16, FormatError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Takes a little-endian number.
    #[inline(always)]
    pub fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Takes a little-endian number.
    #[inline(always)]
    pub fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Takes a little-endian number of at most four bytes.
    #[inline(always)]
    pub fn small(&mut self, len: usize) -> Result<u32, FormatError> {
        // Usually at least four bytes are left, and a single load with a mask replaces the loop.
        if let Some(word) = self.rest.first_chunk::<4>()
            && let Some(rest) = self.rest.get(len.min(4)..)
        {
            self.rest = rest;
            let mask = (1_u64 << (8 * len.min(4))) - 1;
            return Ok((u64::from(u32::from_le_bytes(*word)) & mask) as u32);
        }
        let bytes = self.bytes(len)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| (value << 8) | u32::from(*byte)))
    }

    /// Takes an unsigned LEB128 number; more than 64 bits are an error.
    pub fn varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(FormatError::Invalid("a varint"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FormatError::Invalid("a varint"))
    }

    /// Takes a zigzag varint.
    pub fn zigzag(&mut self) -> Result<i64, FormatError> {
        Ok(unzigzag(self.varint()?))
    }

    /// Takes a `u16` length and that many bytes.
    pub fn text(&mut self) -> Result<&'a [u8], FormatError> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }
}

/// Maps small magnitudes of either sign to small unsigned numbers: 0, -1, 1, -2 … → 0, 1, 2, 3 …
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
