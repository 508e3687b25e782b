//! Streams of lines.

use std::fmt::Write as _;
use std::io::Write as _;

use axum::body::Body;
use bytes::Bytes;
use change_events::account::Item;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;

use crate::support::Server;

fn lines(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        writeln!(
            text,
            r#"{{"event_name":"deployment","event_state":"start","attributes":{{"service_name":"api","deployment_id":"d{number}"}}}}"#
        )
        .unwrap();
    }
    text
}

fn in_chunks(bytes: &[u8], size: usize) -> Body {
    let chunks: Vec<Result<Bytes, std::io::Error>> = bytes.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    Body::from_stream(stream::iter(chunks))
}

#[tokio::test]
async fn all_lines_are_taken_in_every_encoding() {
    let text = lines(5000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (encoding, wire) in [("identity", text.as_bytes()), ("gzip", &gzip), ("zstd", &zstd)] {
        for size in [700, 60_000, usize::MAX] {
            let server = Server::new("");
            let answer = server.put_lines(in_chunks(wire, size), &[("content-encoding", encoding)]).await;
            let json = answer.json();
            assert_eq!(
                (answer.status, json["accepted"].as_u64(), json["refused"].as_u64()),
                (200, Some(5000), Some(0)),
                "{encoding} {size}: {json}"
            );
            assert_eq!(json["items"], serde_json::json!([]));
            assert_eq!(server.memory.store.account().leased(Item::Bodies), 0);
            let open = server.get("/api/v4/organizations/acme/change_events?state=open&limit=1000").await.json();
            assert_eq!(open["events"].as_array().unwrap().len(), 1000);
        }
    }
}

#[tokio::test]
async fn wrong_lines_are_named_by_number() {
    let server = Server::new("limits: {item_bytes: 200}");
    let long = "x".repeat(70_000);
    let text = format!(
        "{{\"event_name\":\"a\"}}\n\n  \r\n{{\"event_name\":1}}\n{long}\n{{\"event_name\":\"b\"}}\r\n\"{}\"\nnonsense",
        "y".repeat(300)
    );
    for size in [1, 5, 1000, usize::MAX] {
        let answer = server.put_lines(in_chunks(text.as_bytes(), size), &[]).await;
        let json = answer.json();
        assert_eq!(answer.status, 207);
        let numbers: Vec<(u64, u64)> = json["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["line"].as_u64().unwrap(), item["status"].as_u64().unwrap()))
            .collect();
        assert_eq!(numbers, [(4, 400), (5, 413), (7, 413), (8, 400)], "{json}");
        assert_eq!((json["accepted"].as_u64(), json["refused"].as_u64()), (Some(2), Some(4)));
    }
}

#[tokio::test]
async fn nothing_taken_is_an_error_and_nothing_sent_is_none() {
    let server = Server::new("");
    let answer = server.put_lines("{}\n{}\n", &[]).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["error"].as_str().unwrap().starts_with("none of 2 events was taken; the first: event_name"));
    for empty in ["", "\n", "\n\n \n"] {
        let answer = server.put_lines(empty, &[]).await;
        assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (200, Some(0)), "{empty:?}");
    }
    let endless = "x".repeat(70_000);
    assert_eq!(server.put_lines(endless, &[]).await.status, 413, "a line without an end");
}

#[tokio::test]
async fn the_answer_is_bounded() {
    let server = Server::new("");
    let answer = server.put_lines("{}\n".repeat(5000), &[]).await;
    let json = answer.json();
    assert_eq!(json["items"].as_array().unwrap().len(), 1000);
    assert_eq!((json["refused"].as_u64(), json["items_omitted"].as_u64()), (Some(5000), Some(4000)));
}

#[tokio::test]
async fn what_ends_a_stream_early_does_not_hide_what_was_taken() {
    let server = Server::new("limits: {stream_bytes: 400000}");
    let text = lines(5000);
    let answer = server.put_lines(in_chunks(text.as_bytes(), 10_000), &[]).await;
    let json = answer.json();
    assert_eq!(answer.status, 413, "{json}");
    assert!(json["error"].as_str().unwrap().contains("--limit.stream-bytes"));
    let accepted = json["accepted"].as_u64().unwrap();
    assert!(accepted > 1000 && accepted < 5000, "{accepted}");

    let broken = stream::iter([Ok(Bytes::from(lines(3))), Err(std::io::Error::other("gone"))]);
    let answer = server.put_lines(Body::from_stream(broken), &[]).await;
    assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (400, Some(3)));

    let answer = server.put_lines(lines(3), &[("content-encoding", "gzip")]).await;
    assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (400, Some(0)));
}

