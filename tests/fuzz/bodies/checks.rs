//! That a store shows what the model says: every event by every id, every list, the gauges, the numbers.

use super::bytes::Bytes;
use super::memory::Model;
use super::memory::Plain;
use super::model::Event;
use super::model::Known;
use change_events::event::Details;
use change_events::event::EdgeId;
use change_events::event::EdgeState;
use change_events::event::Identity;
use change_events::event::Span;
use change_events::event::Version;
use change_events::labels::EVENT_STATE;
use change_events::labels::LabelSet;
use change_events::store::ClusterId;
use change_events::store::EdgeView;
use change_events::store::EventView;
use change_events::store::Matcher;
use change_events::store::Options;
use change_events::store::Order;
use change_events::store::Phase;
use change_events::store::Phases;
use change_events::store::Query;
use change_events::store::Stats;
use change_events::store::Store;
use change_events::store::Tenant;
use change_events::store::selector;
use change_events::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

/// The clusters that edges name.
pub(crate) const CLUSTERS: [&str; 2] = ["", "c1"];

const SELECTORS: [&str; 8] = [
    r#"{name="1"}"#,
    r#"{name!="1"}"#,
    r#"{outcome=""}"#,
    r#"{outcome=~"ok|failed",event_state="stop"}"#,
    r#"{event_state!="stop",name=~"[02]"}"#,
    r#"last9_change_events{outcome!~"o.*"}"#,
    r#"other{name="1"}"#,
    r#"{absent="x"}"#,
];

/// An edge as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
struct SeenEdge {
    id: EdgeId,
    at: Timestamp,
    received: Timestamp,
    value: f64,
    labels: LabelSet,
    attributes: Option<Box<str>>,
}

/// An event as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    id: Box<str>,
    number: u64,
    own_id: bool,
    identity: Identity,
    start: Option<SeenEdge>,
    stop: Option<SeenEdge>,
    point: bool,
    open: bool,
    superseded_at: Option<Timestamp>,
    heartbeats: usize,
    last_heartbeat: Option<Timestamp>,
    cluster: Box<str>,
    details: Option<Details>,
    created: Timestamp,
    updated: Timestamp,
}

impl From<&EdgeView> for SeenEdge {
    fn from(view: &EdgeView) -> Self {
        let EdgeView { id, at, received, value, labels, attributes } = view.clone();
        Self { id, at, received, value, labels, attributes }
    }
}

impl From<&EventView> for Seen {
    fn from(view: &EventView) -> Self {
        Self {
            id: view.id.clone(),
            number: view.number,
            own_id: view.own_id,
            identity: view.identity,
            start: view.start.as_ref().map(Into::into),
            stop: view.stop.as_ref().map(Into::into),
            point: view.point,
            open: view.open,
            superseded_at: view.superseded_at,
            heartbeats: view.heartbeats,
            last_heartbeat: view.last_heartbeat,
            cluster: (&*view.cluster).into(),
            details: view.details.as_deref().cloned(),
            created: view.created,
            updated: view.updated,
        }
    }
}

impl Seen {
    fn of(plain: &Plain, event: &Event<'_>) -> Self {
        let said = plain.said_of(event);
        let own = said.filter(|said| said.id.is_some());
        let edge = |known: &Known| SeenEdge {
            id: known.id,
            at: known.edge.at,
            received: own.map_or(known.received, |own| own.updated),
            value: known.edge.value,
            labels: known.edge.labels.clone(),
            attributes: known.edge.attributes.clone(),
        };
        let first = event.first();
        let received = event.start.iter().chain(&event.stop).map(|known| known.received);
        let changed = event.edges().map(|known| known.received).chain(said.map(|said| said.updated));
        Self {
            id: own.and_then(|own| own.id.clone()).unwrap_or_else(|| first.id.to_string().into()),
            number: own.and_then(|own| own.number).unwrap_or_else(|| event.number()),
            own_id: own.is_some(),
            identity: first.edge.identity,
            start: event.start.map(edge),
            stop: event.stop.map(edge),
            point: first.edge.state == EdgeState::Point,
            open: event.is_open(),
            superseded_at: event.superseded_at,
            heartbeats: event.beats.len(),
            last_heartbeat: event.beats.last().map(|beat| beat.edge.at),
            cluster: (&*first.edge.cluster).into(),
            details: said.map(|said| said.details.clone()),
            created: own.map_or_else(|| received.min().unwrap(), |own| own.created),
            updated: changed.max().unwrap(),
        }
    }

    /// The id of its first edge, which it answers to as well.
    pub(crate) fn id_of_edges(&self) -> String {
        self.start.as_ref().or(self.stop.as_ref()).unwrap().id.to_string()
    }

