//! Any bytes as what strangers send: they are refused, or become edges whose labels are labels and whose records read back.

use change_events::doors::apitraffic::wire::Fields;
use change_events::doors::ets::wire as ets;
use change_events::doors::grafana::wire as grafana;
use change_events::doors::last9::wire as last9;
use change_events::doors::last9::wire::Body;
use change_events::event::Change;
use change_events::event::Command;
use change_events::event::Edge;
use change_events::event::Put;
use change_events::event::record::Decoder;
use change_events::event::record::Earlier;
use change_events::event::record::Record as _;
use change_events::event::record::stamp;
use change_events::labels::LabelSet;
use change_events::mapping::Context;
use change_events::mapping::FormatError;
use change_events::mapping::Mapping;
use change_events::mapping::clusters::Clusters;
use change_events::mapping::tags;
use change_events::mapping::tags::EventNames;
use change_events::mapping::whole::End;
use change_events::mapping::whole::Whole;
use change_events::store::selector;
use change_events::store::selector::MatchKind;
use change_events::time::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_771_581_600_000);

thread_local! {
    static SETTINGS: (Mapping, Clusters) = (Mapping::default(), Clusters::default());
}

/// The first byte chooses the format.
pub(crate) fn run(input: &[u8]) {
    let Some((format, body)) = input.split_first() else { return };
    SETTINGS.with(|(mapping, clusters)| {
        let context = Context { organization: "acme".into(), now: NOW, mapping, clusters, earlier: Earlier::default() };
        match format % 8 {
            0..3 => change_events_of(body, &context),
            3 => api_traffic(body, &context),
            4 => ets_body(ets::parse_json(body), &context),
            5 => ets_body(ets::parse_yaml(body), &context),
            6 => annotation(body, &context),
            _ => selectors(body),
        }
    });
}

fn change_events_of(body: &[u8], context: &Context<'_>) {
    let parsed = match last9::parse_body(body, context) {
        Ok(Body::One(one)) => vec![one],
        Ok(Body::Many(many)) => many,
        Err(error) => return check_error(&error),
    };
    for parsed in parsed {
        match parsed {
            Ok(parsed) => {
                check_edge(&parsed.edge, context);
                check_record(Command::Edge(Edge { otherwise: None, configured: false, entity: false, ..parsed.edge }));
            }
            Err(error) => check_error(&error),
        }
    }
}

/// What a sender is told is one line, and short enough whatever was sent.
fn check_error(error: &FormatError) {
    let text = error.to_string();
    assert!(text.len() < 2000 && !text.contains('\n'), "{text:?}");
    assert!((400..500).contains(&error.status()));
}

fn check_edge(edge: &Edge, context: &Context<'_>) {
    let limits = context.mapping.limits();
    let labels: Vec<(&str, &str)> = edge.labels.iter().collect();
    assert_eq!(LabelSet::from_sorted(labels.iter().copied()).as_ref(), Ok(&edge.labels));
    for (name, value) in &labels {
        let plain = |(index, byte): (usize, u8)| byte.is_ascii_alphabetic() || byte == b'_' || (index > 0 && byte.is_ascii_digit());
        assert!(name.bytes().enumerate().all(plain) && !name.is_empty(), "no label name: {name:?}");
        assert!(*name != change_events::labels::EVENT_STATE && *name != "__name__", "{name} is ours");
        assert!(value.len() <= limits.value_bytes, "{name} has {} bytes", value.len());
    }
    assert!(!edge.labels.event_name().is_empty() && labels.len() <= limits.labels + 1 && edge.value.is_finite());
    if let Some(attributes) = &edge.attributes {
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(attributes).is_ok(), "no JSON: {attributes}");
    }
}

fn check_record(command: Command) {
    let mut record = Vec::new();
    command.encode(&mut record);
    stamp(&mut record, NOW);
    assert_eq!(Decoder::default().decode(&record), Ok((NOW, command)));
}

fn check_whole(whole: &Whole, context: &Context<'_>) {
    match whole.put(None, context) {
        Ok((put, _)) => {
            put.edges().for_each(|edge| check_edge(edge, context));
            let plain = |edge: Edge| Edge { otherwise: None, configured: false, entity: false, ..edge };
            check_record(Command::Change(Change::Put(Box::new(Put { start: plain(put.start), stop: put.stop.map(plain), ..put }))));
        }
        Err(error) => check_error(&error),
    }
}

fn api_traffic(body: &[u8], context: &Context<'_>) {
    match Fields::parse(body).and_then(|fields| fields.create("id".into(), NOW)) {
        Ok(whole) => check_whole(&whole, context),
        Err(error) => check_error(&error.error),
    }
}

fn annotation(body: &[u8], context: &Context<'_>) {
    let names = EventNames::default();
    for parse in [grafana::Fields::parse, grafana::Fields::parse_graphite] {
        match parse(body).and_then(|fields| fields.create("id".into(), NOW, &names)) {
            Ok(creation) => {
                let Whole { event_name, details, .. } = &creation.whole;
                // What was written is read back, and comes to the same.
                let written = grafana::Written::of(details).unwrap();
                let tags = written.tags(event_name, &details.tags).unwrap();
                let again = tags::resolve(tags.iter().map(|tag| &**tag), &names);
                assert_eq!(again.tags, details.tags);
                assert!(!creation.closes || again.phase == Some(tags::Phase::Stop));
                check_whole(&creation.whole, context);
            }
            Err(error) => check_error(&error),
        }
    }
}

fn ets_body(request: Result<ets::Request, ets::EtsError>, context: &Context<'_>) {
    let Ok(request) = request else { return };
    let Ok(event) = ets::Event::new(request.change.clone(), || "id".into(), NOW) else { return };
    for operation in [ets::Operation::Merge, ets::Operation::Update] {
        // The same once more changes nothing.
        if let Ok(once) = ets::apply(operation, event.clone(), &request.change) {
            assert_eq!(ets::apply(operation, once.clone(), &request.change).as_ref(), Ok(&once), "{operation:?}");
        }
    }
    let details = change_events::event::Details {
        description: event.description.clone(),
        parent_id: event.parent_id.clone(),
        source_id: event.source_id.clone(),
        links: event.detail_urls.clone(),
        tags: event.tags.clone(),
        ..Default::default()
    };
    let end = event.end.map_or(End::Open, End::At);
    let whole = Whole { id: event.id.clone(), event_name: event.event_name().into(), at: event.start, end, details, cluster: "".into() };
    check_whole(&whole, context);
}

fn selectors(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    match selector::parse(text) {
        Ok(matchers) => {
            for matcher in matchers {
                let is_equal = matches!(matcher.kind, MatchKind::Equal);
                assert!(matcher.matches(&matcher.value) || !is_equal, "{matcher:?}");
            }
        }
        Err(error) => assert!(error.to_string().len() < 2000),
    }
}
