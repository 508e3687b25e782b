//! Plays a history to a server, and lets a reader look before and after each restart.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use change_events::time::Timestamp;
use change_events::time::duration;
use serde_json::Value;

use crate::look::ANOTHER;
use crate::look::Difference;
use crate::look::Kind;
use crate::look::Known;
use crate::look::Look;
use crate::steps::Act;
use crate::steps::ETS;
use crate::steps::Flags;
use crate::steps::Id;
use crate::steps::Match;
use crate::steps::Request;
use crate::steps::Step;
use crate::steps::USUAL;
use crate::steps::act;
use crate::steps::moment;

/// How long the servers of histories keep what they received, unless a step says otherwise.
const RETENTION: Duration = Duration::from_hours(4 * 24);
/// A version that no event has.
const STALE: &str = "\"0000000000000000\"";

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
    /// Sends requests of which none waits for the answer of another one.
    fn send_together(&mut self, requests: &[Request]) -> Vec<Answer>;
    /// Asks as an organization.
    fn get(&mut self, organization: &str, path: &str) -> Answer;
    /// The number of the event with this id, if there is one; and by that number it is found. Only where this can be seen.
    fn number(&mut self, _id: &Id) -> Option<u64> {
        None
    }
    /// The paths of its pages.
    fn pages(&self) -> &'static [&'static str];
    fn set_clock(&mut self, now: Timestamp);
    /// Returns when everything that was begun is done.
    fn settle(&mut self);
    /// Ends without a word, and starts again with these flags; the power goes too if `crash`.
    fn kill(&mut self, crash: bool, flags: &Flags) -> Result<(), String>;
    /// Makes the next call of this kind on the disk fail.
    fn fail(&mut self, call: &str);
}

/// Plays a history to a new server; what can be asked for then.
pub(crate) fn play(steps: &[Step], server: &mut dyn Server) -> Result<Known, Difference> {
    server.set_clock(moment("0"));
    let mut play = Play {
        server,
        steps,
        now: moment("0"),
        flags: Flags::default(),
        retention: RETENTION,
        may_fail: false,
        answers: BTreeMap::new(),
        versions: BTreeMap::new(),
        known: Known::default(),
        gone: BTreeSet::new(),
        since: BTreeMap::new(),
        unnamed: BTreeMap::new(),
        may_miss: false,
    };
    steps.iter().try_for_each(|step| play.step(step.number, &step.text))?;
    Ok(play.known)
}

