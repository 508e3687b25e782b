//! A stream of lines, cut into groups of whole lines: some hundred kilobytes, and not more than two thousand lines.
//!
//! Memory is constant: at most one group is being filled, a line longer than the limit is dropped while it comes, and every
//! group holds its share of the bytes in flight until it is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::sync::mpsc;

use crate::http::app::Settings;
use crate::http::body::Shared;
use crate::http::body::budget::Lease;
use crate::http::body::inflate::Encoding;
use crate::http::body::inflate::InflateError;
use crate::http::body::inflate::Inflater;
use crate::http::body::pace::PacedBody;
use crate::http::error::ApiError;

/// A group is handed on when it is this large.
pub(super) const GROUP_BYTES: usize = 128 * 1024;
/// Or has so many lines, so that a turn of the writer is no longer than that of others.
const GROUP_LINES: usize = 2048;
/// Or when nothing has come for this long, so that a slow sender's lines do not wait for more of them.
const GROUP_PAUSE: Duration = Duration::from_millis(2);

/// Some whole lines.
pub(super) struct LineGroup {
    pub(super) bytes: Bytes,
    /// The first line of `bytes` is what is left of one that is too long.
    pub(super) first_is_too_long: bool,
    pub(super) lease: Lease,
}

/// How much of what came is taken.
#[derive(Clone, Copy, Debug)]
enum Upto {
    /// The lines that have their end.
    LineEnd,
    /// All of it, as nothing more will come.
    BodyEnd,
}

struct WholeLines {
    bytes: Bytes,
    /// See [`LineGroup::first_is_too_long`].
    first_is_too_long: bool,
}

/// Collects bytes and gives them out by whole lines.
#[derive(Debug)]
struct Splitter {
    buffer: BytesMut,
    /// Everything before this offset was searched for the end of a line.
    searched: usize,
    line_bytes_max: usize,
    /// The line that is coming is too long: its bytes are dropped.
    dropping: bool,
}

impl Splitter {
    fn new(line_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, line_bytes_max, dropping: false }
    }

    fn push(&mut self, bytes: &[u8]) {
        let bytes = if self.dropping && self.buffer.is_empty() {
            // Nothing of the line is kept but its end.
            bytes.iter().position(|byte| *byte == b'\n').and_then(|end| bytes.get(end..)).unwrap_or_default()
        } else {
            bytes
        };
        self.buffer.extend_from_slice(bytes);
    }

    /// The lines so far, or the first of them.
    fn take(&mut self, upto: Upto) -> Option<WholeLines> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let last = memchr::memchr_iter(b'\n', unsearched).take(GROUP_LINES).last();
        let end = last.map(|place| self.searched + place + 1);
        let end = match upto {
            Upto::LineEnd => end,
            Upto::BodyEnd => end.or_else(|| Some(self.buffer.len()).filter(|length| *length > 0 || self.dropping)),
        };
        let Some(end) = end else {
            self.searched = self.buffer.len();
            if self.buffer.len() > self.line_bytes_max {
                self.buffer.clear();
                self.searched = 0;
                self.dropping = true;
            }
            return None;
        };
        let bytes = self.buffer.split_to(end).freeze();
        self.searched = 0;
        Some(WholeLines { bytes, first_is_too_long: std::mem::take(&mut self.dropping) })
    }
}

/// Reads `body` to its end and sends its groups, in their order. The last item is the error that ended it early, if one did.
pub(super) async fn read(
    body: PacedBody,
    encoding: Encoding,
    settings: Arc<Settings>,
    shared: Shared,
    groups: mpsc::Sender<Result<LineGroup, ApiError>>,
) {
    let mut reader = LineReader { splitter: Splitter::new(settings.mapping.limits().item_bytes), total: 0, settings, shared, groups };
    if let Err(Some(error)) = reader.read(body, encoding).await {
        // The lines that came whole are as good as if the rest had come.
        reader.hand_on(Upto::LineEnd).await.ok();
        reader.groups.send(Err(error)).await.ok();
    }
}

struct LineReader {
    splitter: Splitter,
    total: u64,
    settings: Arc<Settings>,
    shared: Shared,
    groups: mpsc::Sender<Result<LineGroup, ApiError>>,
}

/// `None`: nobody wants more groups.
type Stop = Option<ApiError>;

