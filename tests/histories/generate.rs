//! Histories from seeds: few entities and few moments, so that much meets.

use crate::harness::splitmix;
use crate::steps::Step;
use crate::steps::print_span;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// As long as servers of histories keep what they received, unless told otherwise.
const RETENTION: i64 = 4 * DAY;
/// Steps of a history; after them what they left becomes too old in two goes, with a look after each.
pub(crate) const STEPS: usize = 30;

/// Splitmix64: the same numbers on every machine.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        splitmix::next(&mut self.0)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// From `low` to `high`, both included.
    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(usize::try_from(high - low + 1).unwrap())).unwrap()
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// The history of a seed.
pub(crate) fn history(seed: u64) -> Vec<Step> {
    let mut chance = Chance::new(seed);
    let profile = Profile {
        names: [&["job"][..], &["deploy"], &["build"], &["job", "deploy"], &["job", "deploy", "build", "mark"]][chance.below(5)],
        entities: 1 + chance.below(3),
        with: WITH.into_iter().filter(|(_, percent)| chance.percent(*percent)).map(|(with, _)| with).collect(),
    };
    let mut making = Making {
        chance,
        profile,
        now: 0,
        moments: vec![0],
        steps: Vec::new(),
        sent: Vec::new(),
        ids: Vec::new(),
        times: Vec::new(),
        deleted: Vec::new(),
    };
    while making.steps.len() < STEPS {
        making.step();
    }
    making.push("kill".to_owned());
    for _ in 0..2 {
        making.now += making.chance.between(40, 80) * HOUR;
        making.push(format!("clock {}", print_span(making.now)));
        making.push("point tick".to_owned());
        making.push("kill".to_owned());
    }
    making.steps
}

/// What a history is about.
struct Profile {
    names: &'static [&'static str],
    entities: usize,
    with: Vec<With>,
}

/// What some histories have and others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    Deletions,
    Wholes,
    /// Restarts with another pairing skew.
    Skews,
    /// Calls on the disk that fail.
    Failures,
    /// Losses of power.
    Crashes,
    /// Time that passes in days.
    Days,
    /// Another organization.
    Organizations,
    /// Several requests in one commit.
    Together,
    /// Changes that name a version.
    Versions,
    /// Streams of lines.
    Lines,
    /// Windows that are planned, and changed or deleted before they begin.
    Plans,
    /// Time that passes until something is just old enough.
    Ageing,
    /// What was deleted is sent again.
    Revivals,
    /// Restarts with another retention time.
    Retentions,
}

/// How many of a hundred histories have it.
const WITH: [(With, usize); 14] = [
    (With::Deletions, 75),
    (With::Wholes, 60),
    (With::Skews, 12),
    (With::Failures, 15),
    (With::Crashes, 30),
    (With::Days, 75),
    (With::Organizations, 12),
    (With::Together, 25),
    (With::Versions, 25),
    (With::Lines, 15),
    (With::Plans, 20),
    (With::Ageing, 50),
    (With::Revivals, 50),
    (With::Retentions, 12),
];

impl Profile {
    fn has(&self, with: With) -> bool {
        self.with.contains(&with)
    }
}

struct Making {
    chance: Chance,
    profile: Profile,
    now: i64,
    /// Moments that edges had.
    moments: Vec<i64>,
    steps: Vec<Step>,
    /// Steps that can be sent again.
    sent: Vec<usize>,
    /// Events and edges that can be named.
    ids: Vec<String>,
    /// When steps were sent that have not grown old since.
    times: Vec<i64>,
    /// Steps whose edges or events were deleted.
    deleted: Vec<usize>,
}

impl Making {
    fn step(&mut self) {
        match self.chance.below(100) {
            0..14 if self.profile.has(With::Together) => self.together(),
            0..26 => {
                let edge = self.edge();
                let key = self.key();
                self.send(format!("{edge}{key}"), 1);
            }
            26..33 => self.array(),
            33..49 => {
                if let Some(number) = self.old_step() {
                    self.send(format!("again {number}"), 0);
                }
            }
            49..60 => {
                if let Some(id) = self.an_id().filter(|_| self.profile.has(With::Deletions)) {
                    let verb = if id.starts_with('#') || self.chance.percent(50) { "delete" } else { "etsdelete" };
                    let version = if verb == "delete" { self.version() } else { String::new() };
                    let step: Option<usize> = id.strip_prefix('#').and_then(|id| id.split('.').next()?.parse().ok());
                    self.deleted.extend(step);
                    self.send(format!("{verb} {id}{version}"), 0);
                }
            }
            60..70 => self.change(),
            70..74 if self.profile.has(With::Plans) => self.plan(),
            70..78 => self.whole(),
            78..93 => self.clock(),
            93..98 => self.kill(),
            _ if self.profile.has(With::Failures) => {
                let call = self.chance.pick(&["write", "sync", "create", "rename", "remove", "allocate"]);
                self.push(format!("fail {call}"));
            }
            _ => {}
        }
    }