struct Play<'a> {
    server: &'a mut dyn Server,
    steps: &'a [Step],
    now: Timestamp,
    flags: Flags,
    /// The shortest that there was.
    retention: Duration,
    /// A call on the disk was made to fail since the last restart.
    may_fail: bool,
    /// What each step was answered with.
    answers: BTreeMap<usize, Vec<Id>>,
    /// The version that each step was answered with.
    versions: BTreeMap<usize, String>,
    known: Known,
    /// Those that named something once, and did not at the last look, and were not sent since.
    gone: BTreeSet<Id>,
    /// When an edge or event was first acknowledged, or first again.
    since: BTreeMap<Id, Timestamp>,
    /// When stops came that no answer has named yet.
    unnamed: BTreeMap<Id, Timestamp>,
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
            Some(Act::Send(request)) => self.send(number, vec![request]),
            Some(Act::Together(requests)) => self.send(number, requests),
            Some(Act::Again(number)) => match self.steps.iter().find(|step| step.number == number) {
                Some(step) if !step.text.starts_with("again") => self.step(number, &step.text),
                _ => Ok(()),
            },
            Some(Act::Clock(now)) => {
                self.now = self.now.max(now);
                self.server.set_clock(self.now);
                Ok(())
            }
            Some(Act::Kill(crash, flags)) => {
                for (flag, value) in flags {
                    match flag {
                        "skew" => value.clone_into(&mut self.flags.skew),
                        "retention" => {
                            value.clone_into(&mut self.flags.retention);
                            let retention = duration::parse(value).unwrap();
                            self.retention = if retention.is_zero() { self.retention } else { self.retention.min(retention) };
                        }
                        flag => panic!("no flag: {flag}"),
                    }
                }
                self.restart(crash, &format!("{number}: {text}"))
            }
            Some(Act::Fail(call)) => {
                self.may_fail = true;
                self.server.fail(call);
                Ok(())
            }
        }
    }

    /// The version that the event has which a request is about.
    fn version(&mut self, request: &Request) -> Option<String> {
        let path = format!("/v1/accounts/{}/events/{}", request.organization, request.subject.as_ref()?);
        Some(self.server.get(&request.organization, &path).etag).filter(|version| !version.is_empty())
    }

    fn send(&mut self, number: usize, mut requests: Vec<Request>) -> Result<(), Difference> {
        let mut wrong = None;
        for request in &mut requests {
            let Some(said) = request.if_match.take() else { continue };
            let version = self.version(request);
            let said = match said {
                Match::Now => version.clone(),
                Match::Step(step) => self.versions.get(&step).cloned(),
                Match::Version(said) => Some(said),
            };
            let said = said.unwrap_or_else(|| STALE.to_owned());
            wrong = version.map(|version| version != said);
            request.if_match = Some(Match::Version(said));
        }
        let answers = if let [request] = &*requests { vec![self.server.send(request)] } else { self.server.send_together(&requests) };
        self.server.settle();
        if let ([request], [answer], Some(wrong)) = (&*requests, &*answers, wrong)
            && (wrong && answer.status < 300 || !wrong && answer.status == 412)
        {
            return Err(Difference::new(Kind::Answer, format!("{number}: {request:?} was answered {answer:?}")));
        }
        self.answers.remove(&number);
        for (request, answer) in requests.iter().zip(answers) {
            self.answered(number, request, answer)?;
        }
        for request in requests.iter().filter(|request| request.subject.is_some()) {
            self.note_stops(&request.organization);
        }
        Ok(())
    }

    /// What is there although its sender was told that it was not taken, nobody knows since when.
    fn note_found(&mut self, organization: &str) {
        let path = format!("/api/v4/organizations/{organization}/change_events?limit=1000");
        let Ok(list) = serde_json::from_str::<Value>(&self.server.get(organization, &path).text) else { return };
        for event in list["events"].as_array().into_iter().flatten() {
            for id in [&event["start"]["id"], &event["stop"]["id"]].into_iter().filter_map(Value::as_str) {
                let id = Id { organization: organization.to_owned(), id: id.to_owned() };
                self.unnamed.entry(id).or_insert(self.now);
            }
        }
    }

    /// Changes add stops that their answers do not name, and that are known from then on.
    fn note_stops(&mut self, organization: &str) {
        let path = format!("/api/v4/organizations/{organization}/change_events?limit=1000");
        let Ok(list) = serde_json::from_str::<Value>(&self.server.get(organization, &path).text) else { return };
        for stop in list["events"].as_array().into_iter().flatten().filter_map(|event| event["stop"]["id"].as_str()) {
            let id = Id { organization: organization.to_owned(), id: stop.to_owned() };
            // One that was forgotten came again with the change.
            self.gone.remove(&id);
            self.unnamed.entry(id).or_insert(self.now);
        }
    }

    fn answered(&mut self, number: usize, request: &Request, answer: Answer) -> Result<(), Difference> {
        if answer.status >= 500 && !self.may_fail || answer.status == 0 {
            return Err(Difference::new(Kind::Answer, format!("{number}: {request:?} was answered {answer:?}")));
        }
        self.known.organizations.insert(request.organization.clone());
        self.known.another_cluster |= request.body.contains(ANOTHER);
        if request.is_lines {
            // Its answer names nothing, so it is not known what is new later.
            self.gone.clear();
            self.may_miss = true;
        }
        let ids: Vec<Id> = ids_in(&answer.text).into_iter().map(|id| Id { organization: request.organization.clone(), id }).collect();
        for id in &ids {
            let is_new = self.gone.remove(id) || !self.since.contains_key(id);
            // ETS answers a change of what is not there as if it were.
            if is_new && !request.path.starts_with(ETS) {
                let since = self.unnamed.get(id).copied().unwrap_or(self.now);
                self.since.insert(id.clone(), since);
            }
        }
        self.may_miss |= request.method == "DELETE";
        self.known.ids.extend(ids.iter().cloned());
        if answer.status < 300 && !ids.is_empty() {
            self.answers.entry(number).or_default().extend(ids);
        }
        if !answer.etag.is_empty() {
            self.versions.insert(number, answer.etag);
        }
        Ok(())
    }

    /// A reader looks, the process is killed and starts again, and the reader looks once more at the same moment.
    fn restart(&mut self, crash: bool, when: &str) -> Result<(), Difference> {
        let at = |difference: Difference| Difference { text: format!("at {when}: {}", difference.text), ..difference };
        // After a sync that failed nobody knows what the log has of the last commit.
        let is_known = self.server.get(USUAL, "/-/ready").status == 200;
        let before = self.look().map_err(at)?;
        self.server.kill(crash, &self.flags).map_err(|error| at(Difference::new(Kind::Answer, error)))?;
        self.may_fail = false;
        if !is_known {
            self.gone.clear();
            for organization in self.known.organizations.clone() {
                self.note_found(&organization);
            }
            return Ok(());
        }
        let after = Look::at(self.server, &self.known);
        before.compare(&after).map_err(at)
    }

    fn look(&mut self) -> Result<Look, Difference> {
        let look = Look::at(self.server, &self.known);
        if let Some(id) = look.found.intersection(&self.gone).next() {
            return Err(Difference::new(Kind::Back, format!("{id:?} is there again, and nobody sent it")));
        }
        let oldest = self.now.minus(self.retention);
        let is_lost = |(id, since): &(&Id, &Timestamp)| **since > oldest && !look.found.contains(*id);
        if let Some((id, since)) = self.since.iter().find(is_lost).filter(|_| !self.may_miss) {
            return Err(Difference::new(Kind::Lost, format!("{id:?}, acknowledged at {since}, is not there")));
        }
        self.gone.extend(self.known.ids.difference(&look.found).cloned());
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
