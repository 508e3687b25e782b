//! What questions may cost: what is over is refused with how to ask less, and counted.

use serde_json::json;

use crate::support::EVENTS;
use crate::support::Server;

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Each as a `match[]`.
fn selectors(texts: &[String]) -> String {
    texts.iter().map(|text| format!("match[]={}", encoded(text))).collect::<Vec<_>>().join("&")
}

fn matchers(count: usize) -> String {
    format!("{{{}}}", vec!["a!=\"x\""; count].join(","))
}

/// Texts that match `.*[ab].{300}...` at many places, as expressions that are run step by step notice.
async fn filled() -> Server {
    let server = Server::new("");
    let value = "ab".repeat(450);
    let events: Vec<_> = (0..200).map(|number| json!({"event_name": "e", "attributes": {"n": format!("{number}{value}")}})).collect();
    assert_eq!(server.put(json!(events).to_string(), &[]).await.status, 200);
    server
}

#[tokio::test]
async fn what_is_over_a_bound_is_refused_with_how_to_ask_less() {
    let server = filled().await;
    let large = || "{a=~\"\\\\w{20}\",n!=\"\"}".to_owned();
    let slow = "{n=~\".*[ab].{300}(.*b){9}x\"}".to_owned();
    let rows = [
        (vec![matchers(32), matchers(32)], 200, ""),
        (vec![matchers(64)], 200, ""),
        (vec![matchers(65)], 422, "65 matchers with those before it: at most 64 in one request; ask for several values"),
        (vec![matchers(40), matchers(25)], 422, "65 matchers"),
        (vec![large()], 200, ""),
        (vec![large(), large()], 422, "come to more than 512 KiB with `\\w{20}`"),
        (vec!["{a=~\"\\\\w{99}\"}".to_owned()], 422, "write [0-9A-Za-z_] for \\w"),
        (vec!["{a=~\"(\"}".to_owned()], 400, "not a regular expression: unclosed group"),
        (vec![slow], 422, "too much to look at"),
        (vec!["{n=~\"5ab.*\"}".to_owned()], 200, ""),
    ];
    for path in [EVENTS, "/metrics"] {
        for (texts, status, message) in &rows {
            let answer = server.get(&format!("{path}?{}", selectors(texts))).await;
            assert_eq!(answer.status, *status, "{path}, {texts:?}: {}", answer.text());
            if *status != 200 {
                let error = answer.json()["error"].as_str().unwrap().to_owned();
                assert!(error.contains(message), "{path}: {error}");
            }
        }
    }
    let page = server.get("/metrics").await.text();
    for (reason, count) in [("price", 8), ("steps", 2)] {
        let line = format!("change_events_questions_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(page.contains(&line), "{line}");
    }
    assert!(page.contains("change_events_questions{state=\"running\"} 0\n"));
}

#[tokio::test]
async fn selectors_select_as_before_they_were_priced() {
    let server = filled().await;
    for (selector, count) in [
        ("{n=~\"5ab.*\"}", 1),
        ("{n!~\"5ab.*\"}", 199),
        ("{n=~\".5(ab)+\"}", 9),
        ("{n!~\".*\"}", 0),
        ("{n!~\"\"}", 200),
        ("{event_name=~\"(?i)E\"}", 200),
        ("{other=~\"x|\"}", 200),
        ("last9_change_events{n=~\"1?1ab.*\"}", 2),
        ("last9_change_events{n !~ \"1ab.*\" , n=~'1.*b'}", 110),
        ("{__name__=~\"last9.*\", n!=\"x\"}", 200),
        ("{__name__=~\"last10.*\"}", 0),
    ] {
        let answer = server.get(&format!("{EVENTS}?limit=1000&{}", selectors(&[selector.to_owned()]))).await;
        let found = answer.json()["events"].as_array().map(Vec::len);
        assert_eq!(found, Some(count), "{selector}: {}", answer.text());
    }
    for selector in [
        "{a=~~\"x\"}",
        "{a!=~\"x\"}",
        "{a==~\"x\"}",
        "{a=~}",
        "{=~\"x\"}",
        "{a=~\"x\" b=~\"y\"}",
        "{__name__=~\".*\"}",
        "{__name__!~\"x\"}",
    ] {
        let answer = server.get(&format!("{EVENTS}?{}", selectors(&[selector.to_owned()]))).await;
        assert_eq!(answer.status, 400, "{selector}: {}", answer.text());
    }
}

#[tokio::test]
async fn more_parameters_than_mean_anything_are_refused() {
    let server = Server::new("");
    for (path, known) in
        [(EVENTS, "match[]=a"), ("/v1/accounts/a/events", "limit=1"), ("/api/v1/event/", "tag=a:b"), ("/metrics", "match[]=a")]
    {
        let answer = server.get(&format!("{path}?{}", vec![known; 3000].join("&"))).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("more than 128 parameters"), "{path}: {}", answer.text());
    }
}
