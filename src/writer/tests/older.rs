//! Logs that another program wrote, or this one under other flags.

use super::edges::job;
use super::server::START;
use super::server::Server;
use super::server::Told;
use super::*;
use crate::event::Settings;
use crate::event::record;
use crate::event::record::Record as _;
use crate::log::Batch;
use crate::log::SegmentLog;

const RETENTION: Duration = Duration::from_hours(24);

/// A log with these records in commits, and not a record that nobody asked for.
pub(super) fn written(commits: impl IntoIterator<Item = Vec<(Timestamp, Command)>>) -> FaultyDisk {
    let disk = FaultyDisk::new();
    let (mut log, _) = SegmentLog::open(disk.clone(), log_options(), &mut |_| Ok(())).unwrap();
    for commit in commits {
        let mut batch = Batch::new();
        for (received, command) in commit {
            batch.push_with(|out| {
                let start = out.len();
                command.encode(out);
                record::stamp(&mut out[start..], received);
            });
        }
        assert!(log.append(&batch).unwrap().bytes > 0);
    }
    log.close().unwrap();
    disk
}

fn edge(entity: &str) -> Command {
    Command::Edge(job(EdgeState::Start, START, entity))
}

/// The records of a server's log: of settings the skew in seconds, of edges the entity.
fn records(server: &Server) -> Vec<String> {
    let text = |command: &Command| match command {
        Command::Settings(Settings { skew }) => format!("skew {}", skew.as_secs()),
        Command::Edge(edge) => edge.labels.value("entity_id").unwrap().to_owned(),
        other => format!("{other:?}"),
    };
    server.records.iter().map(|(.., command)| text(command)).collect()
}

fn start_with(server: &mut Server, skew: u64) {
    server.skew = Duration::from_secs(skew);
    server.start();
}

#[test]
fn the_first_record_of_a_log_is_its_settings() {
    let mut server = Server::new(RETENTION);
    start_with(&mut server, 7);
    assert!(records(&server).is_empty());
    server.disk.fail_next(Call::Write, Fault::Halfway);
    assert!(server.submit(vec![(vec![edge("a")], None)])[0].is_err());
    server.one(edge("b"));
    server.one(edge("c"));
    start_with(&mut server, 1);
    server.one(edge("d"));
    assert_eq!(records(&server), ["skew 7", "b", "c", "d"]);
    assert_eq!(server.memory.store.skew(), Duration::from_secs(7));
}

#[test]
fn an_old_log_gets_its_settings_before_anything_new() {
    let command = |entity| vec![(START, edge(entity))];
    let mut server = Server::on(written([command("a"), command("b")]), RETENTION);
    start_with(&mut server, 7);
    // What is known leaves no record, and no settings either.
    let Told::Edge { duplicate: true, .. } = server.one(edge("b")) else { panic!("new") };
    assert_eq!(records(&server), ["a", "b"]);
    server.one(edge("c"));
    start_with(&mut server, 1);
    server.one(edge("d"));
    assert_eq!(records(&server), ["a", "b", "skew 7", "c", "d"]);
    assert_eq!(server.memory.store.skew(), Duration::from_secs(7));
    server.restart();
    let names: Vec<String> = server.events().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.iter().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), ["a", "b", "c", "d"].into());
}

#[test]
fn what_was_received_last_is_the_latest_receipt_whatever_the_order_in_the_log() {
    let at = |seconds| START.plus(Duration::from_secs(seconds));
    let disk = written([vec![(at(5), edge("a")), (at(9), edge("b")), (at(7), edge("c"))], vec![(at(6), edge("d"))]]);
    assert_eq!(open(disk, log_options(), &memory()).unwrap().received(), at(9));
}

#[test]
fn tables_hash_in_a_way_of_their_log() {
    let mut server = Server::new(RETENTION);
    let hash = |server: &Server| server.memory.store.hash_of("text");
    let first = hash(&server);
    server.start();
    assert_eq!(hash(&server), first);
    server.one(edge("a"));
    server.start();
    assert_eq!(hash(&server), first);
    assert_ne!(hash(&Server::new(RETENTION)), first);
}

/// What of its edges a record has, and what each says of its skew in seconds.
fn skews(command: &Command) -> Vec<(EdgeState, Option<u64>)> {
    let edges: Vec<&Edge> = match command {
        Command::Edge(edge) => vec![edge],
        Command::Change(Change::Put(put)) => put.edges().collect(),
        Command::Change(Change::Describe(describe)) => describe.stop.iter().collect(),
        _ => Vec::new(),
    };
    edges.into_iter().map(|edge| (edge.state, edge.skew.map(|skew| skew.as_secs()))).collect()
}

#[test]
fn stops_and_no_others_say_their_skew_where_the_flag_is_another_one_by_now() {
    for (flag, expected) in [(5, None), (60, Some(60))] {
        let mut server = Server::new(RETENTION);
        server.one(edge("first"));
        start_with(&mut server, flag);
        let said = server.records.len();
        // A stop half a minute before its start.
        let (start, early) = (job(EdgeState::Start, START.plus(Duration::from_secs(30)), "a"), job(EdgeState::Stop, START, "a"));
        server.send(early);
        server.send(start);
        let own = Edge { identity: Identity::of_id("own"), ..job(EdgeState::Start, START, "own") };
        let stop = Some(Edge { state: EdgeState::Stop, at: START.plus(Duration::from_secs(1)), ..own.clone() });
        server.one(Command::Change(Change::Put(Box::new(Put {
            id: "own".into(),
            created: None,
            number: None,
            start: own,
            stop,
            details: Details::default(),
        }))));
        let described = job(EdgeState::Start, START, "described");
        server.send(described.clone());
        let stop = Some(job(EdgeState::Stop, START.plus(Duration::from_secs(1)), "described"));
        let describe = Describe { organization: "acme".into(), edge: described.id(), span: None, stop, details: Details::default() };
        server.one(Command::Change(Change::Describe(Box::new(describe))));
        let skews: Vec<_> = server.records[said..].iter().flat_map(|(.., command)| skews(command)).collect();
        let (start, stop) = ((EdgeState::Start, None), (EdgeState::Stop, expected));
        assert_eq!(skews, [stop, start, start, stop, start, stop]);
        let is_closed =
            |server: &Server| server.events().contains(&("a".to_owned(), false)) && !server.events().contains(&("a".to_owned(), true));
        assert_eq!(is_closed(&server), flag == 60);
        start_with(&mut server, 1);
        assert_eq!(is_closed(&server), flag == 60, "by whatever flag it is started again");
    }
}
