//! `token` and `completions`: what they print.

use std::fs;
use std::fs::File;

use crate::support::{change_events, run};

const HASH_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_token_is_new_each_time_and_admitted_by_its_hash() {
    let made = run(&mut change_events(&["token", "--name", "no", "--scope", "read", "--scope", "telemetry"]));
    let token = made.stdout.lines().next().unwrap().strip_prefix("token:  ").unwrap().to_owned();
    assert!(token.starts_with("cev_") && token.len() == 47, "{token}");
    let quiet = run(&mut change_events(&["token", "--quiet"])).stdout;
    assert_eq!(quiet.trim().len(), 47);
    assert_ne!(quiet.trim(), token);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, &token).unwrap();
    let known = run(change_events(&["token", "--stdin"]).stdin(File::open(&path).unwrap())).stdout;
    let hash = known.lines().next().unwrap();
    assert!(hash.starts_with("sha256: ") && made.stdout.contains(hash), "{known} {}", made.stdout);
    let hash = hash.strip_prefix("sha256: ").unwrap();
    let line = format!("  - {{name: \"no\", sha256: \"{hash}\", scopes: [read, telemetry]}}");
    assert_eq!(made.stdout.lines().last(), Some(line.as_str()));
}

#[test]
fn the_hash_is_sha256_of_the_text_without_the_line_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let hash = |text: &str| {
        fs::write(&path, text).unwrap();
        run(change_events(&["token", "--stdin", "--expires", "2027-01-01"]).stdin(File::open(&path).unwrap()))
    };
    for text in ["abc", "abc\n", "abc\r\n"] {
        let ended = hash(text);
        assert_eq!(ended.stdout.lines().next(), Some(format!("sha256: {HASH_OF_ABC}").as_str()), "{ended:?}");
        assert!(ended.stdout.contains("expires: \"2027-01-01\"}"), "{ended:?}");
    }
    assert_eq!(hash("").code, Some(1));
    assert_eq!(hash("a b").code, Some(1));
}

#[test]
fn completions_know_the_subcommands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(&mut change_events(&["completions", shell]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("data-source-name"), "{shell}");
    }
    assert_eq!(run(&mut change_events(&["completions", "tcsh"])).code, Some(2));
}
