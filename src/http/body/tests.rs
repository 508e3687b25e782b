use std::time::Duration;

use std::io::Write as _;
use std::sync::Arc;

use axum::http::HeaderValue;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use futures_util::stream;
use proptest::prelude::*;

use super::*;
use crate::account::Account;
use crate::account::Item;
use crate::account::Shares;
use crate::threads::Workers;

const MIB: usize = 1024 * 1024;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn headers(encoding: Option<&'static str>) -> HeaderMap {
    encoding.map(|name| (header::CONTENT_ENCODING, HeaderValue::from_static(name))).into_iter().collect()
}

fn in_chunks(bytes: &[u8], size: usize) -> Body {
    let chunks: Vec<Result<Bytes, std::convert::Infallible>> = bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    Body::from_stream(stream::iter(chunks))
}

/// In chunks, between which others come to something.
fn by_and_by(bytes: &[u8], size: usize) -> Body {
    let chunks: Vec<Bytes> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
    Body::from_stream(stream::iter(chunks).then(async |chunk| {
        tokio::task::yield_now().await;
        Ok::<_, std::convert::Infallible>(chunk)
    }))
}

fn account(bodies: usize) -> Account {
    Account::new(bodies, Shares { bodies, ..Shares::divide(0) })
}

/// With the memory of this account, and for one sender.
fn shared(account: &Account) -> Shared {
    let places = Places::new(1, Workers::start("bodies").unwrap(), Arc::default());
    let source = Source::new("", "", 0);
    Shared { budget: Budget::new(account.clone(), source.taker()), places, source }
}

async fn read(encoding: Option<&'static str>, body: Body, limits: &Limits) -> Result<Bytes, ApiError> {
    let account = account(256 * MIB);
    let read = read_whole(&headers(encoding), body, limits, &shared(&account)).await.map(|whole| whole.bytes);
    assert_eq!(account.leased(Item::Bodies), 0, "every byte is given back");
    read
}

#[track_caller]
fn check(encoding: Option<&'static str>, body: &[u8], limits: &Limits, expected: Result<usize, (u16, &str)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for body in [Body::from(body.to_vec()), in_chunks(body, 1000), in_chunks(body, 1)] {
        match (runtime.block_on(read(encoding, body, limits)), expected) {
            (Ok(bytes), Ok(length)) => assert_eq!(bytes.len(), length),
            (Err(error), Err((status, text))) => {
                assert_eq!(error.status, status, "{error:?}");
                assert!(error.message.contains(text), "{error:?}");
            }
            (read, expected) => panic!("{:?} instead of {expected:?}", read.map(|bytes| bytes.len())),
        }
    }
}

#[test]
fn bodies_are_bounded_on_the_wire_and_inflated() {
    let limits = Limits { body_bytes: 2000, inflated_bytes: 20_000, ..Limits::default() };
    let text = br#"{"event_name":"deployment"}"#;
    check(None, text, &limits, Ok(27));
    check(None, b"", &limits, Ok(0));
    check(Some("identity"), text, &limits, Ok(27));
    check(Some("gzip"), &gzip(text), &limits, Ok(27));
    check(Some("GZIP"), &gzip(text), &limits, Ok(27));
    check(Some("zstd"), &zstd(text), &limits, Ok(27));
    check(Some("gzip"), &[gzip(text), gzip(text)].concat(), &limits, Ok(54));
    check(Some("zstd"), &[zstd(text), zstd(text)].concat(), &limits, Ok(54));
    check(None, &[b' '; 2000], &limits, Ok(2000));
    check(None, &[b' '; 2001], &limits, Err((413, "2000 bytes (--limit.body-bytes)")));
    check(Some("gzip"), &gzip(&vec![b' '; 20_000]), &limits, Ok(20_000));
    check(Some("gzip"), &gzip(&vec![b' '; 20_001]), &limits, Err((413, "20000 bytes (--limit.inflated-bytes)")));
    check(Some("zstd"), &zstd(&vec![b' '; 20_001]), &limits, Err((413, "20000 bytes (--limit.inflated-bytes)")));
    check(Some("br"), text, &limits, Err((415, "`br`")));
    check(Some("gzip, zstd"), text, &limits, Err((415, "`gzip, zstd`")));
}

