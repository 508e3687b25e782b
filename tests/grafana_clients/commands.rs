//! The two programs that only send: `grafannotate`, and the notifications of Argo CD.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::life::now;
use crate::server::{Server, TOKEN};
use crate::support::servers;

/// What it prints when it reads this text.
fn run(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The log of `grafannotate` with these arguments; it ends well whatever happens.
fn grafannotate(url: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(servers::require("grafannotate")?);
    command.args(["--uri", &format!("{url}/api/annotations"), "--title", "checkout 4.12.0", "--tag", "deploy"]);
    command.args(["--tag", "service:checkout", "--description", "by ci-bot"]).args(arguments);
    let output = run(command, "");
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stderr).unwrap())
}

#[test]
fn grafannotate_sends_points_and_regions() {
    let server = Server::with_token(&[]);
    let second = now() / 1000 - 3600;
    let (start, end) = ((second - 90).to_string(), second.to_string());
    let span = ["--start", &start, "--end", &end];
    let with_password = server.url.replace("http://", &format!("http://anyone:{TOKEN}@"));
    for (url, arguments, duration) in [
        (&server.url, &[&["--api-key", TOKEN], &span[..]].concat()[..], 90),
        (&with_password, &["--start", &end, "--end", &end], 0),
        (&with_password, &span, 90),
    ] {
        let Some(log) = grafannotate(url, arguments) else { return };
        assert!(log.contains("[INFO] Annotation added"), "{log}");
        let newest = server.annotations(&[]).into_iter().max_by_key(|one| one["id"].as_u64()).unwrap();
        let expected =
            json!(["<b>checkout 4.12.0</b>\n\nby ci-bot", ["deploy", "service:checkout"], (second - duration) * 1000, second * 1000]);
        assert_eq!(json!([newest["text"], newest["tags"], newest["time"], newest["timeEnd"]]), expected);
    }
    assert_eq!(server.open(), [""; 0]);
    let log = grafannotate(&server.url, &["--api-key", "wrong"]).unwrap();
    assert!(log.contains("Received 401 response"), "{log}");
    assert_eq!(server.annotations(&[]).len(), 3);
}

/// One notification as a user of Argo CD configures it.
fn notified(url: &str, token: &str, recipient: &str) -> Option<Output> {
    let request = json!({
        "options": format!("apiUrl: {url}/api\napiKey: {token}\n"),
        "message": "Application {{.app.metadata.name}} is now running new version of deployments manifests.",
        "recipient": recipient,
        "app": {"metadata": {"name": "checkout"}},
    });
    Some(run(Command::new(servers::require("argo-notifications")?), &request.to_string()))
}

#[test]
fn argo_cd_notifies_and_takes_nothing_but_a_200() {
    for prefix in ["", "/change/events"] {
        let server = Server::with_token(&[&*format!("--web.route-prefix={prefix}/")]);
        let before = now() / 1000 * 1000;
        let Some(output) = notified(&server.url, TOKEN, "deploy|service:checkout|env:production") else { return };
        assert!(output.status.success(), "{output:?}");
        let found = server.annotations(&[("tags", "deploy"), ("tags", "service:checkout")]);
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!(one["text"], "Application checkout is now running new version of deployments manifests.");
        assert_eq!(one["tags"], json!(["deploy", "service:checkout", "env:production"]));
        let time = one["time"].as_i64().unwrap();
        assert!(before <= time && time <= now() && time % 1000 == 0 && one["timeEnd"] == time, "a point at a full second: {one}");
        let page = server.lines("last9_change_events{").join("\n");
        assert!(page.contains(r#"event_name="deployment""#) && page.contains(r#"service_name="checkout""#), "{page}");
        assert_eq!(server.open(), [""; 0]);

        let output = notified(&server.url, "wrong", "deploy").unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && words.contains("error code 401"), "{words}");
        assert_eq!(server.annotations(&[]).len(), 1);
    }
}

/// Flux sends the seconds of a Graphite event to the route of the others.
#[test]
fn what_flux_sends_has_its_own_time() {
    let server = Server::with_token(&[]);
    let when = now() / 1000 - 600;
    let tags = json!(["flux", "kustomize-controller", "revision: main@sha1|9f1c2d3e", "kind: Kustomization", "name: checkout"]);
    let body = json!({"when": when, "text": "kustomization/checkout.apps", "tags": tags});
    let answer = ureq::post(format!("{}/api/annotations", server.url))
        .header("Authorization", format!("Bearer {TOKEN}"))
        .send(body.to_string())
        .unwrap();
    assert_eq!(answer.status(), 200);
    let found: Vec<Value> = server.annotations(&[]);
    assert_eq!(json!([found[0]["text"], found[0]["tags"], found[0]["time"]]), json!(["kustomization/checkout.apps", tags, when * 1000]));
}
