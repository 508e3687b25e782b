//! The README and the pages of `docs/` are run as they stand.
//!
//! A fenced block after the line `<!-- test -->` is run by bash, all of them in their order, in one folder, against one
//! server; what `<!-- output -->` stands before has to be what the last one printed. `<!-- file NAME -->` puts the block into
//! that file of the folder. `<!-- serve -->` begins anew with the server that the block starts. Times, ids and tokens differ
//! from run to run and are compared as such.

use regex::Regex;

use crate::shell;
use crate::support::examples;
use crate::support::exporter::Exporter;
use crate::support::servers;

#[derive(Debug, PartialEq)]
enum Mark {
    Test,
    Output,
    Serve,
    File(String),
}

/// The marked blocks of a document, each with its line.
fn blocks(document: &str, text: &str) -> Vec<(Mark, usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mark = match line {
            "<!-- test -->" => Mark::Test,
            "<!-- output -->" => Mark::Output,
            "<!-- serve -->" => Mark::Serve,
            other if other.starts_with("<!-- file ") => Mark::File(other.split(' ').nth(2).unwrap().to_owned()),
            other => {
                assert!(!other.trim_start().starts_with("<!--"), "{document}:{}: unknown mark {other}", number + 1);
                continue;
            }
        };
        let (_, fence) = lines.next().unwrap();
        assert!(fence.starts_with("```"), "{document}:{}: no block after the mark", number + 1);
        let content: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        blocks.push((mark, number + 1, content.join("\n")));
    }
    blocks
}

/// The text with everything replaced that differs from run to run, and without blanks: JSON is laid out to be read.
fn lasting(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, replacement) in [
        (r"\b[0-9a-f]{64}\b", "HASH"),
        (r"\b[0-9a-f]{32}\b", "ID"),
        (r"\b[0-9a-f]{48}\b", "CURSOR"),
        (r"\bcev_[A-Za-z0-9_-]{43}", "TOKEN"),
        (r"\bce1_[A-Za-z0-9_.=-]+", "TOKEN"),
        (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "TIME"),
        (r"\b1[6-9]\d{8}(\.\d{1,3})?\b|\b1[6-9]\d{11}\b", "UNIX"),
        (r"\b127\.0\.0\.1:\d+\b", "ADDRESS"),
        (r#"("duration_seconds": ?)[\d.]+"#, "${1}SECONDS"),
        (r#"("durationMs": ?)\d+"#, "${1}MILLIS"),
        (r"\bevt_[0-9A-Za-z]{27}\b", "SID"),
        (r"\s+", ""),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, replacement).into_owned();
    }
    text
}

/// Arguments of the `change-events serve` in a block, with paths in `folder`.
fn serve(script: &str, folder: &std::path::Path) -> Exporter {
    let arguments = script.split_once("change-events serve").expect("a block that serves").1.lines().next().unwrap_or_default();
    let arguments = arguments.replace("--config.file=", &format!("--config.file={}/", folder.display()));
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    Exporter::start(&arguments)
}

#[test]
fn the_readme_does_what_it_says() {
    check("README.md", 5);
}

#[test]
fn the_page_on_sending_does_what_it_says() {
    check("docs/sending.md", 5);
}

#[test]
fn the_page_on_reading_does_what_it_says() {
    check("docs/reading.md", 2);
}

#[test]
fn the_page_on_configuration_does_what_it_says() {
    check("docs/configuration.md", 3);
}

#[test]
fn the_page_on_commands_does_what_it_says() {
    check("docs/commands.md", 1);
}

#[test]
fn the_page_on_apitraffic_does_what_it_says() {
    check("docs/apitraffic.md", 10);
}

#[test]
fn the_page_on_last9_does_what_it_says() {
    check("docs/last9.md", 4);
}

#[test]
fn the_page_on_grafana_does_what_it_says() {
    check("docs/grafana.md", 4);
}

#[test]
fn the_page_on_ets_does_what_it_says() {
    check("docs/ets.md", 10);
}

#[track_caller]
fn check(document: &str, least: usize) {
    let text = examples::with(document, &[]);
    let folder = tempfile::tempdir().unwrap();
    let mut exporter = None;
    let mut printed = String::new();
    let mut count = 0;
    for (mark, line, block) in blocks(document, &text) {
        match mark {
            Mark::Serve => exporter = Some(serve(&block, folder.path())),
            Mark::File(name) => std::fs::write(folder.path().join(name), block).unwrap(),
            Mark::Test if block.contains("promtool ") && servers::require("promtool").is_none() => {}
            Mark::Test => {
                let exporter = exporter.get_or_insert_with(|| Exporter::start(&[]));
                printed = shell::succeed(&block, folder.path(), exporter.target(), &[]);
                count += 1;
            }
            Mark::Output => assert_eq!(lasting(&printed), lasting(&block), "{document}:{line}: something else is printed"),
        }
    }
    assert!(count >= least, "only {count} blocks of {document} are marked");
}

#[test]
fn every_page_with_marked_blocks_is_run() {
    let entries = std::fs::read_dir(examples::path("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages = pages.map(|path| format!("docs/{}", path.file_name().unwrap().display()));
    for page in pages.chain(["README.md", "alerts/README.md", "grafana/README.md"].map(str::to_owned)) {
        let marked = !blocks(&page, &examples::with(&page, &[])).is_empty();
        let run = include_str!("readme.rs").contains(&format!("check(\"{page}\", "));
        assert_eq!(marked, run, "{page}: has it marked blocks, and is there a test that runs them?");
    }
}