    fn push(&mut self, text: String) {
        self.steps.push(Step { number: self.steps.len() + 1, text });
    }

    /// Adds a step that can be sent again, and whose answer names so many edges or events.
    fn send(&mut self, text: String, named: usize) {
        self.push(text);
        let number = self.steps.len();
        self.sent.push(number);
        self.times.push(self.now);
        match named {
            1 => self.ids.push(format!("#{number}")),
            _ => self.ids.extend((0..named).map(|item| format!("#{number}.{item}"))),
        }
    }

    /// Rather one of the last few, now and then any.
    fn old_step(&mut self) -> Option<usize> {
        if self.profile.has(With::Revivals) && !self.deleted.is_empty() && self.chance.percent(40) {
            return Some(*self.chance.pick(&self.deleted));
        }
        let from = if self.chance.percent(50) { self.sent.len().saturating_sub(4) } else { 0 };
        let some = self.sent.get(from..).filter(|some| !some.is_empty())?;
        Some(*self.chance.pick(some))
    }

    fn an_id(&mut self) -> Option<String> {
        let from = if self.chance.percent(50) { self.ids.len().saturating_sub(3) } else { 0 };
        let some = self.ids.get(from..).filter(|some| !some.is_empty())?;
        Some(self.chance.pick(some).clone())
    }

    /// When something was: often when, or about when, something else was.
    fn moment(&mut self) -> i64 {
        let moment = match self.chance.below(100) {
            0..18 => *self.chance.pick(&self.moments),
            18..45 => *self.chance.pick(&self.moments) + self.chance.pick(&[-6, -5, -3, -1, 1, 3, 5, 6, 60, 600]) * SECOND,
            45..75 => self.now - self.chance.between(0, 30) * MINUTE,
            75..90 => self.now - self.chance.between(1, 80) * HOUR,
            90..96 => self.now + self.chance.between(1, 20) * HOUR,
            _ => self.now + self.chance.between(1, 6) * DAY,
        };
        self.moments.push(moment);
        moment
    }

    fn edge(&mut self) -> String {
        let name = *self.chance.pick(self.profile.names);
        let state = if name == "mark" { "point" } else { *self.chance.pick(&["start", "start", "start", "stop", "stop"]) };
        let entity = self.chance.below(self.profile.entities);
        let of = match name {
            "job" => format!("entity_id=x{entity}"),
            "deploy" => format!("v={} svc=api", entity + 1),
            "build" => format!("host=h{entity}"),
            _ => format!("n={entity}"),
        };
        let at = if self.chance.percent(10) { String::new() } else { format!(" @{}", print_span(self.moment())) };
        let more = match self.chance.below(12) {
            0 => " status=good",
            1 => " status=bad",
            2 => " to:c1",
            _ => "",
        };
        let organization = self.organization();
        format!("{state} {name}{at} {of}{more}{organization}")
    }