impl LineReader {
    async fn read(&mut self, mut body: PacedBody, encoding: Encoding) -> Result<(), Stop> {
        let mut inflater =
            (encoding != Encoding::Identity).then(|| Inflater::new(encoding)).transpose().map_err(|error| Some(error.into()))?;
        loop {
            let frame = if let Ok(frame) = tokio::time::timeout(GROUP_PAUSE, body.frame()).await {
                frame
            } else {
                self.hand_on(Upto::LineEnd).await?;
                body.frame().await
            };
            let Some(frame) = frame.map_err(|error| Some(error.into()))? else { break };
            match inflater.take() {
                None => self.push(&frame).await?,
                Some(inflating) => inflater = Some(self.inflate(inflating, frame).await?),
            }
        }
        if let Some(mut inflater) = inflater {
            let mut rest = Vec::new();
            inflater.finish(&mut rest).map_err(|error| Some(error.into()))?;
            self.push(&rest).await?;
        }
        self.hand_on(Upto::BodyEnd).await
    }

    /// Inflates a frame piece by piece, off the async threads.
    async fn inflate(&mut self, mut inflater: Inflater, mut frame: Bytes) -> Result<Inflater, Stop> {
        while !frame.is_empty() {
            let step = move || -> Result<_, InflateError> {
                let mut input = &frame[..];
                let mut out = Vec::with_capacity(GROUP_BYTES);
                while !input.is_empty() && out.len() < GROUP_BYTES {
                    inflater.step(&mut input, &mut out)?;
                }
                let rest = frame.slice_ref(input);
                Ok((inflater, rest, out))
            };
            let stepped = self.shared.places.take_for(&self.shared.source, GROUP_BYTES, step).await?;
            let stepped = stepped.map_err(|error| Some(error.into()))?;
            let out;
            (inflater, frame, out) = stepped;
            self.push(&out).await?;
        }
        Ok(inflater)
    }

    async fn push(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.total = self.total.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if let Some(most) = self.settings.limits.stream_bytes.filter(|most| self.total > *most) {
            return Err(Some(ApiError::too_large(format!("the stream is longer than {most} bytes (--limit.stream-bytes)"))));
        }
        self.splitter.push(bytes);
        if self.splitter.buffer.len() >= GROUP_BYTES { self.hand_on(Upto::LineEnd).await } else { Ok(()) }
    }

    async fn hand_on(&mut self, upto: Upto) -> Result<(), Stop> {
        while let Some(WholeLines { bytes, first_is_too_long }) = self.splitter.take(upto) {
            let lease = self.shared.budget.wait_for(bytes.len()).await;
            self.groups.send(Ok(LineGroup { bytes, first_is_too_long, lease })).await.map_err(|_| None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines that come out; `None` for one that was too long.
    fn split(chunks: &[&[u8]], line_bytes_max: usize) -> Vec<Option<Vec<u8>>> {
        let mut splitter = Splitter::new(line_bytes_max);
        let mut lines = Vec::new();
        let mut take = |splitter: &mut Splitter, upto| {
            let taken = splitter.take(upto);
            let is_some = taken.is_some();
            if let Some(WholeLines { bytes, first_is_too_long }) = taken {
                assert!(memchr::memchr_iter(b'\n', &bytes).count() <= GROUP_LINES, "a group is bounded");
                let mut parts: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
                if bytes.last() == Some(&b'\n') {
                    parts.pop();
                }
                for (place, line) in parts.into_iter().enumerate() {
                    let too_long = (place == 0 && first_is_too_long) || line.len() > line_bytes_max;
                    lines.push((!too_long).then(|| line.to_vec()));
                }
            }
            is_some
        };
        for chunk in chunks {
            splitter.push(chunk);
            while take(&mut splitter, Upto::LineEnd) {}
            assert!(splitter.buffer.len() <= line_bytes_max, "memory is bounded");
        }
        while take(&mut splitter, Upto::BodyEnd) {}
        lines
    }

    #[test]
    fn short_lines_are_cut_into_groups_too() {
        let mut splitter = Splitter::new(8);
        splitter.push(&b"\n".repeat(2 * GROUP_LINES + 3));
        splitter.push(b"end");
        let groups: Vec<usize> =
            [Upto::LineEnd; 4].into_iter().chain([Upto::BodyEnd; 2]).map_while(|upto| Some(splitter.take(upto)?.bytes.len())).collect();
        assert_eq!(groups, [GROUP_LINES, GROUP_LINES, 3]);
        assert_eq!(splitter.take(Upto::BodyEnd).unwrap().bytes, "end");
    }

    proptest! {
        #[test]
        fn gives_every_line_once(lines in prop::collection::vec("[a-z]{0,12}", 0..12), ended in any::<bool>(), size in 1..9usize) {
            let mut text = lines.join("\n");
            if ended && !text.is_empty() {
                text.push('\n');
            }
            let expected: Vec<Option<Vec<u8>>> =
                text.lines().map(|line| (line.len() <= 8).then(|| line.as_bytes().to_vec())).collect();
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(split(&chunks, 8), expected);
        }
    }
}