#[test]
fn damaged_bodies_are_refused() {
    let limits = Limits::default();
    let text = br#"{"event_name":"deployment"}"#.repeat(20);
    for (name, whole) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
        for end in 1..whole.len() {
            check(Some(name), &whole[..end], &limits, Err((400, name)));
        }
        check(Some(name), &[&whole[..], b"and more"].concat(), &limits, Err((400, name)));
        check(Some(name), b"no such thing", &limits, Err((400, name)));
    }
}

/// The frames of T16: each would be gigabytes, or endless work for no output.
#[test]
fn bombs_are_defused() {
    let limits = Limits::default();
    let gzip_bomb = gzip(&vec![0; 64 * MIB]);
    check_bomb("gzip", &gzip_bomb, &limits, "100 times its size");
    check_bomb("zstd", &zstd(&vec![0; 64 * MIB]), &limits, "100 times its size");
    let generous = Limits { inflation_ratio: usize::MAX, ..Limits::default() };
    check_bomb("gzip", &gzip_bomb, &generous, "33554432 bytes");
    // A gzip of a gzip is inflated once, and what comes out is not JSON.
    assert_eq!(block_on(read(Some("gzip"), Body::from(gzip(&gzip_bomb)), &limits)).unwrap(), gzip_bomb);

    let mut skippable = Vec::new();
    while skippable.len() < 9 * MIB {
        skippable.extend_from_slice(&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 1, 0]);
        skippable.resize(skippable.len() + 65_536, 0xaa);
    }
    let error = block_on(read(Some("zstd"), in_chunks(&skippable, 65_536), &limits)).unwrap_err();
    assert_eq!(error.status, 413, "frames that become nothing still count on the wire: {error:?}");

    // A window of 2 GiB, declared in a frame of a few bytes.
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    check_bomb_status("zstd", &wide, &limits, 400, "zstd");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[track_caller]
fn check_bomb(encoding: &'static str, body: &[u8], limits: &Limits, text: &str) {
    check_bomb_status(encoding, body, limits, 413, text);
}