#[tokio::test]
async fn lines_with_warnings_are_counted_and_named() {
    let server = Server::new("");
    let old = r#"{"event_name":"a","timestamp":"2020-01-01"}"#;
    let text = format!("{{\"event_name\":\"a\"}}\n{old}\n{}", "{\"event_name\":\"b\",\"timestamp\":\"2020-01-01\"}\n".repeat(1500));
    let json = server.put_lines(text, &[]).await.json();
    assert_eq!(
        (json["accepted"].as_u64(), json["warned"].as_u64(), json["duplicates"].as_u64()),
        (Some(1502), Some(2), Some(1499)),
        "{json}"
    );
    assert_eq!(json["items"][0]["line"], 2);
    assert!(json["items"][0]["warnings"][0].as_str().unwrap().starts_with("old: "), "{json}");
}

/// Edges of one series arrive in order however they are cut into groups, so none is late.
#[tokio::test]
async fn order_is_kept() {
    let server = Server::new("");
    let mut text = String::new();
    for second in 0..8000 {
        let state = if second % 2 == 0 { "start" } else { "stop" };
        let at = crate::support::NOW.millis() - 8_000_000 + second * 1000;
        let at = change_events::time::Timestamp::from_millis(at);
        writeln!(text, r#"{{"event_name":"job","event_state":"{state}","timestamp":"{at}","attributes":{{"entity_id":"e"}}}}"#).unwrap();
    }
    let answer = server.put_lines(text, &[]).await.json();
    assert_eq!(answer["accepted"], 8000);
    let listed = server.get("/api/v4/organizations/acme/change_events?limit=1000").await.json();
    let events = listed["events"].as_array().unwrap();
    assert!(events.iter().all(|event| event["duration_seconds"] == 1.0), "every start has its stop");
    let received: Vec<&str> = events.iter().map(|event| event["start"]["id"].as_str().unwrap()).collect();
    assert_eq!(received.len(), 1000);
}

#[tokio::test]
async fn refused_lines_are_named_in_their_order_whatever_refused_them() {
    let server = Server::new("");
    // The hundredth cluster is the last that nobody configured.
    let mut text = String::new();
    for number in 0..110 {
        write!(text, "{{\"event_name\":\"e\",\"data_source_name\":\"c{number}\",\"attributes\":{{\"n\":{number}}}}}\nnonsense\n").unwrap();
    }
    let json = server.put_lines(text, &[]).await.json();
    let items = json["items"].as_array().unwrap();
    let lines: Vec<u64> = items.iter().map(|item| item["line"].as_u64().unwrap()).collect();
    let by_limit = items.iter().filter(|item| item["status"] == 429 && item["retry_after"] == 600).count();
    assert!(lines.is_sorted() && (5..20).contains(&by_limit) && items.len() == 110 + by_limit, "{json}");
}

#[tokio::test]
async fn a_stream_of_refused_lines_ends_and_names_the_first_that_was_not_looked_at() {
    let server = Server::new("");
    let text = format!("{}{}", lines(5), "x\n".repeat(200_000));
    let answer = server.put_lines(in_chunks(text.as_bytes(), 10_000), &[]).await;
    let json = answer.json();
    let (accepted, refused) = (json["accepted"].as_u64().unwrap(), json["refused"].as_u64().unwrap());
    assert_eq!((answer.status, accepted, json["items"].as_array().unwrap().len()), (400, 5, 1000), "{json}");
    assert!(refused > 10_005 && refused < 50_000, "{refused}");
    let told = format!("the stream ends here: 10000 more of its lines were refused than taken; line {} and", accepted + refused + 1);
    assert!(json["error"].as_str().unwrap().starts_with(&told), "{}", json["error"]);

    // As long as enough are taken it goes on, and at its end there is nothing to end.
    for (text, refused) in [(format!("{}{}", lines(30_000), "x\n".repeat(40_000)), 40_000), ("x\n".repeat(10_001), 10_001)] {
        let answer = server.put_lines(text, &[]).await;
        let json = answer.json();
        assert_eq!(json["refused"], refused, "{} {}", json["error"], json["message"]);
    }
}

/// Places for parsing are few, and nobody has one while more of a body is awaited.
#[tokio::test]
async fn slow_senders_do_not_hold_up_others() {
    let server = std::sync::Arc::new(Server::new(""));
    let mut slow = Vec::new();
    for _ in 0..50 {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(4);
        sender.send(Ok(Bytes::from(lines(1) + "{\"event_name\":"))).await.unwrap();
        let body = Body::from_stream(stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|item| (item, receiver))));
        let server = std::sync::Arc::clone(&server);
        slow.push((sender, tokio::spawn(async move { server.put_lines(body, &[]).await.json() })));
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let answer = server.put_lines(lines(5000), &[]).await;
    assert_eq!(answer.json()["accepted"], 5000);
    for (sender, answer) in slow {
        sender.send(Ok(Bytes::from("\"late\"}"))).await.unwrap();
        drop(sender);
        assert_eq!(answer.await.unwrap()["accepted"], 2);
    }
}