    fn began(&self) -> Timestamp {
        self.start.as_ref().or(self.stop.as_ref()).unwrap().at
    }

    fn ended(&self) -> Option<Timestamp> {
        let end = self.stop.as_ref().map(|stop| stop.at).or(self.superseded_at).unwrap_or_else(|| self.began());
        (!self.open).then(|| end.max(self.began()))
    }

    fn phase(&self, now: Timestamp) -> Phase {
        match self.began() {
            began if began > now => Phase::Planned,
            began if began.is_zero_time() => Phase::Over,
            _ if self.ended().is_none_or(|end| end > now) => Phase::Open,
            _ => Phase::Over,
        }
    }

    fn time(&self, order: Order) -> Timestamp {
        match order {
            Order::Start => self.began(),
            Order::End | Order::EndStart => self.ended().unwrap_or(Timestamp::MAX),
            Order::Update => self.updated,
        }
    }

    /// What retirement leaves of an event that stays: all but heartbeats.
    pub(crate) fn lasting(mut self) -> String {
        (self.heartbeats, self.last_heartbeat) = (0, None);
        // Heartbeats count for this.
        self.updated = Timestamp::MIN;
        format!("{self:?}")
    }
}

/// What the model says of an organization's events, each with its edges.
pub(crate) fn expected<'p>(plain: &'p Plain, skew: Duration) -> Vec<(Seen, Event<'p>)> {
    let mut all: Vec<(Seen, Event<'p>)> = plain.events(skew).into_iter().map(|event| (Seen::of(plain, &event), event)).collect();
    sort(&mut all, Order::Start);
    all
}

fn sort<T>(all: &mut [(Seen, T)], order: Order) {
    let second = |seen: &Seen| if order == Order::EndStart { seen.began() } else { Timestamp::MIN };
    let times = |seen: &Seen| (seen.time(order), second(seen));
    all.sort_by(|(a, _), (b, _)| times(b).cmp(&times(a)).then_with(|| a.id.cmp(&b.id)));
}

/// The versions that were seen, and of what: one of each state, and one state of each.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    by_state: BTreeMap<String, Version>,
    states: BTreeMap<Version, String>,
}

impl Versions {
    fn check(&mut self, view: &EventView, event: &Event<'_>, plain: &Plain) {
        let said = plain.said_of(event).map(|said| (said.updated, &said.details));
        let state = format!("{} {:?} {said:?}", event.first().id, event.start.and(event.stop).map(|stop| stop.id));
        let version = *self.by_state.entry(state.clone()).or_insert(view.version);
        assert_eq!(version, view.version, "another version of the same state {state}");
        let known = self.states.entry(version).or_insert_with(|| state.clone());
        assert_eq!(*known, state, "one version of two states");
    }
}

/// The list of all events and the numbers.
pub(crate) fn check_events(store: &Store, model: &Model, now: Timestamp) {
    let mut stats = Stats::default();
    let max_age = Options::default().open_max_age;
    for (organization, plain) in &model.tenants {
        let expected = expected(plain, model.skew);
        let tenant = store.tenant(organization);
        let found = tenant.as_ref().map(|tenant| tenant.select(&everything(Order::Start)).events).unwrap_or_default();
        let found: Vec<Seen> = found.iter().map(Into::into).collect();
        assert_same(&found, expected.iter().map(|(seen, _)| seen), organization);
        stats.events += expected.len();
        stats.edges += plain.edges.len();
        stats.series += plain.series();
        stats.open += expected.iter().filter(|(seen, _)| seen.phase(now) == Phase::Open).count();
        let open = expected.iter().filter(|(seen, _)| seen.open && !seen.began().is_zero_time());
        let is_lapsed = |seen: &Seen| plain.lapses(seen.identity) && seen.began() < now.minus(max_age);
        stats.lapsed += open.filter(|(seen, _)| is_lapsed(seen)).count();
        if let Some(tenant) = tenant {
            check_gauges(&tenant, plain, &expected, now);
        }
    }
    assert_eq!(store.stats(now), stats);
}

fn assert_same<'s>(found: &[Seen], expected: impl ExactSizeIterator<Item = &'s Seen>, of: &str) {
    let count = expected.len();
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "an event of {of}");
    }
    assert_eq!(found.len(), count, "how many events of {of}");
}

