//! Histories from seeds: few entities and few moments, so that much meets.

use crate::steps::Step;
use crate::steps::print_span;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
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
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
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
    let mut making = Making { chance, profile, now: 0, moments: vec![0], steps: Vec::new(), sent: Vec::new(), ids: Vec::new() };
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
}

/// How many of a hundred histories have it.
const WITH: [(With, usize); 6] =
    [(With::Deletions, 75), (With::Wholes, 60), (With::Skews, 12), (With::Failures, 15), (With::Crashes, 30), (With::Days, 75)];

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
}

impl Making {
    fn step(&mut self) {
        match self.chance.below(100) {
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
                    self.send(format!("{verb} {id}"), 0);
                }
            }
            60..70 => self.change(),
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
        match named {
            1 => self.ids.push(format!("#{number}")),
            _ => self.ids.extend((0..named).map(|item| format!("#{number}.{item}"))),
        }
    }

    /// Rather one of the last few, now and then any.
    fn old_step(&mut self) -> Option<usize> {
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
        format!("{state} {name}{at} {of}{more}")
    }

    fn array(&mut self) {
        let mut edges: Vec<String> = (0..self.chance.between(1, 3)).map(|_| self.edge()).collect();
        let again = self.chance.pick(&edges).clone();
        edges.push(if self.chance.percent(60) { again } else { self.edge() });
        let key = self.key();
        self.send(format!("{}{key}", edges.join(" + ")), edges.len());
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
            self.send(format!("change {id} {what}"), 0);
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
            self.send(format!("create {kind} name=w{name} @{at}{ends} key:k{key}"), 1);
            return;
        }
        let id = format!("e{}", self.chance.below(2));
        let verb = self.chance.pick(&["etsput", "etsput", "etsinsert", "etsupdate", "etsmerge"]);
        let tag = self.chance.pick(&["", " type=incident", " host=h", " parent_id=e0", " description=d"]);
        self.send(format!("{verb} {id} @{at}{ends}{tag}"), 0);
        self.ids.push(id);
    }

    fn clock(&mut self) {
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
        self.push(format!("{verb}{skew}"));
    }
}
