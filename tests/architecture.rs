//! The shape of the project as tests: layers, small plain files, and documents that cannot drift from the code.
//!
//! What the tests compare is read from the files themselves, so a new module, metric, flag or invariant is checked from its
//! first day. No test here runs the program.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clap::CommandFactory as _;
use regex::Regex;

/// Each module and the ones it may use, lowest first: a module never uses one below it in this list.
const MODULES: [(&str, &[&str]); 21] = [
    ("shown", &[]),
    ("words", &[]),
    ("account", &[]),
    ("threads", &[]),
    ("files", &[]),
    ("time", &["shown"]),
    ("labels", &[]),
    ("event", &["time", "labels"]),
    ("store", &["shown", "words", "account", "time", "labels", "event"]),
    ("exposition", &["account", "threads", "time", "labels", "event", "store"]),
    ("mapping", &["shown", "words", "time", "labels", "event"]),
    ("log", &["files"]),
    ("telemetry", &[]),
    ("writer", &["account", "threads", "time", "labels", "event", "store", "exposition", "log", "telemetry"]),
    ("client", &["shown", "time"]),
    ("rules", &["words", "time"]),
    ("http", &["shown", "account", "threads", "files", "time", "event", "store", "exposition", "mapping", "telemetry", "writer"]),
    ("intake", &["shown", "words", "account", "time", "labels", "event", "store", "exposition", "mapping", "telemetry", "writer", "http"]),
    (
        "doors",
        &[
            "shown",
            "words",
            "account",
            "threads",
            "time",
            "labels",
            "event",
            "store",
            "exposition",
            "mapping",
            "telemetry",
            "writer",
            "http",
            "intake",
        ],
    ),
    ("config", &["shown", "account", "threads", "time", "store", "exposition", "mapping", "telemetry", "writer", "http", "doors"]),
    (
        "cli",
        &[
            "account",
            "threads",
            "files",
            "time",
            "store",
            "exposition",
            "log",
            "telemetry",
            "writer",
            "client",
            "rules",
            "http",
            "doors",
            "config",
        ],
    ),
];

const FILE_LINES_MAX: usize = 500;

const README_LINES_MAX: usize = 250;
/// Words that are not in a block of code: what somebody reads who is in a hurry.
const README_WORDS_MAX: usize = 800;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder of this repository whose name ends in one of `extensions`, as a path from the root, sorted.
fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extensions.iter().any(|one| extension == *one)) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The documents at the root and those of `docs/`.
fn documents() -> Vec<PathBuf> {
    let at_the_root = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from);
    at_the_root.into_iter().chain(files("docs", &["md"])).collect()
}

/// The lines of code of a file, with their numbers: no comments, no documentation.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = read(path);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.map(|(index, line)| (index + 1, line.to_owned())).collect()
}

/// The module at the top of the crate that a file of `src` belongs to.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn lower_modules_never_use_higher_ones() {
    let mut lower = Vec::new();
    for (module, uses) in MODULES {
        for used in uses {
            assert!(lower.contains(used), "the list lets `{module}` use `{used}`, which is not below it");
        }
        lower.push(module);
    }
    let allowed: BTreeMap<&str, &[&str]> = MODULES.into_iter().collect();
    let path_of_crate = Regex::new(r"\bcrate::(\w+)").unwrap();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in files("src", &["rs"]) {
        let module = module(&path);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let uses = allowed.get(module.as_str()).unwrap_or_else(|| panic!("{}: `{module}` has no place in MODULES", path.display()));
        for (number, line) in code(&path) {
            for used in path_of_crate.captures_iter(&line).map(|captures| captures[1].to_owned()) {
                if used != module && !uses.contains(&used.as_str()) {
                    wrong.push(format!("{}:{number}: `{module}` must not use `{used}`", path.display()));
                }
            }
        }
        seen.insert(module);
    }
    let missing: Vec<_> = lower.iter().filter(|module| !seen.contains(**module)).collect();
    assert!(missing.is_empty(), "in the list and not in src: {missing:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The folders of `src/doors`.
fn doors() -> Vec<String> {
    let entries = fs::read_dir(root().join("src/doors")).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap());
    let doors: Vec<String> = folders.collect();
    assert!(doors.len() > 3, "{doors:?}");
    doors
}

/// What is of a vendor and of the whole program, not of a door: the name of the family, and a header that many scripts send.
const OF_THE_PROGRAM: [&str; 2] = ["last9_change_events", "x-last9-api-token"];

