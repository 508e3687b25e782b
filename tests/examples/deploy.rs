//! Files that start the server: systemd unit, container file, compose file, Kubernetes manifest, configuration file.

use std::process::Command;

use change_events::cli::Cli;
use clap::Parser as _;
use serde_json::Value;

use crate::support::{examples, exporter, servers};
use crate::yaml;

#[track_caller]
fn is_accepted(arguments: &[&str]) {
    if let Err(error) = Cli::try_parse_from(["change-events"].iter().chain(arguments)) {
        panic!("{arguments:?}: {error}");
    }
}

/// `change-events check config` accepts a file with this text.
#[track_caller]
fn is_valid_config(name: &str, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yml");
    std::fs::write(&path, text).unwrap();
    let output = Command::new(exporter::binary()).args(["check", "config"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_configuration_file_is_valid() {
    for name in ["examples/config.yml", "examples/labels-drop.yml"] {
        is_valid_config(name, &examples::with(name, &[]));
    }
}

#[test]
fn the_unit_is_valid_for_systemd() {
    let name = "examples/change-events.service";
    let binary = exporter::binary();
    let unit = examples::with(name, &[("/usr/local/bin/change-events", binary.to_str().unwrap())]);
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let arguments: Vec<&str> = start.split_whitespace().skip(1).collect();
    is_accepted(&arguments);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("change-events.service");
    std::fs::write(&path, &unit).unwrap();
    let Ok(output) = Command::new("systemd-analyze").arg("verify").arg(&path).output() else {
        eprintln!("\n*** SKIPPED: there is no systemd-analyze\n");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("change-events.service"), "{said}");
}

/// What the image runs, without its own name.
fn entrypoint() -> Vec<String> {
    let file = examples::with("examples/Containerfile", &[]);
    let line = file.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).unwrap();
    let words: Vec<String> = serde_json::from_str(line).unwrap();
    assert_eq!(words[0], "change-events");
    words[1..].to_vec()
}

#[track_caller]
fn is_accepted_by_the_image(further: &[&str]) {
    let entrypoint = entrypoint();
    let arguments: Vec<&str> = entrypoint.iter().map(String::as_str).chain(further.iter().copied()).collect();
    is_accepted(&arguments);
}

#[test]
fn the_image_takes_what_its_users_pass() {
    is_accepted_by_the_image(&["--web.allow-anonymous"]);
    assert!(entrypoint().contains(&"--web.listen-address=:10555".to_owned()), "every address, of IPv6 too");
    let file = examples::with("examples/Containerfile", &[]);
    assert!(!file.lines().any(|line| line.starts_with("VOLUME")), "whoever wants none would get one that nobody finds again");
    assert!(file.contains("\nUSER 65532:65532\n"));
    for line in file.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        for source in line.split_whitespace().skip(1).collect::<Vec<_>>().split_last().unwrap().1 {
            assert!(examples::path(source).exists(), "{line}");
        }
    }
}

#[test]
fn the_compose_file_holds_together() {
    let compose = yaml::document("examples/compose.yml");
    let service = &compose["services"]["change-events"];
    is_accepted_by_the_image(&yaml::strings(&service["command"]));
    let dockerfile = service["build"]["dockerfile"].as_str().unwrap();
    assert!(examples::path(dockerfile).exists());
    assert!(yaml::strings(&service["volumes"]).contains(&"./change-events:/etc/change-events:ro"));
    assert_eq!(yaml::strings(&service["command"]), ["--config.file=/etc/change-events/config.yml"]);
    // A file that is mounted alone stays the old one when an editor replaces it.
    assert!(compose["secrets"].is_null());
    for service in compose["services"].as_object().unwrap().values() {
        for volume in yaml::strings(&service["volumes"]).into_iter().filter(|volume| volume.starts_with('.')) {
            let folders = ["./change-events", "./tokens", "../alerts"];
            assert!(folders.contains(&volume.split(':').next().unwrap()), "{volume}");
        }
    }

    let prometheus = &compose["services"]["prometheus"];
    let scrape = compose["configs"]["prometheus"]["content"].as_str().unwrap();
    assert!(scrape.contains("credentials_file: tokens/prometheus\n"), "{scrape}");
    assert!(yaml::strings(&prometheus["volumes"]).contains(&"./tokens:/etc/prometheus/tokens:ro"));
    for file in scrape.lines().filter_map(|line| line.trim().strip_prefix("- alerts/")) {
        assert!(examples::path("alerts").join(file).exists(), "{file}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prometheus.yml");
    std::fs::write(&path, scrape).unwrap();
    for promtool in ["promtool", "debian/promtool"] {
        let Some(promtool) = servers::require(promtool) else { continue };
        let output = Command::new(promtool).args(["check", "config", "--syntax-only"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The object of a kind in the Kubernetes manifest.
fn object<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn the_kubernetes_manifest_holds_together() {
    let objects = yaml::documents("examples/kubernetes.yml");
    let (service, set) = (object(&objects, "Service"), object(&objects, "StatefulSet"));
    let (monitor, map) = (object(&objects, "ServiceMonitor"), object(&objects, "ConfigMap"));
    let pod = &set["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    is_accepted_by_the_image(&yaml::strings(&container["args"]));
    for id in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(pod["spec"]["securityContext"][id], 65532, "the user of the image: {id}");
    }
    for mount in container["volumeMounts"].as_array().unwrap() {
        assert!(mount["subPath"].is_null(), "it would stay as it was at the start: {mount}");
    }

    // Who finds whom.
    assert_eq!(set["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"]);
    assert_eq!(service["spec"]["selector"], pod["metadata"]["labels"]);
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"]);
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    assert_eq!(container["ports"][0]["containerPort"], 10555);
    assert_eq!(pod["spec"]["volumes"][0]["configMap"]["name"], map["metadata"]["name"]);
    assert_eq!(set["spec"]["replicas"], 1);

    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a0";
    let mut number = 0;
    let config: String = map["data"]["config.yml"].as_str().unwrap().split("HASH").fold(String::new(), |text, part| {
        number += 1;
        if text.is_empty() { part.to_owned() } else { format!("{text}{hash}{number}{part}") }
    });
    is_valid_config("examples/kubernetes.yml", &config);
}

#[test]
fn every_example_is_yaml_or_has_a_test_of_its_own() {
    for entry in std::fs::read_dir(examples::path("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yml") => assert!(!yaml::documents(&format!("examples/{name}")).is_empty(), "{name}"),
            _ => assert!(["Containerfile", "change-events.service", "payloads"].contains(&name), "{name}: what tests it?"),
        }
    }
}
