//! What is said of all pages together.

use super::*;

fn edge_of(cluster: &str, id: &str, state: EdgeState, at: i64) -> Edge {
    let labels = [("cluster", cluster), ("event_name", "e"), ("id", id)];
    Edge { cluster: cluster.into(), ..edge(state, at, &labels) }
}

/// One of each kind: what is shown, what waits, and each reason for what is not.
fn put_all(world: &World, cluster: &str) {
    let put = |received: i64, id: &str, state: EdgeState, at: i64| world.put(received, &edge_of(cluster, id, state, at));
    let (point, start) = (EdgeState::Point, EdgeState::Start);
    assert_eq!(put(NOW, "crowded", point, NOW + 5 * MINUTE), Exposure::Scheduled { at: ms(NOW + 5 * MINUTE) });
    for number in 2..=1024 {
        put(NOW, "crowded", point, NOW + number * 5 * MINUTE);
    }
    for number in 1..=3 {
        assert_eq!(put(NOW, "crowded", point, NOW - number + 1024 * 5 * MINUTE), Exposure::Crowded);
    }
    assert_eq!(put(NOW, "a", point, NOW), Exposure::Shown);
    assert_eq!(put(NOW, "a", point, NOW - 1), Exposure::Late);
    assert_eq!(put(NOW, "b", point, NOW - 50 * MINUTE), Exposure::Old);
    assert_eq!(put(NOW, "b", point, NOW - 51 * MINUTE), Exposure::Old);
    for number in 0..4 {
        assert_eq!(put(NOW, "c", point, NOW - (400 + number) * 24 * 60 * MINUTE), Exposure::Old);
    }
    assert_eq!(put(NOW, "d", start, NOW), Exposure::Shown);
    for number in 1..=6 {
        put(NOW + 6, "d", start, NOW + number);
    }
    for number in 0..7 {
        let edge = Edge { identity: Identity::of([cluster, &number.to_string()]), ..edge_of(cluster, "a", point, NOW) };
        assert_eq!(world.put(NOW + 6, &edge), Exposure::Duplicate);
    }
}

#[test]
fn each_sample_is_counted_by_what_became_of_it_on_all_pages() {
    let day = Duration::from_hours(24);
    let world = World::new(&Options::default());
    let one = PageStats {
        shown: 2,
        cut: 0,
        queued: 1,
        scheduled: 1024,
        lag: Duration::ZERO,
        coalesced: 5,
        late: 1,
        old: 2,
        duplicate: 7,
        crowded: 3,
        beyond: 4,
    };
    put_all(&world, "");
    let stats = world.pages.stats(ms(NOW + 6));
    assert!(stats.lag > Duration::from_mins(2) && stats.lag < day, "{:?}", stats.lag);
    let lag = stats.lag;
    assert_eq!(stats, PageStats { lag, ..one });
    put_all(&world, "eu");
    let two = |number: u64| number * 2;
    let both = PageStats {
        shown: 4,
        cut: 0,
        queued: 2,
        scheduled: 2048,
        lag,
        coalesced: two(one.coalesced),
        late: two(one.late),
        old: two(one.old),
        duplicate: two(one.duplicate),
        crowded: two(one.crowded),
        beyond: two(one.beyond),
    };
    assert_eq!(world.pages.stats(ms(NOW + 6)), both);
}

#[test]
fn what_is_cut_is_counted_on_all_pages() {
    let world = World::new(&Options { max_samples: 2, ..Options::default() });
    for cluster in ["", "eu"] {
        for (minutes, id) in [(0, "a"), (3, "b"), (6, "c"), (6, "d"), (9, "e")] {
            let at = NOW + minutes * MINUTE;
            assert_eq!(world.put(at, &edge_of(cluster, id, EdgeState::Point, at)), Exposure::Shown);
        }
        let cut = if cluster.is_empty() { 2 } else { 4 };
        let stats = world.pages.stats(ms(NOW + 12 * MINUTE));
        assert_eq!((stats.shown, stats.cut), (cut, cut), "of each page counted up to as many as that");
    }
}

#[test]
fn a_log_that_is_read_anew_begins_with_no_page() {
    let world = World::new(&Options::default());
    put_all(&world, "");
    world.page(&request(Format::Text004), "", NOW + MINUTE);
    world.pages.begin();
    assert_eq!(world.pages.state(), [""; 0]);
    assert_eq!(world.pages.stats(ms(NOW)), PageStats::default());
    assert_eq!(world.pages.receive(ms(NOW)).received, ms(NOW), "no page was given out");
}

/// Of all clusters, whatever comes and goes.
#[test]
fn what_samples_are_folded_into_is_counted_in_bytes() {
    let world = World::new(&Options::default());
    assert_eq!(world.account.kept(), 0);
    let mut sizes = Vec::new();
    for hour in 0..3 {
        let now = NOW + hour * 60 * MINUTE;
        for number in 0..2000 {
            let cluster = if number < 1000 { "one" } else { "two" };
            world.put(now, &edge_of(cluster, &number.to_string(), EdgeState::Point, now));
        }
        sizes.push(world.account.kept());
    }
    let [first, _, last] = sizes[..] else { panic!("{sizes:?}") };
    assert!(first > 2000 * 40 && first < 2000 * 100, "{first} bytes for 2000 samples");
    assert_eq!(last, first, "what was an hour ago is gone: {sizes:?}");
    world.pages.begin();
    assert_eq!(world.account.kept(), 0);
}
