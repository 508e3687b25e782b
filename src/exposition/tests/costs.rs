//! What pages cost: what is looked up, set aside, compressed and kept for the next one.

use super::*;
use crate::exposition::block::Block;
use crate::exposition::block::Entry;
use crate::exposition::block::Known;
use crate::exposition::body;
use crate::exposition::body::Section;
use crate::exposition::text::Family;
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
    let page = world.pages.render(Some(&tenant), ClusterId(0), &request(Format::Text004), "", ms(NOW));
    let mut shown = ids(std::str::from_utf8(&page.body).unwrap());
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

#[test]
fn a_page_takes_what_is_set_aside_for_it_and_is_compressed_once() {
    let world = World::new(&Options::default());
    let mut entries = Vec::new();
    for (number, value) in [f64::MIN, 1.0, -0.5].into_iter().cycle().take(200).enumerate() {
        let applied = world.store.apply(ms(NOW), &Command::Edge(point(&number.to_string(), NOW)));
        let Applied::Edge(applied) = applied else { panic!("{applied:?}") };
        entries.push(Entry { series: applied.series, exposed: ms(NOW), at: ms(NOW), value });
    }
    let tenant = world.store.tenant("").unwrap();
    for format in [Format::Text004, Format::OpenMetrics100] {
        let mut sections = Vec::new();
        for family in FAMILIES {
            let block = Block::of(family, &entries, &Known::new(), &tenant);
            let mut text = Vec::new();
            block.push_lines(&mut text, family, format);
            let size = block.size_max(family);
            assert!(text.len() <= size && size < 2 * text.len(), "{family:?}: {size} bytes for {}", text.len());
            sections.push(Section { family, blocks: [Arc::new(block)].into() });
        }
        let text = body::plain("own 1", &sections, format);
        assert!(text.capacity() < 2 * text.len(), "{} bytes for {}", text.capacity(), text.len());
        let are_compressed = || {
            let of = |section: &Section| section.blocks.iter().map(|block| block.is_compressed(section.family, format)).collect::<Vec<_>>();
            sections.iter().flat_map(of).collect::<Vec<_>>()
        };
        assert_eq!(are_compressed(), [false; 3]);
        let zipped = body::zipped("own 1", &sections, format);
        assert_eq!(are_compressed(), [true; 3], "for the next page, too");
        assert!(zipped.len() * 5 < text.len(), "{} bytes of {} when compressed", zipped.len(), text.len());
    }
}

#[test]
fn much_work_is_for_a_few_threads_and_little_for_one() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for (pieces, expected) in [(0, 1), (3, 1), (7, 1), (8, cores.min(2)), (100, cores.min(4))] {
        let (threads, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one_more = |count: &AtomicUsize| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        body::in_parallel(&vec![(); pieces], || one_more(&threads), |(), ()| one_more(&done));
        assert_eq!((threads.into_inner(), done.into_inner()), (expected, pieces));
    }
}