#[test]
fn only_the_doors_know_a_door() {
    let mut wrong = Vec::new();
    for door in doors() {
        let name = Regex::new(&format!(r"(?i)(?:\b|_){door}(?:\b|_)")).unwrap();
        for path in ["src/http", "src/intake", "src/mapping"].into_iter().flat_map(|folder| files(folder, &["rs"])) {
            for (number, line) in code(&path) {
                let line = OF_THE_PROGRAM.into_iter().fold(line.to_lowercase(), |line, known| line.replace(known, ""));
                // Words that are doors and words.
                let is_word = ["operating", "scrape"].contains(&door.as_str());
                if !is_word && name.is_match(&line) || line.contains("crate::doors") {
                    wrong.push(format!("{}:{number}: names the door {door}: {line}", path.display()));
                }
            }
        }
        for path in files(&format!("src/doors/{door}"), &["rs"]) {
            for (number, line) in code(&path) {
                let others = line.matches("crate::doors::").count() - line.matches(&format!("crate::doors::{door}::")).count();
                // A door may list all of them, as its document does, and single out none.
                if others > line.matches("crate::doors::ALL").count() {
                    wrong.push(format!("{}:{number}: a door names another one: {line}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_reads_bytes_knows_neither_requests_nor_memory() {
    let mut wrong = Vec::new();
    let mut wires = 0;
    for path in files("src/doors", &["rs"])
        .into_iter()
        .filter(|path| path.components().any(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs") == "wire"))
    {
        wires += 1;
        for (number, line) in code(&path) {
            if ["crate::http", "crate::intake", "crate::store", "crate::writer", "axum::", "hyper::"].iter().any(|used| line.contains(used))
            {
                wrong.push(format!("{}:{number}: {line}", path.display()));
            }
        }
    }
    assert!(wires > 3 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn source_files_are_small_and_plain() {
    let mut wrong = Vec::new();
    for path in files("src", &["rs"]) {
        let text = read(&path);
        let shown = path.display();
        if text.lines().count() > FILE_LINES_MAX {
            wrong.push(format!("{shown}: more than {FILE_LINES_MAX} lines"));
        }
        if !text.starts_with("//! ")
            && module(&path) != "main"
            && !shown.to_string().ends_with("tests.rs")
            && !shown.to_string().ends_with("tests/mod.rs")
        {
            wrong.push(format!("{shown}: does not begin with what it is for"));
        }
        for (index, line) in text.lines().enumerate() {
            let at = format!("{shown}:{}", index + 1);
            if !line.is_ascii() {
                wrong.push(format!("{at}: not ASCII"));
            }
            if line.trim_start().starts_with("use crate::") && line.contains('{') || line.contains("crate::{") {
                wrong.push(format!("{at}: one `use crate::` per line, without a group"));
            }
            if line.contains("super::super") {
                wrong.push(format!("{at}: write the path from `crate::`"));
            }
        }
    }
    for document in documents() {
        let text = read(&document);
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_ascii());
        wrong.extend(lines.map(|(index, _)| format!("{}:{}: not ASCII", document.display(), index + 1)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = read("Cargo.toml");
    let mut in_dependencies = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        } else if in_dependencies && line.contains('=') {
            assert!(line.contains(" # "), "Cargo.toml: what is this for? {line}");
        }
    }
}

/// Every metric that this program exposes, with its HELP text: its own ones from the table in the code, and the families of
/// change events.
fn declared_metrics() -> BTreeMap<String, String> {
    let source = read("src/telemetry/mod.rs");
    let table = source.split_once("\nmetrics! {\n").expect("the table of metrics").1.split_once("\n}\n").unwrap().0;
    let mut metrics = BTreeMap::new();
    let mut help = Vec::new();
    let mut declaration = String::new();
    for line in table.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            help.push(text.trim());
            continue;
        }
        declaration.push_str(line);
        if line.ends_with(';') {
            let name = declaration.split('"').nth(1).expect("a name").to_owned();
            let kind = declaration.split_once('=').unwrap().0;
            let total = if kind.contains("Counter") { "_total" } else { "" };
            metrics.insert(format!("change_events_{name}{total}"), help.join(" "));
            help.clear();
            declaration.clear();
        }
    }
    assert!(metrics.len() > 30, "the table of metrics was not understood: {metrics:?}");
    for path in files("src/exposition", &["rs"]).into_iter().chain(files("src/store", &["rs"])) {
        for (_, line) in code(&path) {
            for name in metric_names(&line).into_iter().filter(|name| name.starts_with("last9_")) {
                metrics.insert(name, String::new());
            }
        }
    }
    metrics
}

/// The names of metrics that a text speaks of.
fn metric_names(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:change_events_[a-z0-9_]+|last9_change_events[a-z0-9_]*)\b").unwrap();
    name.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn every_metric_that_rules_dashboards_and_documents_name_exists() {
    let declared = declared_metrics();
    let exists = |name: &str| {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        declared.contains_key(name) || family.is_some_and(|family| declared.contains_key(family))
    };
    let mut named_in = documents();
    named_in.extend(files("alerts", &["yml", "md"]));
    named_in.extend(files("grafana", &["json", "yml", "md"]));
    named_in.extend(files("examples", &["yml", "yaml", "md"]));
    let mut wrong = Vec::new();
    for path in named_in {
        for name in metric_names(&read(&path)).iter().filter(|name| !exists(name)) {
            wrong.push(format!("{}: no such metric: {name}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rows of the table in a document whose first cell is a name in backquotes: that name, and the other cells.
fn rows(document: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in document.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
        let name = cells.next().unwrap();
        let name = name.trim_matches('`').split([' ', '`']).next().unwrap().to_owned();
        rows.insert(name, cells.collect());
    }
    rows
}

#[test]
fn the_page_of_metrics_lists_every_one_of_our_own() {
    let rows = rows(&read("docs/metrics.md"));
    let mut missing = Vec::new();
    for (name, help) in declared_metrics().iter().filter(|(name, _)| name.starts_with("change_events_")) {
        if !rows.get(name).is_some_and(|cells| cells.contains(help)) {
            missing.push(format!("| `{name}` | {help} |"));
        }
    }
    assert!(missing.is_empty(), "docs/metrics.md lacks these rows:\n{}", missing.join("\n"));
}

/// The statuses that the document of the routes and the code that answers name.
fn answered_statuses() -> BTreeSet<u16> {
    let documented = Regex::new(r#""([1-5]\d\d)": \{"#).unwrap();
    let parts: String = files("src/doors", &["json"]).into_iter().map(read).collect();
    let mut statuses: BTreeSet<u16> = documented.captures_iter(&parts).map(|found| found[1].parse().unwrap()).collect();
    let named = Regex::new(r"\bStatusCode::([A-Z_]+)\b").unwrap();
    let by_name: BTreeMap<String, u16> = (100..600)
        .filter_map(|status| Some((axum::http::StatusCode::from_u16(status).ok()?.canonical_reason()?, status)))
        .map(|(reason, status)| (reason.to_uppercase().replace([' ', '-'], "_"), status))
        .collect();
    let mapped = Regex::new(r"=> ([45]\d\d)\b").unwrap();
    for path in ["src/http", "src/intake", "src/doors", "src/mapping"].into_iter().flat_map(|folder| files(folder, &["rs"])) {
        for (number, line) in code(&path) {
            for found in named.captures_iter(&line) {
                let status = by_name.get(&found[1]);
                statuses.insert(*status.unwrap_or_else(|| panic!("{}:{number}: which status is {}?", path.display(), &found[1])));
            }
            statuses.extend(line.contains("Redirect::temporary").then_some(307));
            statuses.extend(mapped.captures_iter(&line).map(|found| found[1].parse::<u16>().unwrap()));
        }
    }
    statuses
}

#[test]
fn every_status_has_its_metric() {
    let answered = answered_statuses();
    assert!([200, 201, 307, 412, 503].iter().all(|status| answered.contains(status)), "the code was not understood: {answered:?}");
    let telemetry = change_events::telemetry::Telemetry::new();
    let route = telemetry.route("/", "GET");
    for status in 100..600 {
        route.observe(status, std::time::Duration::ZERO);
    }
    let code = Regex::new(r#"http_route_requests_total\{[^}]*code="(\d+)"\}"#).unwrap();
    let counted: BTreeSet<u16> = code.captures_iter(&telemetry.render_text()).map(|found| found[1].parse().unwrap()).collect();
    assert_eq!(counted, answered, "the statuses of src/telemetry/requests.rs, and those that are answered");
}

/// Beside what `Telemetry::refuse` finds out when a test is refused for a reason that it does not know.
#[test]
fn every_reason_has_its_metric() {
    let given = r#"(?:(?:new|refuse)\(\s*(?:StatusCode::\w+|status),|\b(?:too_many|unavailable)\(|\b[45]\d\d =>|Error::\w+(?:\(_\))? => \()\s*"([a-z_]+)""#;
    let given = Regex::new(given).unwrap();
    let sources = ["src/http", "src/intake", "src/doors"].into_iter().flat_map(|folder| files(folder, &["rs"]));
    let code: String = sources.flat_map(|path| code(&path)).map(|(_, line)| line + "\n").collect();
    let named: BTreeSet<_> = given.captures_iter(&code).map(|found| found[1].to_owned()).collect();
    let reasons = change_events::telemetry::REASONS;
    let unused: Vec<_> = reasons.iter().filter(|reason| !code.contains(&format!("\"{reason}\""))).collect();
    assert!(unused.is_empty(), "nobody is refused for {unused:?}");
    assert!(named.len() > reasons.len() - 10, "the code was not understood: {named:?}");
    // What no route takes is counted as a request alone.
    let missing: Vec<_> = named.iter().filter(|reason| *reason != "route" && !reasons.contains(&reason.as_str())).collect();
    assert!(missing.is_empty(), "REASONS of src/telemetry/begun.rs lacks {missing:?}");
}

#[test]
fn the_page_of_flags_lists_every_one_of_serve_with_its_default() {
    let rows = rows(&read("docs/flags.md"));
    let program = change_events::cli::Cli::command();
    let serve = program.find_subcommand("serve").unwrap();
    let said = Regex::new(r"Default:? ([^.]+)").unwrap();
    let mut missing = Vec::new();
    for argument in serve.get_arguments().filter(|argument| argument.get_long() != Some("help")) {
        let flag = format!("--{}", argument.get_long().expect("serve has no positional arguments"));
        let about = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let default = argument.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        let default = default.or_else(|| Some(said.captures(&about)?[1].to_owned())).filter(|_| argument.get_action().takes_values());
        let cells = rows.get(&flag);
        if !cells.is_some_and(|cells| default.as_ref().is_none_or(|default| cells.contains(&format!("`{default}`")))) {
            let default = default.map_or_else(String::new, |default| format!("`{default}`"));
            missing.push(format!("| `{flag}` | {default} | {about} |"));
        }
    }
    assert!(missing.is_empty(), "docs/flags.md lacks these rows:\n{}", missing.join("\n"));
}

#[test]
fn the_pages_of_limits_and_of_commands_leave_none_out() {
    let program = change_events::cli::Cli::command();
    let flags = program.find_subcommand("serve").unwrap().get_arguments().filter_map(clap::Arg::get_long);
    let limits = flags.filter(|flag| flag.starts_with("limit.")).map(|flag| ("docs/limits.md", format!("`--{flag}`")));
    let named = program.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    let commands = named.filter(|name| *name != "help").map(|name| ("docs/commands.md", name.to_owned()));
    let cell = |document: &str, name: &str| read(document).lines().any(|line| line.starts_with("| ") && line.contains(name));
    let missing: Vec<_> = limits.chain(commands).filter(|(document, name)| !cell(document, name)).collect();
    assert!(missing.is_empty(), "no row of a table has these: {missing:?}");
}

#[test]
fn the_page_of_configuration_has_every_key() {
    let source = read("src/config/file.rs");
    let wire = Regex::new(r"(?s)\nstruct Wire\w* \{\n(.*?)\n\}").unwrap();
    let field = Regex::new(r"(?m)^    (\w+): ").unwrap();
    let keys: BTreeSet<&str> = wire
        .captures_iter(&source)
        .flat_map(|found| field.captures_iter(found.get(1).unwrap().as_str()))
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert!(keys.contains("organizations") && keys.contains("supersede"), "the keys were not understood: {keys:?}");
    let page = read("docs/configuration.md");
    let named: BTreeSet<&str> = Regex::new(r"\w+").unwrap().find_iter(&page).map(|word| word.as_str()).collect();
    let missing: Vec<_> = keys.difference(&named).collect();
    assert!(missing.is_empty(), "docs/configuration.md says nothing of {missing:?}");
}

#[test]
fn every_flag_that_documents_name_exists() {
    let program = change_events::cli::Cli::command();
    let mut known = BTreeSet::new();
    let mut commands = vec![&program];
    while let Some(command) = commands.pop() {
        known.extend(command.get_arguments().filter_map(clap::Arg::get_long).map(|long| format!("--{long}")));
        commands.extend(command.get_subcommands());
    }
    known.extend(["--help", "--version"].map(str::to_owned));
    let flag = Regex::new(r"(?:^|[\s`(=])(--[a-z][a-z0-9.-]*[a-z0-9])").unwrap();
    let mut wrong = Vec::new();
    let mut named_in = documents();
    named_in.retain(|document| document != Path::new("CONTRIBUTING.md")); // its flags are those of cargo
    named_in.extend(["alerts", "grafana", "examples"].into_iter().flat_map(|folder| files(folder, &["md"])));
    for document in named_in {
        let text = read(&document).replace("\\\n", " ");
        for line in text.lines().filter(|line| !FOREIGN_COMMANDS.iter().any(|command| line.contains(command))) {
            for captures in flag.captures_iter(line) {
                if !known.contains(&captures[1]) {
                    wrong.push(format!("{}: no such flag: {} in {line:?}", document.display(), &captures[1]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines with these in them show the flags of another program.
const FOREIGN_COMMANDS: [&str; 5] = ["cargo ", "tests/run", "curl ", "prometheus --", "docker "];

/// The anchors that the headings of a document make.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    let plain = |letter: char| letter.is_alphanumeric() || " -_".contains(letter);
    headings.map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(|letter| !plain(letter), "").replace(' ', "-")).collect()
}

#[test]
fn documents_point_to_what_exists() {
    let link = Regex::new(r"\]\(([^)#:]*)(?:#([^):]*))?\)").unwrap();
    let path = Regex::new(r"`((?:src|tests|alerts|examples|docs|grafana|benches)/[\w./-]*)`").unwrap();
    let mut wrong = Vec::new();
    let mut pointing = documents();
    pointing.extend(["alerts", "grafana", "examples"].into_iter().flat_map(|folder| files(folder, &["md"])));
    for document in pointing {
        let text = read(&document);
        let folder = document.parent().unwrap();
        let links = link.captures_iter(&text).filter_map(|found| Some((folder.join(&found[1]), found.get(2)?.as_str().to_owned())));
        for (target, anchor) in links {
            let target = if target == folder { document.clone() } else { target };
            if root().join(&target).exists() && !anchors(&read(&target)).contains(&anchor) {
                wrong.push(format!("{}: {} has no heading {anchor}", document.display(), target.display()));
            }
        }
        let linked = link.captures_iter(&text).map(|found| folder.join(&found[1]));
        let named = path.captures_iter(&text).map(|found| PathBuf::from(&found[1]));
        for target in linked.chain(named).filter(|target| !root().join(target).exists()) {
            wrong.push(format!("{}: there is no {}", document.display(), target.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_is_read_in_two_minutes() {
    let text = read("README.md");
    let lines = text.lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines, more than {README_LINES_MAX}: tables are for docs/");
    let fenced = Regex::new(r"(?s)```.*?```|<!--.*?-->|\]\([^)]*\)").unwrap();
    let words = fenced.replace_all(&text, " ").split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
    assert!(words <= README_WORDS_MAX, "README.md has {words} words beside its blocks, more than {README_WORDS_MAX}");
}

#[test]
fn the_map_of_documents_has_every_page() {
    let link = Regex::new(r"\]\((?:\.\./)?([^)#:]*)\)").unwrap();
    let map = read("docs/README.md");
    let linked: BTreeSet<PathBuf> = link.captures_iter(&map).map(|found| PathBuf::from(&found[1])).collect();
    let pages = files("docs", &["md"]).into_iter().map(|page| page.strip_prefix("docs").unwrap().to_owned());
    let missing: Vec<_> = pages.filter(|page| page.as_os_str() != "README.md" && !linked.contains(page)).collect();
    assert!(missing.is_empty(), "docs/README.md has no line for {missing:?}");
}

#[test]
fn every_invariant_has_a_test_of_its_name() {
    let invariant = Regex::new(r"(?m)^\| I(\d+) \| `(\w+)` \|").unwrap();
    let map = read("ARCHITECTURE.md");
    let sources: Vec<String> = files("src", &["rs"]).into_iter().chain(files("tests", &["rs"])).map(read).collect();
    let mut numbers = Vec::new();
    for captures in invariant.captures_iter(&map) {
        numbers.push(captures[1].parse::<usize>().unwrap());
        let test = Regex::new(&format!(r"#\[(?:tokio::)?test[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn {}\(", &captures[2])).unwrap();
        assert!(sources.iter().any(|source| test.is_match(source)), "I{}: there is no test `{}`", &captures[1], &captures[2]);
    }
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "the invariants in ARCHITECTURE.md are not numbered from 1");
    assert!(!numbers.is_empty(), "ARCHITECTURE.md has no invariants");
}
