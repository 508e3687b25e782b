//! All threads are made at the start: whatever is asked of the server later, it makes no other one, and none ends.

use std::collections::BTreeSet;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::exporter::Exporter;
use crate::support::http;

const PATH: &str = "api/v4/organizations/acme/change_events";
const ROUNDS: usize = 3;

fn threads(exporter: &Exporter) -> BTreeSet<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", exporter.id())).unwrap();
    tasks.map(|task| task.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

fn events(count: usize) -> String {
    let start = |number| format!("{{\"event_name\":\"e\",\"event_state\":\"start\",\"attributes\":{{\"n\":\"{number}\"}}}}\n");
    (0..count).map(start).collect()
}

#[test]
fn no_thread_is_made_after_the_start() {
    let mut exporter = Exporter::start(&["--web.enable-lifecycle"]);
    let before = threads(&exporter);
    load(&exporter);
    assert_eq!(threads(&exporter), before);
    // The log is read by threads that were there before it was.
    exporter.kill();
    exporter.start_again();
    assert_eq!(threads(&exporter).len(), before.len());
}

/// All kinds of work that is not done by the threads of connections, many times at once.
fn load(exporter: &Exporter) {
    let url = format!("{}/{PATH}", exporter.url);
    let lines = events(20_000);
    assert_eq!(http::put(&url, "application/x-ndjson", lines.as_bytes()).unwrap().status, 200);
    let array = format!("[{}]", events(5000).trim_end().replace('\n', ","));
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(array.as_bytes()).unwrap();
    let zipped = zipped.finish().unwrap();
    let put_zipped = || {
        let request = ureq::put(&url).header("Content-Type", "application/json").header("Content-Encoding", "gzip");
        request.send(&zipped[..]).map(|answer| answer.status().as_u16()).ok()
    };
    let page = |number: usize| {
        let path =
            if number.is_multiple_of(2) { "metrics".to_owned() } else { format!("metrics?match[]=%7Bn=~%22{}.*%22%7D", number % 10) };
        ureq::get(format!("{}/{path}", exporter.url)).header("Accept-Encoding", "gzip").call().map(|answer| answer.status().as_u16()).ok()
    };
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (url, array, put_zipped) = (&url, &array, &put_zipped);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    assert_eq!(page(number), Some(200));
                    assert!(http::is_ok(&format!("{url}?limit=1000")) && http::is_ok(&format!("{}/api/v1/event/", exporter.url)));
                    assert_eq!(put_zipped(), Some(200));
                    assert_eq!(http::put(url, "application/json", array.as_bytes()).unwrap().status, 200);
                    assert_eq!(ureq::post(format!("{}/-/reload", exporter.url)).send_empty().unwrap().status(), 200);
                }
            });
        }
    });
}