#[track_caller]
fn check_bomb_status(encoding: &'static str, body: &[u8], limits: &Limits, status: u16, text: &str) {
    let error = block_on(read(Some(encoding), Body::from(body.to_vec()), limits)).unwrap_err();
    assert_eq!(error.status, status, "{error:?}");
    assert!(error.message.contains(text), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_waits_for_room_and_is_told_to_come_again() {
    let account = account(10_000);
    let shared = shared(&account);
    for room in [true, false] {
        for body in [Body::from(vec![b' '; 8000]), in_chunks(&vec![b' '; 8000], 100)] {
            let mut held = account.lease(Item::Bodies, 5000).unwrap();
            let freed = async {
                tokio::time::sleep(Duration::from_secs(9)).await;
                if room {
                    held.shrink_to(0);
                }
            };
            let (headers, limits) = (headers(None), Limits::default());
            let (read, ()) = tokio::join!(read_whole(&headers, body, &limits, &shared), freed);
            match read {
                Ok(whole) => assert!(room && whole.bytes.len() == 8000),
                Err(error) => assert_eq!((room, error.status.as_u16(), error.retry_after.is_some()), (false, 503, true)),
            }
        }
    }
    for (encoding, body, message) in [
        (None, Body::from(vec![b' '; 10_001]), "than the 10000 bytes of memory that all bodies may take"),
        (None, in_chunks(&[b' '; 10_001], 100), "than the 10000 bytes of memory that all bodies may take"),
        (Some("gzip"), Body::from(gzip(&vec![0; 20_000])), "bytes of memory that are left for it"),
    ] {
        let error = read_whole(&headers(encoding), body, &Limits::default(), &shared).await.unwrap_err();
        assert_eq!((error.status.as_u16(), error.message.contains(message)), (413, true), "{error:?}");
    }
    assert_eq!(account.leased(Item::Bodies), 0);
}

/// Whoever has some of what it needs and waits for more would wait for others that do the same.
#[tokio::test]
async fn many_bodies_of_one_sender_come_one_after_the_other() {
    let account = Account::new(MIB, Shares { bodies: MIB / 2, small_bodies: MIB / 8, ..Shares::divide(0) });
    let shared = shared(&account);
    let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).take(200_000).collect();
    let zipped = gzip(&text);
    for (encoding, wire) in [(None, &text), (Some("gzip"), &zipped)] {
        for chunk in [500, 50_000, wire.len()] {
            let body = || if chunk == wire.len() { Body::from(wire.clone()) } else { by_and_by(wire, chunk) };
            let (headers, limits) = (headers(encoding), Limits::default());
            let all = (0..20).map(async |_| read_whole(&headers, body(), &limits, &shared).await.map(|whole| whole.bytes.len()));
            for length in futures_util::future::join_all(all).await {
                assert_eq!(length.unwrap(), text.len(), "{encoding:?} in chunks of {chunk}");
            }
            assert_eq!((account.leased(Item::Bodies), account.leased(Item::SmallBodies)), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_compressed_body_waits_for_the_turn_of_its_sender() {
    let shared = shared(&account(MIB));
    let place = shared.places.take(&Source::new("other", "", 1), 1).await.unwrap();
    let (headers, limits) = (headers(Some("gzip")), Limits::default());
    let mut read = std::pin::pin!(read_whole(&headers, Body::from(gzip(b"{}")), &limits, &shared));
    assert!(futures_util::poll!(&mut read).is_pending());
    // Whatever it gave the only worker before that would be done by now.
    shared.places.work(|| ()).await.unwrap();
    assert!(futures_util::poll!(&mut read).is_pending());
    drop(place);
    assert_eq!(&read.await.unwrap().bytes[..], b"{}");
}

fn dribble(chunks: usize, size: usize, every: Duration) -> Body {
    Body::from_stream(stream::unfold(0, move |sent| async move {
        if sent == chunks {
            return None;
        }
        tokio::time::sleep(every).await;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(vec![b' '; size])), sent + 1))
    }))
}

#[tokio::test(start_paused = true)]
async fn slow_senders_are_cut() {
    async fn outcome(chunks: usize, size: usize, every: Duration) -> Result<usize, u16> {
        let shared = shared(&account(MIB));
        let read = read_whole(&headers(None), dribble(chunks, size, every), &Limits::default(), &shared).await;
        read.map(|whole| whole.bytes.len()).map_err(|error| error.status.as_u16())
    }
    let second = Duration::from_secs(1);
    assert_eq!(outcome(9, 1, second).await, Ok(9), "within the grace");
    assert_eq!(outcome(60, 1, second).await, Err(408), "a byte a second");
    assert_eq!(outcome(60, 8192, second).await, Ok(60 * 8192), "the minimum pace");
    assert_eq!(outcome(60, 6000, second).await, Err(408), "below the minimum pace");
    assert_eq!(outcome(2, 1, Duration::from_secs(11)).await, Err(408), "silence beyond the grace");
    assert_eq!(outcome(2, 500_000, Duration::from_secs(31)).await, Err(408), "silence however much was sent");
}

proptest! {
    #[test]
    fn what_was_compressed_comes_back(text in prop::collection::vec(any::<u8>(), 0..5000), size in 1..3000usize) {
        for (name, wire) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
            let back = block_on(read(Some(name), in_chunks(&wire, size), &Limits::default())).unwrap();
            prop_assert_eq!(&back[..], &text[..]);
        }
    }
}
