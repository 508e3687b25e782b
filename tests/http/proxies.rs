//! Behind a proxy: one that passes the path on as it is, and one that takes the prefix away. Whatever link comes back is followed.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;

use serde_json::json;

use crate::harness::exporter::Exporter;
use crate::harness::http;

/// What a proxy does with the path that it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Kept,
    Stripped,
}

const PREFIX: &str = "/ce";

/// A proxy for what is below [`PREFIX`], before the server whose address it is told.
struct Proxy {
    address: SocketAddr,
    upstream: Arc<OnceLock<String>>,
}

impl Proxy {
    fn start(path: Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), upstream: Arc::default() };
        let upstream = Arc::clone(&proxy.upstream);
        thread::spawn(move || {
            for client in listener.incoming() {
                let upstream = Arc::clone(&upstream);
                thread::spawn(move || pass_on(&client.unwrap(), upstream.get().unwrap(), path));
            }
        });
        proxy
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One request and its answer.
fn pass_on(mut client: &TcpStream, upstream: &str, path: Path) {
    let mut reader = BufReader::new(client);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        lines.push(line);
    }
    let Some((request, headers)) = lines.split_first() else { return };
    let (method, target) = request.split_once(' ').unwrap();
    let Some(below) = target.strip_prefix(PREFIX).filter(|below| below.starts_with('/')) else {
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        return;
    };
    let length = |line: &String| line.to_ascii_lowercase().strip_prefix("content-length:").map(|length| length.trim().parse().unwrap());
    let mut body = vec![0; headers.iter().find_map(length).unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let mut server = TcpStream::connect(upstream).unwrap();
    let target = if path == Path::Kept { target } else { below };
    let own = |line: &&String| !line.to_ascii_lowercase().starts_with("connection:");
    let headers: String = headers.iter().filter(own).map(String::as_str).collect();
    server.write_all(format!("{method} {target}{headers}Connection: close\r\n\r\n").as_bytes()).unwrap();
    server.write_all(&body).unwrap();
    std::io::copy(&mut server, &mut client).ok();
}

/// An exporter behind the proxy, with the flags that its external URL makes.
fn behind(proxy: &Proxy, more: &[&str]) -> Exporter {
    let external = format!("--web.external-url={}{PREFIX}/", proxy.origin());
    let exporter = Exporter::start(&[&[&*external], more].concat());
    proxy.upstream.set(exporter.target().split('/').next().unwrap().to_owned()).unwrap();
    exporter
}

/// The addresses that a page links to.
fn links(page: &str) -> Vec<String> {
    page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[track_caller]
fn follow(origin: &str, link: &str) -> String {
    let url = if link.starts_with('/') { format!("{origin}{link}") } else { link.to_owned() };
    let answer = http::get(&url).unwrap();
    assert_eq!(answer.status, 200, "{url}: {}", answer.text);
    answer.text
}

#[test]
fn every_link_leads_somewhere_behind_a_proxy() {
    for (path, flags) in [(Path::Kept, &[][..]), (Path::Stripped, &["--web.route-prefix=/"])] {
        let proxy = Proxy::start(path);
        let _exporter = behind(&proxy, flags);
        let (origin, base) = (proxy.origin(), format!("{}{PREFIX}", proxy.origin()));

        let landing = follow(&origin, &format!("{PREFIX}/"));
        assert!(landing.contains(&format!("curl -X PUT {base}/api/v4/")), "{landing}");
        assert!(links(&landing).len() >= 4, "{landing}");
        for link in links(&landing) {
            follow(&origin, &link);
        }

        let marker = json!({"type": "deployment", "name": "v1"}).to_string();
        let created = ureq::post(format!("{base}/v1/accounts/acme//events/")).header("Content-Type", "application/json").send(&marker);
        let location = created.unwrap().headers()["location"].to_str().unwrap().to_owned();
        assert!(location.starts_with(&format!("{PREFIX}/v1/accounts/acme/events/")), "{path:?}: {location}");
        assert!(follow(&origin, &location).contains("v1"));

        let event = json!({"event": {"id": "a b", "description": "cause"}}).to_string();
        assert_eq!(http::put(&format!("{base}/api/v1/event/"), "application/json", event.as_bytes()).unwrap().status, 200);
        let drawn = follow(&origin, &format!("{PREFIX}/event/a%20b/"));
        assert!(links(&drawn).len() >= 2, "{drawn}");
        for link in links(&drawn) {
            follow(&origin, &link);
        }

        let document: serde_json::Value = serde_json::from_str(&follow(&origin, &format!("{PREFIX}/api/openapi.json"))).unwrap();
        assert_eq!(document["servers"], json!([{ "url": base }]));
    }
}

#[test]
fn a_proxy_that_strips_what_is_served_is_told_what_to_say() {
    let proxy = Proxy::start(Path::Stripped);
    let _exporter = behind(&proxy, &[]);
    let answer = http::get(&format!("{}{PREFIX}/metrics", proxy.origin())).unwrap();
    assert_eq!(answer.status, 404);
    assert!(answer.text.contains("all are below /ce") && answer.text.contains("--web.route-prefix=/"), "{}", answer.text);
}
