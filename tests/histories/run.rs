//! Plays a history to a server, and lets a reader look before and after each restart.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use change_events::time::Timestamp;
use serde_json::Value;

use crate::RETENTION;
use crate::look::Difference;
use crate::look::Kind;
use crate::look::Look;
use crate::steps::Act;
use crate::steps::ETS;
use crate::steps::Request;
use crate::steps::Step;
use crate::steps::act;
use crate::steps::moment;

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: String,
    pub(crate) text: String,
}

/// A server whose clock and disk obey, and which can be killed.
pub(crate) trait Server {
    fn send(&mut self, request: &Request) -> Answer;
    fn get(&mut self, path: &str) -> Answer;
    /// The paths of its pages.
    fn pages(&self) -> &'static [&'static str];
    fn set_clock(&mut self, now: Timestamp);
    /// Returns when everything that was begun is done.
    fn settle(&mut self);
    /// Ends without a word, and starts again with this pairing skew (`--pairing.skew`); the power goes too if `crash`.
    fn kill(&mut self, crash: bool, skew: &str) -> Result<(), String>;
    /// Makes the next call of this kind on the disk fail.
    fn fail(&mut self, call: &str);
}

/// Plays a history to a new server; the ids that its answers had.
pub(crate) fn play(steps: &[Step], server: &mut dyn Server) -> Result<BTreeSet<String>, Difference> {
    server.set_clock(moment("0"));
    let mut play = Play {
        server,
        steps,
        now: moment("0"),
        skew: "5s".to_owned(),
        may_fail: false,
        answers: BTreeMap::new(),
        ids: BTreeSet::new(),
        gone: BTreeSet::new(),
        since: BTreeMap::new(),
        may_miss: false,
    };
    steps.iter().try_for_each(|step| play.step(step.number, &step.text))?;
    Ok(play.ids)
}

struct Play<'a> {
    server: &'a mut dyn Server,
    steps: &'a [Step],
    now: Timestamp,
    skew: String,
    /// A call on the disk was made to fail since the last restart.
    may_fail: bool,
    /// What each step was answered with.
    answers: BTreeMap<usize, Vec<String>>,
    /// Every id that an answer had.
    ids: BTreeSet<String>,
    /// Those that named something once, and did not at the last look, and were not sent since.
    gone: BTreeSet<String>,
    /// When an edge or event was first acknowledged, or first again.
    since: BTreeMap<String, Timestamp>,
    /// Something was deleted.
    may_miss: bool,
}

impl Play<'_> {
    fn step(&mut self, number: usize, text: &str) -> Result<(), Difference> {
        let ids = |reference: &str| {
            let (number, item) = reference.split_once('.').unwrap_or((reference, "0"));
            self.answers.get(&number.parse().ok()?)?.get(item.parse::<usize>().ok()?).cloned()
        };
        match act(text, &ids) {
            None => Ok(()),
            Some(Act::Send(request)) => self.send(number, &request),
            Some(Act::Again(number)) => match self.steps.iter().find(|step| step.number == number) {
                Some(step) if !step.text.starts_with("again") => self.step(number, &step.text),
                _ => Ok(()),
            },
            Some(Act::Clock(now)) => {
                self.now = self.now.max(now);
                self.server.set_clock(self.now);
                Ok(())
            }
            Some(Act::Kill(crash, skew)) => {
                self.skew = skew.map_or_else(|| self.skew.clone(), str::to_owned);
                self.restart(crash, &format!("{number}: {text}"))
            }
            Some(Act::Fail(call)) => {
                self.may_fail = true;
                self.server.fail(call);
                Ok(())
            }
        }
    }

    fn send(&mut self, number: usize, request: &Request) -> Result<(), Difference> {
        let answer = self.server.send(request);
        self.server.settle();
        if answer.status >= 500 && !self.may_fail || answer.status == 0 {
            return Err(Difference::new(Kind::Answer, format!("{number}: {request:?} was answered {answer:?}")));
        }
        let ids = ids_in(&answer.text);
        for id in &ids {
            let is_new = self.gone.remove(id) || !self.since.contains_key(id);
            // ETS answers a change of what is not there as if it were.
            if is_new && !request.path.starts_with(ETS) {
                self.since.insert(id.clone(), self.now);
            }
        }
        self.may_miss |= request.method == "DELETE";
        self.ids.extend(ids.iter().cloned());
        if answer.status < 300 && !ids.is_empty() {
            self.answers.insert(number, ids);
        }
        Ok(())
    }

    /// A reader looks, the process is killed and starts again, and the reader looks once more at the same moment.
    fn restart(&mut self, crash: bool, when: &str) -> Result<(), Difference> {
        let at = |difference: Difference| Difference { text: format!("at {when}: {}", difference.text), ..difference };
        // After a sync that failed nobody knows what the log has of the last commit.
        let is_known = self.server.get("/-/ready").status == 200;
        let before = self.look().map_err(at)?;
        self.server.kill(crash, &self.skew).map_err(|error| at(Difference::new(Kind::Answer, error)))?;
        self.may_fail = false;
        if !is_known {
            self.gone.clear();
            return Ok(());
        }
        let after = Look::at(self.server, &self.ids);
        before.compare(&after).map_err(at)
    }

    fn look(&mut self) -> Result<Look, Difference> {
        let look = Look::at(self.server, &self.ids);
        if let Some(id) = look.found.intersection(&self.gone).next() {
            return Err(Difference::new(Kind::Back, format!("{id} is there again, and nobody sent it")));
        }
        let oldest = self.now.minus(RETENTION);
        let is_lost = |(id, since): &(&String, &Timestamp)| **since > oldest && !look.found.contains(*id);
        if let Some((id, since)) = self.since.iter().find(is_lost).filter(|_| !self.may_miss) {
            return Err(Difference::new(Kind::Lost, format!("{id}, acknowledged at {since}, is not there")));
        }
        self.gone.extend(self.ids.difference(&look.found).cloned());
        Ok(look)
    }
}

/// The ids that an answer names, in its order.
fn ids_in(text: &str) -> Vec<String> {
    let Ok(answer) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let items = answer["results"].as_array().cloned().unwrap_or_else(|| vec![answer]);
    let id = |item: &Value| item["sid"].as_str().or(item["id"].as_str()).map(str::to_owned);
    items.iter().filter_map(id).collect()
}