    fn organization(&mut self) -> &'static str {
        if self.profile.has(With::Organizations) && self.chance.percent(40) { " in:b" } else { "" }
    }

    /// The version that a change is made to, if it names one: that of now, or one of before.
    fn version(&mut self) -> String {
        match self.chance.below(4) {
            _ if !self.profile.has(With::Versions) => String::new(),
            0 => String::new(),
            1 if !self.sent.is_empty() => format!(" if:{}", self.chance.pick(&self.sent)),
            _ => " if:now".to_owned(),
        }
    }

    /// What a request does that is sent with others.
    fn one_of_some(&mut self) -> String {
        let id = self.an_id();
        match (self.chance.below(6), id) {
            (0, Some(id)) if self.profile.has(With::Deletions) => format!("delete {id}{}", self.version()),
            (1, Some(id)) => format!("change {id} name=n{}{}", self.chance.below(3), self.version()),
            (2, Some(id)) => format!("change {id} ..{}{}", print_span(self.moment()), self.version()),
            (3, _) if self.profile.has(With::Wholes) => format!("etsput e{} @{} ..", self.chance.below(2), print_span(self.moment())),
            _ => format!("{}{}", self.edge(), self.key()),
        }
    }

    fn together(&mut self) {
        let mut requests: Vec<String> = (0..self.chance.between(2, 3)).map(|_| self.one_of_some()).collect();
        let again = self.chance.pick(&requests).clone();
        requests.push(if self.chance.percent(30) { again } else { self.one_of_some() });
        self.send(format!("at once: {}", requests.join(" | ")), 3);
    }

    /// A window in the future, which is changed or deleted before it begins.
    fn plan(&mut self) {
        let from = self.now + self.chance.between(2, 60) * HOUR;
        let window = |from: i64| format!("@{} ..{}", print_span(from), print_span(from + 2 * HOUR));
        let (id, is_named) = if self.chance.percent(50) { (format!("e{}", self.chance.below(2)), true) } else { (String::new(), false) };
        let key = 10 + self.steps.len();
        if is_named {
            self.send(format!("etsput {id} {}", window(from)), 0);
            self.ids.push(id.clone());
        } else {
            self.send(format!("create incident name=w {} key:k{key}", window(from)), 1);
        }
        let id = if is_named { id } else { format!("#{}", self.steps.len()) };
        self.moments.extend([from, from + 2 * HOUR]);
        if self.chance.percent(60) {
            self.clock();
        }
        let version = self.version();
        match self.chance.below(4) {
            0 if self.profile.has(With::Deletions) => self.send(format!("delete {id}{version}"), 0),
            1 => self.send(format!("change {id} ..{}{version}", print_span(from + HOUR)), 0),
            _ => {
                let later = from + self.chance.between(-1, 30) * HOUR;
                self.send(format!("change {id} {}{version}", window(later)), 0);
            }
        }
    }

    fn array(&mut self) {
        let mut edges: Vec<String> = (0..self.chance.between(1, 3)).map(|_| self.edge()).collect();
        let again = self.chance.pick(&edges).clone();
        edges.push(if self.chance.percent(60) { again } else { self.edge() });
        let key = self.key();
        if self.profile.has(With::Lines) && self.chance.percent(60) {
            self.send(format!("lines {}{key}", edges.join(" + ")), 0);
        } else {
            self.send(format!("{}{key}", edges.join(" + ")), edges.len());
        }
    }

    fn key(&mut self) -> String {
        if self.chance.percent(12) { format!(" key:k{}", self.chance.below(2)) } else { String::new() }
    }

    fn change(&mut self) {
        let Some(id) = self.an_id() else { return };
        let moment = self.moment();
        let what = match self.chance.below(8) {
            0 | 1 => format!("name=n{}", self.chance.below(3)),
            2 => "note=seen".to_owned(),
            3 => "name=null source=s".to_owned(),
            4 if self.profile.has(With::Wholes) => format!("@{}", print_span(moment)),
            5 if self.profile.has(With::Wholes) => "..".to_owned(),
            6 => format!("name=m ..{}", print_span(moment.max(self.now))),
            _ => format!("..{}", print_span(moment)),
        };
        if self.chance.percent(20) {
            let operation = *self.chance.pick(&["etsmerge", "etsupdate"]);
            let what = self.chance.pick(&["description=d", "host=h", "host=i description=e"]);
            self.send(format!("{operation} {id} {what}"), 0);
        } else {
            let version = self.version();
            self.send(format!("change {id} {what}{version}"), 0);
        }
    }

    fn whole(&mut self) {
        if !self.profile.has(With::Wholes) {
            return;
        }
        let at = self.moment();
        let ends = match self.chance.below(3) {
            0 => String::new(),
            1 => " ..".to_owned(),
            _ => format!(" ..{}", print_span(at + self.chance.between(0, 90) * MINUTE)),
        };
        let at = print_span(at);
        if self.chance.percent(40) {
            let kind = self.chance.pick(&["incident", "deployment"]);
            let key = if self.chance.percent(30) { self.chance.below(2) } else { 10 + self.steps.len() };
            let name = self.chance.below(2);
            let organization = self.organization();
            self.send(format!("create {kind} name=w{name} @{at}{ends} key:k{key}{organization}"), 1);
            return;
        }
        let id = format!("e{}", self.chance.below(2));
        let verb = self.chance.pick(&["etsput", "etsput", "etsinsert", "etsupdate", "etsmerge"]);
        let tag = self.chance.pick(&["", " type=incident", " host=h", " parent_id=e0", " description=d"]);
        self.send(format!("{verb} {id} @{at}{ends}{tag}"), 0);
        self.ids.push(id);
    }

    fn clock(&mut self) {
        if self.profile.has(With::Ageing) && !self.times.is_empty() && self.chance.percent(30) {
            // So long that what came until then is old, and what came next is not.
            let old = *self.chance.pick(&self.times) + RETENTION + self.chance.between(-1, 2) * HOUR;
            if old > self.now {
                self.now = old;
                self.push(format!("clock {}", print_span(old)));
                self.send("point tick".to_owned(), 1);
                return;
            }
        }
        self.now += match self.chance.below(10) {
            0..3 => self.chance.between(1, 15) * MINUTE,
            3..7 => self.chance.between(1, 24) * HOUR,
            _ if self.profile.has(With::Days) => self.chance.between(24, 130) * HOUR,
            _ => 2 * HOUR,
        };
        self.push(format!("clock {}", print_span(self.now)));
    }

    fn kill(&mut self) {
        let verb = if self.profile.has(With::Crashes) && self.chance.percent(50) { "crash" } else { "kill" };
        let skew = if self.profile.has(With::Skews) { *self.chance.pick(&["", " skew=0s", " skew=5s", " skew=1m"]) } else { "" };
        let retention = if self.profile.has(With::Retentions) {
            *self.chance.pick(&["", " retention=2d", " retention=4d", " retention=8d", " retention=0"])
        } else {
            ""
        };
        self.push(format!("{verb}{skew}{retention}"));
    }
}
