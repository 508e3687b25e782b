//! As much of an HTTP client as attackers and victims need: each request on a connection of its own.

use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// A request of which the body is sent by whoever asks.
pub(crate) fn begin(address: SocketAddr, head: &str, patience: Duration) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    stream.write_all(format!("{head}\r\nHost: localhost\r\nConnection: close\r\n").as_bytes())?;
    Ok(stream)
}

/// The answer, read to its end.
pub(crate) fn end(mut stream: TcpStream) -> std::io::Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    status.map(|status| Answer { status, text }).ok_or_else(|| std::io::Error::other("no answer"))
}

/// Sends a request with a body.
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
    patience: Duration,
) -> std::io::Result<Answer> {
    let mut stream = begin(address, &format!("{method} {path} HTTP/1.1"), patience)?;
    stream.write_all(format!("{headers}Content-Length: {}\r\n\r\n", body.len()).as_bytes())?;
    stream.write_all(body)?;
    end(stream)
}

/// Asks for a page.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str, patience: Duration) -> std::io::Result<Answer> {
    let mut stream = begin(address, &format!("GET {path} HTTP/1.1"), patience)?;
    stream.write_all(format!("{headers}\r\n").as_bytes())?;
    end(stream)
}
