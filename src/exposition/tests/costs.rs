//! What pages cost: what is looked up, set aside, compressed and kept for the next one.

use super::*;
use crate::account::Whose;
use crate::exposition::block::Block;
use crate::exposition::block::Known;
use crate::exposition::block::Room;
use crate::exposition::body::Section;
use crate::exposition::entry::Entry;
use crate::exposition::parallel::in_parallel;
use crate::exposition::text::Family;
use crate::threads::Helpers;
use bytes::Bytes;
use std::sync::atomic::AtomicUsize;

const FAMILIES: [Family; 3] = [Family::Open, Family::Edges, Family::Times];

fn point(id: &str, at: i64) -> Edge {
    edge(EdgeState::Point, at, &[("event_name", "e"), ("id", id)])
}

/// Lines of the edges' family, by the first one that has an id.
fn ids(page: &str) -> Vec<String> {
    let of_edges = page.lines().filter_map(|line| line.strip_prefix("last9_change_events{"));
    of_edges.filter_map(|line| Some(line.split_once("id=\"")?.1.split_once('"')?.0.to_owned())).collect()
}

/// A store that knows none of them is asked for the next page: what it shows was known from the one before.
#[test]
fn labels_that_were_on_a_page_are_not_asked_for_again() {
    let world = World::new(&Options::default());
    let names: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    for id in &names {
        world.put(NOW, &point(id, NOW));
    }
    let mut shown = ids(&world.page(&request(Format::Text004), "", NOW));
    shown.sort_by_key(|id| id.parse::<i64>().unwrap());
    assert_eq!(shown, names);
    world.put(NOW, &point("new", NOW));
    let other = World::new(&Options::default());
    other.put(NOW, &point("other", NOW));
    let (tenant, mine) = (other.store.tenant("").unwrap(), world.store.tenant("").unwrap());
    assert_eq!(tenant.id(), mine.id());
    let page = world.pages.render(Some(&tenant), ClusterId(0), &request(Format::Text004), "", ms(NOW)).unwrap();
    let mut shown = ids(std::str::from_utf8(&page.body.to_vec()).unwrap());
    shown.sort_by_key(|id| id.parse::<i64>().ok());
    assert_eq!(shown, names, "without the new one, of which it knows nothing");
}

#[test]
fn what_other_pages_showed_is_kept_for_a_few_renders() {
    let world = World::new(&Options::default());
    // The line of the first series ends a block.
    assert_eq!(world.put(NOW, &point("first", NOW - 60 * MINUTE)), Exposure::Old);
    world.put(NOW, &point("a", NOW));
    world.put(NOW + 5 * MINUTE, &point("b", NOW + 5 * MINUTE));
    let blocks_after = |keep: Option<Duration>| {
        world.page(&PageRequest { keep, ..request(Format::Text004) }, "", NOW + 5 * MINUTE);
        world.pages.cached_blocks()
    };
    let short = Some(Duration::from_mins(1));
    assert_eq!(blocks_after(short), 1);
    assert_eq!([None; 8].map(blocks_after), [2, 2, 2, 1, 1, 1, 1, 1]);
    let in_turn = [short, None, short, None, short, None, short, None].map(blocks_after);
    assert_eq!(in_turn[1..], [2; 7]);
}

fn lent(account: &Account) -> usize {
    account.leased(Item::Pages) + account.leased(Item::PrivatePages)
}

/// Blocks of lines of all kinds, one for each family, and the room they are in.
fn sections(world: &World, room: Room<'_>) -> Vec<Section> {
    let mut entries = Vec::new();
    for (number, value) in [f64::MIN, 1.0, -0.5].into_iter().cycle().take(2000).enumerate() {
        let applied = world.store.apply(ms(NOW), &Command::Edge(point(&number.to_string(), NOW)));
        let Applied::Edge(applied) = applied else { panic!("{applied:?}") };
        entries.push(Entry { series: applied.series, exposed: ms(NOW), at: ms(NOW), value });
    }
    let tenant = world.store.tenant("").unwrap();
    let block = |family| Arc::new(Block::of(family, &entries, &Known::new(), &tenant, &mut String::new(), room).unwrap());
    FAMILIES.map(|family| Section { family, blocks: [block(family)].into() }).into()
}

