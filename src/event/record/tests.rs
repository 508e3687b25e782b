use super::*;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::EdgeId;
use crate::event::Identity;
use crate::event::Settings;
use crate::labels::LabelSet;
use proptest::prelude::*;

fn label_sets() -> impl Strategy<Value = LabelSet> {
    prop::collection::btree_map("[a-z_]{1,9}", ".{1,20}", 0..6)
        .prop_map(|labels| LabelSet::from_sorted(labels.iter().map(|(k, v)| (k.as_str(), v.as_str()))).unwrap())
}

fn texts() -> impl Strategy<Value = Vec<Box<str>>> {
    prop::collection::vec(".{0,9}".prop_map(String::into_boxed_str), 0..3)
}

fn details() -> impl Strategy<Value = Details> {
    let pairs = prop::collection::vec((".{0,9}".prop_map(String::into_boxed_str), ".{0,9}".prop_map(String::into_boxed_str)), 0..3);
    let tags = prop::collection::vec((".{0,9}".prop_map(String::into_boxed_str), texts()), 0..3);
    let extension = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(tag, bytes)| Extension { tag, bytes: bytes.into() });
    let extensions = prop::collection::vec(extension, 0..3);
    (prop::array::uniform6(".{0,9}".prop_map(String::into_boxed_str)), pairs, tags, texts(), texts(), extensions).prop_map(
        |([name, description, source, parent_id, source_id, metadata], links, tags, buckets, environments, extensions)| Details {
            name,
            description,
            source,
            parent_id,
            source_id,
            links,
            tags,
            buckets,
            environments,
            metadata,
            extensions,
        },
    )
}

fn whole() -> impl Strategy<Value = Command> {
    let stop = || prop::option::of(edge());
    prop_oneof![
        (".{0,9}", prop::option::of(any::<i64>()), prop::option::of(any::<u64>()), edge(), stop(), details()).prop_map(
            |(id, created, number, start, stop, details)| {
                Command::Change(Change::Put(Box::new(Put {
                    id: id.into(),
                    created: created.map(Timestamp::from_millis),
                    number,
                    start,
                    stop,
                    details,
                })))
            }
        ),
        (".{0,9}", any::<u128>(), span(), stop(), details()).prop_map(|(organization, id, span, stop, details)| {
            Command::Change(Change::Describe(Box::new(Describe {
                organization: organization.into(),
                edge: EdgeId(id),
                span,
                stop,
                details,
            })))
        }),
        (".{0,9}", ".{0,9}", span()).prop_map(|(organization, id, span)| Command::Change(Change::Delete(Delete {
            organization: organization.into(),
            id: id.into(),
            span
        }))),
    ]
}

fn states() -> impl Strategy<Value = EdgeState> {
    prop_oneof![Just(EdgeState::Start), Just(EdgeState::Stop), Just(EdgeState::Point)]
}

fn span() -> impl Strategy<Value = Option<Span>> {
    let key = || (any::<i64>().prop_map(Timestamp::from_millis), states(), any::<u128>().prop_map(EdgeId));
    prop::option::of((any::<u128>(), key(), key()).prop_map(|(identity, first, last)| Span { identity: Identity(identity), first, last }))
}

fn edges() -> impl Strategy<Value = Command> {
    edge().prop_map(Command::Edge)
}

fn edge() -> impl Strategy<Value = Edge> {
    let place = ("[a-z]{0,5}", "[a-z]{0,5}", label_sets(), prop::option::of(".{0,30}"));
    let decided = (prop::option::of(any::<u128>()), prop::option::of(any::<u128>()), prop::option::of(any::<u32>()));
    (states(), any::<i64>(), any::<i32>(), any::<u128>(), any::<bool>(), decided, place).prop_map(
        |(state, at, value, identity, lapses, (group, named, skew), (organization, cluster, labels, attributes))| Edge {
            organization: organization.into(),
            cluster: cluster.into(),
            value: f64::from(value),
            lapses,
            supersede: group.map(Identity),
            named: named.map(EdgeId),
            skew: skew.map(|millis| Duration::from_millis(millis.into())),
            attributes: attributes.map(String::into_boxed_str),
            ..Edge::new(state, Timestamp::from_millis(at), Identity(identity), labels)
        },
    )
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        edges(),
        ("[a-z]{0,5}", any::<u128>(), any::<u128>(), any::<i64>()).prop_map(|(o, key, body, at)| Command::Claim(Claim {
            organization: o.into(),
            key,
            body,
            at: Timestamp::from_millis(at),
            former: None,
        })),
        any::<u32>().prop_map(|skew| Command::Settings(Settings { skew: Duration::from_millis(skew.into()) })),
        (any::<i64>(), any::<u64>()).prop_map(|(before, upto)| Command::Retire { before: Timestamp::from_millis(before), upto }),
        ("[a-z]{0,4}", any::<i64>(), any::<u64>(), any::<u32>(), any::<u32>()).prop_map(|(organization, before, upto, skip, edges)| {
            Command::RetirePart(RetirePart { organization: organization.into(), before: Timestamp::from_millis(before), upto, skip, edges })
        }),
        (0..i64::MAX.unsigned_abs()).prop_map(|ahead| Command::Clock { ahead: Duration::from_millis(ahead) }),
        whole(),
    ]
}

proptest! {
    #[test]
    fn decodes_what_was_encoded(command in commands(), received in any::<i64>()) {
        let mut record = Vec::new();
        command.encode(&mut record);
        stamp(&mut record, Timestamp::from_millis(received));
        let mut decoder = Decoder::default();
        prop_assert_eq!(decoder.decode(&record).unwrap(), (Timestamp::from_millis(received), command));
        for end in 0..record.len() {
            prop_assert!(decoder.decode(&record[..end]).is_err());
        }
    }

    #[test]
    fn any_bytes_decode_or_err(kind in prop::sample::select(vec![FORMER_EDGE, EDGE, CLOCK, SETTINGS, FORMER_PUT, FORMER_DESCRIBE, PUT, DESCRIBE, DELETE]), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut record = vec![kind];
        record.extend(bytes);
        drop(Decoder::default().decode(&record));
    }
}

#[test]
fn a_later_kind_is_refused() {
    assert_eq!(Decoder::default().decode(&[22, 0, 0]), Err(RecordError::UnknownKind(22)));
}

#[test]
fn a_later_flag_is_refused() {
    for (kind, known) in [(PUT, PUT_FLAGS), (DESCRIBE, DESCRIBE_FLAGS), (DELETE, HAS_SPAN)] {
        for flags in 0..=u8::MAX {
            let record = [&[kind][..], &[0; 8], &[flags]].concat();
            let refused = Decoder::default().decode(&record) == Err(RecordError::UnknownFlags(flags));
            assert_eq!(refused, flags & !known != 0, "{kind} {flags:#b}");
        }
    }
}
