//! `Content-Encoding`: gzip and zstd, a step at a time, so that whoever drives it decides how far a body may inflate.

use std::io;
use std::io::Write as _;

use axum::http::HeaderMap;
use axum::http::header;
use flate2::write::MultiGzDecoder;
use zstd::stream::raw::DParameter;
use zstd::stream::raw::Decoder;
use zstd::stream::raw::InBuffer;
use zstd::stream::raw::Operation as _;
use zstd::stream::raw::OutBuffer;

use crate::shown::cut;

/// Most bytes that one step takes in or gives out, give or take a deflate block.
const STEP_BYTES: usize = 64 * 1024;
/// Largest zstd window, as a power of two: what RFC 8878 asks every decoder to support.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Why a body cannot be inflated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InflateError {
    #[error("Content-Encoding `{0}` is not supported: use gzip or zstd, or none")]
    Unsupported(String),
    #[error("the body is not valid {name}: {cause}")]
    Damaged {
        /// The encoding it was said to have.
        name: &'static str,
        /// What the decoder found.
        cause: io::Error,
    },
    #[error("cannot make a decoder")]
    Decoder(#[source] io::Error),
}

impl Encoding {
    /// The encoding that the headers of a request name.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, InflateError> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Ok(Self::Identity) };
        let name = value.to_str().unwrap_or("?").trim();
        match name.to_ascii_lowercase().as_str() {
            _ if values.next().is_some() => Err(InflateError::Unsupported("more than one".to_owned())),
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(InflateError::Unsupported(cut(name).into())),
        }
    }
}

/// Turns bytes on the wire into the bytes that were meant.
pub(crate) enum Inflater {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd(Zstd),
}

/// A decoder, and where it is.
pub(crate) struct Zstd {
    decoder: Decoder<'static>,
    /// Between two frames, where a body may end.
    is_between: bool,
}

impl Inflater {
    pub(crate) fn new(encoding: Encoding) -> Result<Self, InflateError> {
        Ok(match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Encoding::Zstd => {
                let mut decoder = Decoder::new().map_err(InflateError::Decoder)?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).map_err(InflateError::Decoder)?;
                Self::Zstd(Zstd { decoder, is_between: true })
            }
        })
    }

    /// Takes some bytes off the front of `input` and appends what they become to `out`.
    pub(crate) fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), InflateError> {
        let (now, later) = input.split_at(input.len().min(STEP_BYTES));
        match self {
            Self::Identity => {
                out.extend_from_slice(now);
                *input = later;
            }
            Self::Gzip(decoder) => {
                let taken = decoder.write(now).map_err(|cause| InflateError::Damaged { name: "gzip", cause })?;
                if taken == 0 {
                    let cause = io::Error::new(io::ErrorKind::InvalidData, "no progress");
                    return Err(InflateError::Damaged { name: "gzip", cause });
                }
                *input = input.get(taken..).unwrap_or_default();
                out.append(decoder.get_mut());
            }
            Self::Zstd(Zstd { decoder, is_between }) => {
                out.reserve(STEP_BYTES);
                let start = out.len();
                let mut from = InBuffer::around(now);
                let mut to = OutBuffer::around_pos(out, start);
                let hint = decoder.run(&mut from, &mut to).map_err(|cause| InflateError::Damaged { name: "zstd", cause })?;
                *is_between = hint == 0;
                *input = input.get(from.pos()..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// The end of the input: appends what is still held back, and checks that nothing is missing.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), InflateError> {
        match self {
            Self::Identity => Ok(()),
            Self::Gzip(decoder) => {
                decoder.try_finish().map_err(|cause| InflateError::Damaged { name: "gzip", cause })?;
                out.append(decoder.get_mut());
                Ok(())
            }
            Self::Zstd(zstd) => zstd.finish(out),
        }
    }
}

impl Zstd {
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), InflateError> {
        let damaged = |cause| InflateError::Damaged { name: "zstd", cause };
        // All input is taken, yet output may be held back for want of room.
        while !self.is_between {
            out.reserve(STEP_BYTES);
            let start = out.len();
            let mut to = OutBuffer::around_pos(out, start);
            let hint = self.decoder.run(&mut InBuffer::around(&[]), &mut to).map_err(damaged)?;
            self.is_between = hint == 0;
            if !self.is_between && to.pos() == start {
                return Err(damaged(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends early")));
            }
        }
        Ok(())
    }
}