fn check_gauges(tenant: &Tenant, plain: &Plain, events: &[(Seen, Event<'_>)], now: Timestamp) {
    let lapsed = now.minus(Options::default().open_max_age);
    let may_lapse = |seen: &Seen| seen.open && plain.lapses(seen.identity);
    let is_shown = |seen: &Seen| seen.phase(now) == Phase::Open && (!may_lapse(seen) || seen.began() >= lapsed);
    let shown = || events.iter().filter(|(seen, _)| is_shown(seen)).map(|(_, event)| event.first());
    for name in CLUSTERS {
        let mut oldest = BTreeMap::new();
        for start in shown().filter(|start| *start.edge.cluster == *name) {
            let place = oldest.entry(&start.edge.labels).or_insert_with(|| start.place());
            *place = start.place().min(*place);
        }
        let mut expected: Vec<_> = oldest.into_iter().map(|(labels, place)| (place, labels.clone())).collect();
        expected.sort();
        let expected: Vec<(Timestamp, LabelSet)> = expected.into_iter().map(|(place, labels)| (place.0, labels)).collect();
        let Some(cluster) = tenant.cluster(name) else {
            assert_eq!(expected, [], "gauges of a cluster that is not known");
            continue;
        };
        let mut found = Vec::new();
        tenant.open_gauges(cluster, now, &mut |gauge| found.push(gauge));
        let labels_of = |series| labels(tenant, series).0;
        let found: Vec<(Timestamp, LabelSet)> = found.into_iter().map(|gauge| (gauge.since, labels_of(gauge.series))).collect();
        assert_eq!(found, expected, "gauges of {name:?}");
    }
    let starts = events.iter().filter(|(seen, _)| !seen.point && seen.start.is_some() && !seen.began().is_zero_time());
    let changes = starts.flat_map(|(seen, _)| {
        let lapse = Some(seen.began()).filter(|began| may_lapse(seen) && *began >= lapsed);
        let ended = seen.ended().filter(|end| *end > seen.began());
        let begins = (seen.open || ended.is_some()).then(|| seen.began());
        [begins, ended, lapse.map(|began| began.plus(now.since(lapsed)).plus(Duration::from_millis(1)))]
    });
    assert_eq!(tenant.next_change(now), changes.flatten().filter(|at| *at > now).min());
}

/// The labels of a series, and whether it is that of stops.
pub(crate) fn labels(tenant: &Tenant, series: change_events::store::SeriesId) -> (LabelSet, bool) {
    let mut labels = Vec::new();
    tenant.series_labels(series, &mut |name, value| labels.push((name.to_owned(), value.to_owned())));
    let state = labels.iter().position(|(name, _)| name == EVENT_STATE).map(|place| labels.remove(place).1);
    let labels = LabelSet::from_sorted(labels.iter().map(|(name, value)| (&**name, &**value))).unwrap();
    (labels, state.unwrap() == EdgeState::Stop.label())
}

/// The name of the cluster with this number.
pub(crate) fn cluster_name(tenant: &Tenant, cluster: ClusterId) -> &'static str {
    CLUSTERS.into_iter().find(|name| tenant.cluster(name) == Some(cluster)).unwrap()
}

fn everything(order: Order) -> Query {
    Query { order, limit: 10_000, ..Query::default() }
}

/// Each event by its own id and by those of its edges, and by numbers, up to that behind the last record; what is of no event is none,
/// and known.
pub(crate) fn check_each(store: &Store, model: &Model, last: u64, versions: &mut Versions) {
    for (organization, plain) in &model.tenants {
        let Some(tenant) = store.tenant(organization) else { continue };
        let mut numbers = BTreeSet::new();
        for (seen, event) in &expected(plain, model.skew) {
            let view = tenant.event(&seen.id).unwrap_or_else(|| panic!("no event {}", seen.id));
            assert_eq!(Seen::from(&view), *seen);
            versions.check(&view, event, plain);
            let ends = plain.ends(event);
            assert!(numbers.insert(seen.number), "two have the number {}", seen.number);
            assert_eq!(tenant.event_by_number(seen.number).map(|view| view.id), Some(seen.id.clone()), "by the number {}", seen.number);
            let own = seen.own_id.then_some(seen.number);
            assert_eq!(store.number(organization, &seen.id), own);
            for known in event.edges() {
                let id = known.id.to_string();
                assert_eq!(tenant.event(&id).map(|view| view.id), Some(seen.id.clone()), "by the edge {id}");
                assert_eq!(store.version(organization, &id), Some(view.version));
                if !seen.own_id {
                    assert_eq!(tenant.event_by_number(known.position).map(|view| view.id), Some(seen.id.clone()), "by that of {id}");
                }
                // Of one with an id of its own that id says it all.
                let asked = if seen.own_id { &*seen.id } else { &*id };
                let span = store.span(organization, asked);
                let found = span.map(|span| (super::model::order_of(span.first), super::model::order_of(span.last)));
                assert_eq!(found, ends, "the span of {id}");
                assert!(span.is_none_or(|Span { identity, .. }| identity == seen.identity));
            }
        }
        for number in 0..=last + 1 {
            let is_one = numbers.contains(&number) || plain.is_of_edges(number, model.skew);
            assert_eq!(tenant.event_by_number(number).is_some(), is_one, "the number {number}");
        }
        for id in &plain.past {
            let id = id.to_string();
            assert!(tenant.event(&id).is_none() && store.span(organization, &id).is_none(), "{id} is past");
            assert!(store.remembers(organization, &id), "{id} is forgotten");
        }
    }
}

/// A list in each order, page by page, with whatever conditions the input chooses.
pub(crate) fn check_lists(
    store: &Store,
    model: &Model,
    input: &mut Bytes<'_>,
    now: Timestamp,
    moment: impl Fn(&mut Bytes<'_>) -> Timestamp,
) {
    let limit = 1 + input.below(7);
    let skip = input.below(4).saturating_sub(1);
    let start = input.flag().then(|| moment(input));
    let end = input.flag().then(|| moment(input));
    let asked = [Phase::Planned, Phase::Open, Phase::Over].map(|phase| [Phases::only(phase, now), Phases::but(phase, now)]);
    let phases = if input.flag() { Some(input.one_of(&asked.concat())) } else { None };
    let selectors: Vec<Vec<Matcher>> =
        (0..input.below(3)).map(|_| input.one_of(&SELECTORS)).map(|text| selector::parse(text).unwrap()).collect();
    let tag = input.one_of(&[None, None, Some("a"), Some("b")]);
    let tags = tag.iter().map(|tag| ("team".into(), (*tag).into())).collect::<Vec<_>>();
    for (organization, plain) in &model.tenants {
        let Some(tenant) = store.tenant(organization) else { continue };
        let mut all = expected(plain, model.skew);
        for order in [Order::Start, Order::End, Order::EndStart, Order::Update] {
            let query =
                Query { selectors: selectors.clone(), tags: tags.clone(), start, end, phases, order, skip, limit, ..Query::default() };
            sort(&mut all, order);
            let wanted = all.iter().filter(|(seen, event)| is_wanted(plain, seen, event, &query)).skip(skip);
            // In that order there is one page.
            let pages = if order == Order::EndStart { 1 } else { usize::MAX };
            let wanted: Vec<&Seen> = wanted.map(|(seen, _)| seen).take(limit.saturating_mul(pages)).collect();
            assert_same(&paged(&tenant, query, pages), wanted.into_iter(), &format!("{order:?}"));
        }
    }
}

fn paged(tenant: &Tenant, mut query: Query, pages: usize) -> Vec<Seen> {
    let mut found: Vec<Seen> = Vec::new();
    for _ in 0..pages {
        let page = tenant.select(&query);
        assert!(page.events.len() <= query.limit);
        found.extend(page.events.iter().map(Seen::from));
        let Some(next) = page.next else { return found };
        assert_eq!(page.events.len(), query.limit, "a page that is not full says that there is more");
        query.after = Some(next.to_string().parse().unwrap());
        query.skip = 0;
    }
    found
}

fn is_wanted(plain: &Plain, seen: &Seen, event: &Event<'_>, query: &Query) -> bool {
    let (from, to) = match query.order {
        Order::Update => (seen.updated, seen.updated),
        _ => (seen.ended().unwrap_or(Timestamp::MAX), seen.began()),
    };
    let matches = |known: &Known, matcher: &Matcher| {
        let value = match &*matcher.name {
            "__name__" => Some("last9_change_events"),
            EVENT_STATE => Some(known.edge.state.label()),
            name => known.edge.labels.value(name),
        };
        matcher.matches(value.unwrap_or_default())
    };
    let selected = |selector: &Vec<Matcher>| event.edges().any(|known| selector.iter().all(|matcher| matches(known, matcher)));
    let tags: BTreeSet<(&str, &str)> =
        plain.said_of(event).map(|said| said.details.all_tags().collect::<BTreeSet<_>>()).unwrap_or_default();
    query.start.is_none_or(|start| from >= start)
        && query.end.is_none_or(|end| to < end)
        && query.phases.is_none_or(|phases| phases.has(seen.phase(phases.now())))
        && query.tags.iter().all(|(key, value)| tags.contains(&(&**key, &**value)))
        && (query.selectors.is_empty() || query.selectors.iter().any(selected))
}