/// A page that is being written shares its blocks with all others, and makes its text as it is asked for.
#[test]
fn a_page_is_made_in_pieces_of_shared_blocks_and_compressed_once() {
    let (world, account) = (World::new(&Options::default()), Account::boundless());
    let room = Room { account: &account, item: Item::Pages, helpers: &Helpers::default() };
    for format in [Format::Text004, Format::OpenMetrics100] {
        let sections = sections(&world, room);
        let of_blocks = lent(&account);
        let own = "own 1\n".repeat(20_000);
        let plain = || PageBody::plain(own.clone(), &sections, format);
        let text = plain().to_vec();
        assert!(of_blocks > text.len() / 3 && of_blocks < 2 * text.len(), "{of_blocks} bytes for blocks of a page of {}", text.len());
        let pieces: Vec<Bytes> = plain().collect();
        assert!(pieces.iter().skip(1).all(|piece| piece.len() < 37 << 10), "{:?}", pieces.iter().map(Bytes::len).collect::<Vec<_>>());
        assert!(pieces.len() < 4 + text.len() / (32 << 10), "{} pieces", pieces.len());
        assert_eq!(lent(&account), of_blocks, "who takes text takes no memory of pages");
        let are_compressed = || {
            let of = |section: &Section| section.blocks.iter().map(|block| block.is_compressed(section.family, format)).collect::<Vec<_>>();
            sections.iter().flat_map(of).collect::<Vec<_>>()
        };
        assert_eq!(are_compressed(), [false; 3]);
        let zipped = PageBody::zipped(own.clone(), &sections, format, room).unwrap();
        assert_eq!(are_compressed(), [true; 3], "for the next page, too");
        assert!(zipped.len() * 5 < text.len(), "{} bytes of {} when compressed", zipped.len(), text.len());
        let of_parts = lent(&account) - of_blocks;
        assert!(of_parts > zipped.len() / 2 && of_parts < zipped.len(), "{of_parts} bytes for what is {} bytes compressed", zipped.len());
        let again = PageBody::zipped(own.clone(), &sections, format, room).unwrap();
        let places = |body: &PageBody| body.clone().map(|piece| piece.as_ptr()).collect::<Vec<_>>();
        let shared = places(&zipped).into_iter().filter(|place| places(&again).contains(place)).count();
        assert!(shared >= 3, "{shared} pieces are the same memory");
        assert_eq!(again.to_vec(), zipped.to_vec());
        // Blocks live as long as somebody writes them.
        drop((sections, again));
        assert_eq!(lent(&account), of_blocks + of_parts);
        drop(zipped);
        assert_eq!(lent(&account), 0);
    }
}

/// Who wants a page of their own can have half of the memory; what is kept for later goes before anybody is refused.
#[test]
fn a_page_that_all_share_is_not_refused_for_private_ones() {
    let put = |world: &World| {
        for number in 0..500 {
            world.put(NOW, &point(&number.to_string(), NOW));
        }
    };
    let measured = World::new(&Options::default());
    put(&measured);
    let ask = |world: &World, request: &PageRequest, now| world.render(request, "", now);
    let shared = request(Format::Text004);
    let page = ask(&measured, &shared, NOW).unwrap();
    let one = lent(&measured.account);
    assert!(one > page.body.len() / 4, "{one} bytes of blocks");
    let selectors = vec![store::selector::parse("{event_name=\"e\"}").unwrap()];
    let private = PageRequest { selectors, ..request(Format::Text004) };
    let world = World::with_room(&Options::default(), 7 * one);
    put(&world);
    // Each is private, and held as long as it is written.
    let held: Vec<Page> = std::iter::from_fn(|| ask(&world, &private, NOW).ok()).take(10).collect();
    // Its blocks are made for each family.
    assert!((1..=3).contains(&held.len()), "{} private pages in half of 7, and half of the half of all", held.len());
    assert!(ask(&world, &shared, NOW).is_ok());
    assert!(ask(&world, &private, NOW).is_err(), "the half is still full");
    drop(held);
    assert!(ask(&world, &private, NOW).is_ok());
    // What is kept for the next page is given up for this one.
    let world = World::with_room(&Options::default(), one + one / 2);
    put(&world);
    for hour in 0..5 {
        let now = NOW + hour * 60 * MINUTE;
        for number in 0..500 {
            world.put(now, &point(&number.to_string(), now));
        }
        assert!(ask(&world, &shared, now).is_ok(), "hour {hour}");
    }
    let held = ask(&world, &shared, NOW + 240 * MINUTE).unwrap();
    for number in 0..500 {
        world.put(NOW + 300 * MINUTE, &point(&number.to_string(), NOW + 300 * MINUTE));
    }
    let full = Full { item: Item::Pages, whose: Whose::All, share: world.account.shares().pages };
    assert_eq!(ask(&world, &shared, NOW + 300 * MINUTE).err(), Some(full), "what is being written stays");
    drop(held);
    assert!(ask(&world, &shared, NOW + 300 * MINUTE).is_ok());
}

#[test]
fn much_work_is_for_a_few_threads_and_little_for_one() {
    let helpers = Helpers::start(5);
    for (pieces, expected) in [(0, 1), (3, 1), (7, 1), (8, 2), (100, 4)] {
        let (threads, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one_more = |count: &AtomicUsize| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        in_parallel(&helpers, &vec![(); pieces], || one_more(&threads), |(), ()| one_more(&done));
        assert_eq!((threads.into_inner(), done.into_inner()), (expected, pieces));
    }
}
