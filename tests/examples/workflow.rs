//! The steps of the GitHub workflow, run in the environment that GitHub gives them.

use serde_json::Value;

use crate::support::exporter::Exporter;
use crate::support::http;
use crate::{shell, yaml};

#[test]
fn the_steps_of_the_workflow_open_and_close_one_event() {
    let exporter = Exporter::start(&[]);
    let workflow = yaml::document("examples/github-workflow.yml");
    let folder = tempfile::tempdir().unwrap();
    let own: Vec<(&str, &str)> = ["SERVICE", "ENVIRONMENT"].map(|name| (name, workflow["env"][name].as_str().unwrap())).to_vec();
    let mut variables = vec![
        ("CHANGE_EVENTS_ORG", "acme"),
        ("CHANGE_EVENTS_TOKEN", "none"),
        ("GITHUB_RUN_ID", "9876543210"),
        ("GITHUB_RUN_ATTEMPT", "2"),
        ("GITHUB_REPOSITORY", "acme/api"),
        ("GITHUB_SHA", "ffac537e6cbbf934b08745a378932722df287a53"),
        ("RESULT", "failure"),
    ];
    variables.extend(own);
    let mut states = Vec::new();
    for step in workflow["jobs"]["deploy"]["steps"].as_array().unwrap() {
        let Some(script) = step["run"].as_str().filter(|script| script.contains("curl")) else { continue };
        assert!(!script.contains("${{"), "an expression in a script is code to whoever sets its value: {script}");
        assert_eq!(step["continue-on-error"], true, "the server must never fail the job: {script}");
        let list = || {
            let mut listed = http::get(&format!("{}/api/v4/organizations/acme/change_events", exporter.url)).unwrap().json();
            // Of what is open it grows.
            listed["events"].as_array_mut().unwrap().iter_mut().for_each(|event| event["duration_seconds"] = Value::Null);
            listed
        };
        shell::succeed(script, folder.path(), exporter.target(), &variables);
        let listed = list();
        // As curl tries again when the answer is lost.
        shell::succeed(script, folder.path(), exporter.target(), &variables);
        assert_eq!(list(), listed, "a further try is no further edge");
        assert_eq!(listed["events"].as_array().unwrap().len(), 1, "{listed}");
        let event = &listed["events"][0];
        states.push(event["state"].as_str().unwrap().to_owned());
        if event["state"] == "closed" {
            let labels = &event["stop"]["labels"];
            assert_eq!(labels["service_name"], "api", "{listed}");
            assert_eq!(labels["deployment_id"], "9876543210-2", "{listed}");
            assert_eq!(labels["result"], "failure", "{listed}");
        }
    }
    assert_eq!(states, ["open", "closed"]);
}
