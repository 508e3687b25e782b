//! The two libraries, each in a process of its own that calls one method for each line it reads.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::server::TOKEN;
use crate::support::{examples, servers};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Library {
    /// `grafana-client` of the Python package index.
    Python,
    /// `grafana-openapi-client-go`.
    Go,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Credential {
    /// As Grafana's API key.
    Bearer(&'static str),
    /// As the password of any user.
    Password(&'static str),
    None,
}

pub(crate) const BEARER: Credential = Credential::Bearer(TOKEN);
pub(crate) const PASSWORD: Credential = Credential::Password(TOKEN);

#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    calls: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    /// `None` where the library is not installed.
    pub(crate) fn start(library: Library, url: &str, credential: Credential) -> Option<Self> {
        let mut command = match library {
            Library::Go => Command::new(servers::require("grafana-openapi-client")?),
            Library::Python => {
                let mut python = Command::new(servers::require("grafana-client")?);
                python.arg(examples::path("tests/grafana_clients/driver.py"));
                python
            }
        };
        match credential {
            Credential::Bearer(token) => command.arg(url).env("GRAFANA_TOKEN", token),
            Credential::Password(token) => {
                command.arg(url.replace("http://", &format!("http://anyone:{token}@"))).env_remove("GRAFANA_TOKEN")
            }
            Credential::None => command.arg(url).env_remove("GRAFANA_TOKEN"),
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (calls, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, calls, answers })
    }

    /// What the method returned, or the words of its failure.
    pub(crate) fn call(&mut self, method: &str, with: &Value) -> Result<Value, String> {
        let mut call = with.clone();
        call["method"] = method.into();
        writeln!(self.calls, "{call}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{call}: {line:?} ({error})"));
        match answer.get_mut("failed") {
            Some(words) => Err(words.as_str().unwrap().to_owned()),
            None => Ok(answer["returned"].take()),
        }
    }

    /// What the method returned.
    pub(crate) fn must(&mut self, method: &str, with: &Value) -> Value {
        self.call(method, with).unwrap_or_else(|words| panic!("{method} with {with}: {words}"))
    }

    /// The same for a method that answers with these words; its `id`, or 0.
    pub(crate) fn must_say(&mut self, words: &str, method: &str, with: &Value) -> u64 {
        let answer = self.must(method, with);
        assert_eq!(answer["message"], words, "{method} with {with}");
        answer["id"].as_u64().unwrap_or(0)
    }

    pub(crate) fn annotation(&mut self, id: u64) -> Value {
        self.must("get", &json!({"id": id}))
    }

    /// The numbers of those found, in their order.
    pub(crate) fn found(&mut self, with: &Value) -> Vec<u64> {
        let found = self.must("find", with);
        found.as_array().unwrap().iter().map(|one| one["id"].as_u64().unwrap()).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It ends by itself when nothing more comes; it may have done so already.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
