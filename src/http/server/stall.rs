//! A connection whose reader must keep reading: a write that nothing is taken of for a while is an error, and so is an answer
//! whose writes waited too long in all. Only time in which a write waits counts.
//!
//! It also lingers when it is closed: what the other side still sends is read and dropped for a moment, since closing with
//! unread bytes makes the kernel throw away an answer (such as a 413) that is still on its way. What the kernel holds of an answer
//! is no more than [`KERNEL_BYTES`], and does not outlive the connection for long.

use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::Sleep;

use crate::http::server::connection::Connection;
use crate::http::server::settle::UNREAD_BYTES_MAX;

/// How long a closed connection still reads what comes, however much. Beyond that it only waits for the other side to have read and to close.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// What is read of that at once, once it is much, and how long nothing is read then: some 30 MB a second.
const LINGER_PIECE_BYTES: u64 = 128 * 1024;
const LINGER_PAUSE: Duration = Duration::from_millis(4);
/// How long the kernel goes on with what a closed connection has sent, when the other side does not take it.
const ORPHAN: Duration = Duration::from_secs(5);

/// Bytes of an answer that are on their way at most, as the kernel counts: it takes twice this for what it surrounds them with.
const KERNEL_BYTES: usize = 256 * 1024;
/// Bytes that the kernel takes beyond those that the other side has room for.
const UNSENT_BYTES: u32 = 16 * 1024;

/// Bytes of requests that the kernel keeps until they are read.
const UNREAD_BYTES: usize = 256 * 1024;

/// Connections that may wait to be accepted; the system may allow less.
const BACKLOG: i32 = 4096;

/// Bounds what the kernel holds of each connection that `listener` will accept, and for how long when the other side is silent.
pub(super) fn prepare(listener: &TcpListener, patience: Duration) {
    let socket = SockRef::from(listener);
    // What comes at once is not to be turned away: that costs whoever came a second.
    socket.listen(BACKLOG).ok();
    let bounded = socket.set_send_buffer_size(KERNEL_BYTES).and_then(|()| socket.set_tcp_notsent_lowat(UNSENT_BYTES));
    let bounded = bounded.and_then(|()| socket.set_recv_buffer_size(UNREAD_BYTES));
    // The guard, which counts it, comes first.
    let bounded = bounded.and_then(|()| socket.set_tcp_user_timeout(Some(patience + LINGER)));
    if let Err(error) = bounded {
        tracing::warn!(%error, "cannot bound what the kernel holds of answers that are not read");
    }
}

/// Why a reader was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Slow {
    #[error("the other side does not read")]
    Still,
    #[error("the other side reads too slowly")]
    InAll,
}

/// Passes everything on; fails with [`Slow`] when a write waits longer than `patience`, or those of an answer longer than
/// [`Connection::begins`] says.
#[derive(Debug)]
pub(super) struct StallGuard {
    stream: TcpStream,
    connection: Arc<Connection>,
    patience: Duration,
    /// Made when the first write has to wait: most connections never need one.
    alarm: Option<Pin<Box<Sleep>>>,
    /// What it means when the alarm goes off.
    slow: Slow,
    /// Set when our side is closed.
    linger: Option<Linger>,
}

/// How long the other side is waited for that was told all.
#[derive(Debug)]
struct Linger {
    since: Instant,
    /// What came since then.
    dropped: u64,
    /// Until when nothing is read, so that whoever sends much for nothing takes no processor from others.
    pause: Option<Pin<Box<Sleep>>>,
    /// When to wait no more.
    alarm: Pin<Box<Sleep>>,
}

impl Linger {
    fn new(patience: Duration) -> Self {
        Self { since: Instant::now(), dropped: 0, pause: None, alarm: Box::pin(tokio::time::sleep(patience)) }
    }

    fn drops(&mut self, bytes: u64) {
        let pieces = self.dropped / LINGER_PIECE_BYTES;
        self.dropped += bytes;
        if self.dropped > UNREAD_BYTES_MAX && self.dropped / LINGER_PIECE_BYTES > pieces {
            self.pause = Some(Box::pin(tokio::time::sleep(LINGER_PAUSE)));
        }
    }

    fn rests(&mut self, context: &mut Context<'_>) -> bool {
        let rests = self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(context).is_pending());
        if !rests {
            self.pause = None;
        }
        rests
    }

    /// Whether what comes is still read: for a while, and longer from who has sent little.
    fn reads(&self) -> bool {
        self.since.elapsed() < LINGER || self.dropped < UNREAD_BYTES_MAX
    }
}

impl StallGuard {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>, patience: Duration) -> Self {
        Self { stream, connection, patience, alarm: None, slow: Slow::Still, linger: None }
    }

    fn check(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.connection.takes(*written.as_ref().unwrap_or(&0));
            return Poll::Ready(written);
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.patience)));
        if let Some(left) = self.connection.blocks() {
            self.slow = if left < self.patience { Slow::InAll } else { Slow::Still };
            alarm.as_mut().reset(Instant::now() + left.min(self.patience));
        }
        ready!(alarm.as_mut().poll(context));
        // The kernel wakes a writer only when a good part of its buffer is free: has the reader really taken nothing?
        if self.slow == Slow::Still
            && let Ok(written) = SockRef::from(&self.stream).send_vectored(slices)
        {
            self.connection.takes(written);
            return Poll::Ready(Ok(written));
        }
        self.connection.resets.store(true, Relaxed);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, self.slow)))
    }
}

impl Drop for StallGuard {
    fn drop(&mut self) {
        let socket = SockRef::from(&self.stream);
        // A reader that was given up gets no more of what the kernel has; from another one that is waited for a little.
        if self.connection.resets.load(Relaxed) {
            socket.set_linger(Some(Duration::ZERO)).ok();
        } else {
            socket.set_tcp_user_timeout(Some(ORPHAN)).ok();
        }
    }
}

impl AsyncRead for StallGuard {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for StallGuard {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check(context, written, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.check(context, written, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.connection.closes();
        }
        let patience = if this.connection.hurries.load(Relaxed) { LINGER.min(this.patience) } else { this.patience };
        let linger = this.linger.get_or_insert_with(|| Linger::new(patience));
        let mut dropped = [MaybeUninit::uninit(); 16 * 1024];
        loop {
            if linger.alarm.as_mut().poll(context).is_ready() {
                // It has read all by now, or never will.
                this.connection.resets.store(true, Relaxed);
                return Poll::Ready(Ok(()));
            }
            if linger.rests(context) {
                return Poll::Pending;
            }
            let mut buffer = ReadBuf::uninit(&mut dropped);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() && linger.reads() => linger.drops(buffer.filled().len() as u64),
                // The other side has closed too, or is gone, or does not stop sending.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
