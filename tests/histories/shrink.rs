//! A failing history made short: steps are left out, and simplified, while it still fails.

use crate::look::Difference;
use crate::steps::Step;
use crate::steps::moment;
use crate::steps::print_span;

/// Most times that a history is played while it is made short.
const PLAYS_MAX: usize = 600;

/// The shortest history found that still fails, and how.
pub(crate) fn shrink(steps: &[Step], first: Difference, fails: &mut dyn FnMut(&[Step]) -> Option<Difference>) -> (Vec<Step>, Difference) {
    let mut shortest = steps.to_vec();
    let mut how = first;
    let mut plays = 0;
    let mut is_shorter = |shortest: &mut Vec<Step>, candidate: Vec<Step>| {
        plays += 1;
        let Some(difference) = (plays <= PLAYS_MAX).then(|| fails(&candidate)).flatten() else { return false };
        *shortest = candidate;
        how = difference;
        true
    };
    let mut chunk = shortest.len() / 2;
    loop {
        let length = shortest.len();
        let mut at = 0;
        while at < shortest.len() && chunk > 0 {
            let candidate = [&shortest[..at], shortest.get(at + chunk..).unwrap_or_default()].concat();
            if !is_shorter(&mut shortest, candidate) {
                at += chunk;
            }
        }
        match chunk {
            0 | 1 if shortest.len() == length && !simplify(&mut shortest, &mut is_shorter) => break,
            0 | 1 => {}
            _ => chunk /= 2,
        }
    }
    (shortest, how)
}

/// Makes single steps simpler; answers whether one was.
fn simplify(shortest: &mut Vec<Step>, is_shorter: &mut dyn FnMut(&mut Vec<Step>, Vec<Step>) -> bool) -> bool {
    let mut found = false;
    for index in 0..shortest.len() {
        for text in simpler(&shortest[index].text) {
            let mut candidate = shortest.clone();
            candidate[index].text = text;
            if is_shorter(shortest, candidate) {
                found = true;
                break;
            }
        }
    }
    found
}

/// The same step with less in it.
fn simpler(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    if let Some(requests) = text.strip_prefix("at once: ") {
        let parts: Vec<&str> = requests.split(" | ").collect();
        found.extend(parts.iter().map(|part| (*part).to_owned()));
        found.extend(without_one(&parts, " | ").map(|rest| format!("at once: {rest}")));
        return found;
    }
    found.extend(without_one(&text.split(" + ").collect::<Vec<_>>(), " + "));
    found.extend(text.strip_prefix("lines ").map(str::to_owned));
    let words: Vec<&str> = text.split(' ').collect();
    let plain = |word: &str| {
        ["status=", "to:", "in:", "if:", "key:", "skew=", "retention=", "host=h", "description=", "type=", "parent_id="]
            .iter()
            .any(|start| word.starts_with(start))
    };
    for (index, _) in words.iter().enumerate().filter(|(_, word)| plain(word)) {
        found.push([&words[..index], &words[index + 1..]].concat().join(" "));
    }
    for (index, word) in words.iter().enumerate() {
        let prefix = ["@", "..", ""].into_iter().find(|prefix| word.starts_with(prefix)).unwrap_or_default();
        if prefix.is_empty() && (words[0] != "clock" || index == 0) || word.len() <= prefix.len() {
            continue;
        }
        for span in rounder(&word[prefix.len()..]) {
            found.push([&words[..index], &[&*format!("{prefix}{span}")], &words[index + 1..]].concat().join(" "));
        }
    }
    if let Some(rest) = text.strip_prefix("crash") {
        found.push(format!("kill{rest}"));
    }
    found
}

/// The parts joined, but for one; nothing if there is only one.
fn without_one<'a>(parts: &'a [&str], between: &'a str) -> impl Iterator<Item = String> + 'a {
    let without = move |left_out: usize| {
        let kept = parts.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, part)| *part);
        kept.collect::<Vec<_>>().join(between)
    };
    (0..parts.len()).filter(|_| parts.len() > 1).map(without)
}

/// Shorter spans that are about the same.
fn rounder(text: &str) -> impl Iterator<Item = String> {
    let span = moment(text).since(moment("0")).as_millis().cast_signed() - moment("0").since(moment(text)).as_millis().cast_signed();
    let to = move |unit: &str| span - span % moment(unit).since(moment("0")).as_millis().cast_signed();
    let text = text.to_owned();
    ["1d", "1h", "1m"].into_iter().map(move |unit| print_span(i64::try_from(to(unit)).unwrap())).filter(move |span| span.len() < text.len())
}
