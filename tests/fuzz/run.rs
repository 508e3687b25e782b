//! Makes inputs, runs them, and makes the first one that fails short.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;
use std::time::Instant;

use crate::splitmix;

/// The longest input that is made of shorter ones: many short ones find more than a few long ones.
const INPUT_BYTES_MAX: usize = 240;
/// How long a failing input may take to be made short.
const SHRINK_MAX: Duration = Duration::from_secs(10);
/// A body that holds more than this at any time takes memory without bound.
const PEAK_KILOBYTES_MAX: u64 = 2 << 20;

type Body = fn(&[u8]);

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

/// A small generator, so that a seed says all (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        splitmix::next(&mut self.0)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }
}

/// The inputs of a folder of `fuzz/`, in the order of their names.
pub(crate) fn kept(folder: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder).join(target);
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> =
        entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())).collect();
    inputs.sort();
    inputs
}

/// The input of a seed: bytes of its own, or an input that is kept, changed in a few places.
fn made(seed: u64, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut random = Random(seed);
    if corpus.is_empty() || random.below(4) == 0 {
        let length = random.below(INPUT_BYTES_MAX / 2);
        return (0..length).map(|_| random.byte()).collect();
    }
    let mut input = corpus[random.below(corpus.len())].1.clone();
    let longest = input.len();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(24)).min(input.len());
        match random.below(7) {
            0 if at < input.len() => input[at] = random.byte(),
            1 if at < input.len() => input[at] ^= 1 << random.below(8),
            2 => drop(input.drain(at..end)),
            3 => {
                let other = &corpus[random.below(corpus.len())].1;
                let from = random.below(other.len() + 1);
                let to = (from + random.below(64)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            4 => {
                let again = input[at..end].to_vec();
                let place = random.below(input.len() + 1);
                input.splice(place..place, again);
            }
            5 => input.truncate(at.max(8)),
            _ => {
                let new: Vec<u8> = (0..random.below(16)).map(|_| random.byte()).collect();
                input.splice(at..at, new);
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX.max(longest));
    input
}

/// What an input panics with.
fn failure(body: Body, input: &[u8]) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| body(input))).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default())
}

/// A shorter input that fails too.
fn shrunk(body: Body, mut input: Vec<u8>) -> Vec<u8> {
    let end = Instant::now() + SHRINK_MAX;
    let mut size = input.len().div_ceil(2);
    while size > 0 {
        let before = input.len();
        let mut at = 0;
        while at < input.len() && Instant::now() < end {
            let mut shorter = input.clone();
            shorter.drain(at..(at + size).min(input.len()));
            if failure(body, &shorter).is_some() {
                input = shorter;
            } else {
                at += size;
            }
        }
        size = if input.len() < before { size.min(input.len()) } else { size / 2 };
    }
    input
}

/// While inputs are made short, their panics are of no interest.
fn be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !std::thread::current().name().is_some_and(|name| name.starts_with("fuzz ")) {
                usual(panic);
            }
        }));
    });
}

/// Fails with the shortest form of an input that fails.
fn check(body: Body, target: &'static str, name: &str, input: &[u8]) {
    let Some(text) = failure(body, input) else { return };
    let input = shrunk(body, input.to_vec());
    let text = failure(body, &input).unwrap_or(text);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}.input"));
    fs::write(&path, &input).unwrap();
    panic!("{target}: {name} fails; in short, and in {}: {}\n{text}", path.display(), hex::encode(&input));
}

/// Runs a body over the inputs that are kept, and over as many more as there is time for.
pub(crate) fn run(target: &'static str, body: Body) {
    be_quiet();
    let run = move || run_here(target, body);
    let thread = std::thread::Builder::new().name(format!("fuzz {target}")).stack_size(8 << 20).spawn(run).unwrap();
    if let Err(panic) = thread.join() {
        panic!("{}", panic.downcast_ref::<String>().map_or("", String::as_str));
    }
}

fn run_here(target: &'static str, body: Body) {
    let begun = Instant::now();
    let mut corpus = kept("corpus", target);
    corpus.extend(kept("found", target));
    for (name, input) in &corpus {
        check(body, target, name, input);
    }
    let first = variable("CHANGE_EVENTS_SEED").unwrap_or(0);
    let count = variable("CHANGE_EVENTS_INPUTS").unwrap_or(u64::MAX);
    let span = Duration::from_secs(if std::env::var_os("CHANGE_EVENTS_FULL").is_some() { 600 } else { 20 });
    let mut made_count = 0;
    while made_count < count && (count < u64::MAX || begun.elapsed() < span) {
        let seed = first + made_count;
        check(body, target, &format!("the input of seed {seed}"), &made(seed, &corpus));
        made_count += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{target}: {} inputs that are kept and {made_count} of seeds from {first} on, in {seconds:.1} s", corpus.len());
    let peak = peak_kilobytes();
    assert!(peak < PEAK_KILOBYTES_MAX, "the program took {peak} kB");
}

/// The most memory that the process had.
fn peak_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_ascii_whitespace().next()).map_or(0, |number| number.parse().unwrap())
}
