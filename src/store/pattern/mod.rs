//! Regular expressions of selectors: what one costs is known before it is compiled, and what matching costs is counted.
//!
//! An expression is read, priced by its syntax, and only then compiled; those that were compiled lately are kept. It is run by
//! an automaton that is made as it is needed, and where that gets too large by one that takes a time of its size a byte.

use super::effort::Effort;
use hashbrown::HashMap;
use parking_lot::Mutex;
use regex_automata::Anchored;
use regex_automata::Input;
use regex_automata::hybrid::dfa::Cache as LazyCache;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::nfa::thompson::pikevm::Cache as PikeCache;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_syntax::ast;
use regex_syntax::ast::Ast;
use regex_syntax::ast::ClassSetItem;
use regex_syntax::ast::Flag;
use regex_syntax::ast::FlagsItemKind;
use regex_syntax::ast::GroupKind;
use regex_syntax::hir::Class;
use regex_syntax::hir::Hir;
use regex_syntax::hir::HirKind;
use regex_syntax::hir::Look;
use std::sync::Arc;

/// Longest regular expression in bytes.
pub const REGEX_BYTES_MAX: usize = 1 << 10;
/// What all regular expressions of one request may come to, in bytes, by what is expected before they are compiled.
pub const COMPILED_BYTES_MAX: usize = 512 << 10;
/// What an expression may come to although less was expected.
const UNEXPECTED_BYTES_MAX: usize = 2 * COMPILED_BYTES_MAX;
/// What compiled expressions are kept for the next that ask for them, in bytes.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// What one that is kept takes beside what it was expected to.
const KEPT_BESIDE_BYTES: usize = 2 << 10;
/// What an automaton that is made as it is needed may take for each matcher, in bytes, beside what it needs for some states.
const LAZY_BYTES: usize = 32 << 10;
/// An automaton that was given up this often is left alone where it has hardly served since.
const CLEARED_MAX: usize = 3;
/// How many bytes each state of it should serve by then.
const SERVED_BYTES_MIN: usize = 10;
/// What a state of such an automaton takes at least.
const LAZY_STATE_BYTES: usize = 512;

/// What reading an expression costs for each class of Unicode or within another class, as bytes of what it compiles to.
const CLASS_BYTES: usize = 2 << 10;
/// Looking for the other case of so many characters is as one byte.
const FOLDED_A_BYTE: usize = 16;
/// Characters of a class that is a negation, or made of others; and of one that has a name.
const CLASS_LARGE: usize = 0x11_0000;
const CLASS_NAMED: usize = CLASS_LARGE / 8;
/// What a state of an automaton takes, and what stands between those of a repetition.
const STATE_BYTES: usize = 24;

/// Why an expression is not taken.
#[derive(Debug)]
pub(super) enum PatternError {
    /// It means nothing: why, in the words of its parser.
    Syntax(String),
    /// It would come to more than is left.
    Large,
}

/// An expression that was read.
#[derive(Debug)]
pub(super) struct Priced {
    hir: Hir,
    /// What it is expected to come to.
    pub(super) bytes: usize,
}

impl Priced {
    /// Reads an expression that may come to so many bytes.
    pub(super) fn of(pattern: &str, most: usize) -> Result<Self, PatternError> {
        let syntax = |error: regex_syntax::Error| {
            // The last line says what is wrong; those before it point at the place.
            PatternError::Syntax(error.to_string().lines().last().unwrap_or("invalid").trim_start_matches("error: ").to_owned())
        };
        let ast = ast::parse::Parser::new().parse(pattern).map_err(|error| syntax(error.into()))?;
        let Ok(reading) = ast::visit(&ast, Reading::default());
        if reading > most {
            return Err(PatternError::Large);
        }
        let mut translator = regex_syntax::hir::translate::TranslatorBuilder::new().dot_matches_new_line(true).build();
        let hir = translator.translate(pattern, &ast).map_err(|error| syntax(error.into()))?;
        let bytes = reading.max(compiled_bytes(&hir));
        if bytes > most { Err(PatternError::Large) } else { Ok(Self { hir, bytes }) }
    }

    pub(super) fn compile(self) -> Result<Pattern, PatternError> {
        let whole = Hir::concat(vec![self.hir, Hir::look(Look::End)]);
        let config = thompson::Config::new().which_captures(WhichCaptures::None).nfa_size_limit(Some(UNEXPECTED_BYTES_MAX));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(&whole).map_err(|_| PatternError::Large)?;
        let config = DFA::config()
            .cache_capacity(LAZY_BYTES)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(CLEARED_MAX))
            .minimum_bytes_per_state(Some(SERVED_BYTES_MIN))
            .unicode_word_boundary(true);
        let states = nfa.states().len() as u64;
        let lazy = DFA::builder().configure(config).build_from_nfa(nfa.clone()).map_err(|_| PatternError::Large)?;
        let pike = PikeVM::new_from_nfa(nfa).map_err(|_| PatternError::Large)?;
        Ok(Pattern { lazy, pike, states, bytes: self.bytes })
    }
}

/// What it takes to read an expression: its parts of which a few characters can cost much.
#[derive(Default)]
struct Reading {
    classes: usize,
    /// Characters whose other case is looked for, where it is.
    characters: usize,
    folds: bool,
}

impl Reading {
    fn add(&mut self, characters: usize) {
        self.classes += 1;
        self.characters = self.characters.saturating_add(characters);
    }
}

impl ast::Visitor for Reading {
    type Output = usize;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<usize, Self::Err> {
        let folded = if self.folds { self.characters / FOLDED_A_BYTE } else { 0 };
        Ok((self.classes * CLASS_BYTES).saturating_add(folded))
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        let flags = match ast {
            Ast::Flags(set) => Some(&set.flags),
            Ast::Group(group) => match &group.kind {
                GroupKind::NonCapturing(flags) => Some(flags),
                _ => None,
            },
            Ast::ClassUnicode(_) | Ast::ClassPerl(_) => {
                self.add(CLASS_NAMED);
                None
            }
            _ => None,
        };
        let folds = |kind: &FlagsItemKind| *kind == FlagsItemKind::Flag(Flag::CaseInsensitive);
        self.folds |= flags.is_some_and(|flags| flags.items.iter().any(|item| folds(&item.kind)));
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        match item {
            ClassSetItem::Unicode(class) if !class.is_negated() => self.add(CLASS_NAMED),
            ClassSetItem::Perl(class) if !class.negated => self.add(CLASS_NAMED),
            ClassSetItem::Unicode(_) | ClassSetItem::Perl(_) | ClassSetItem::Bracketed(_) => self.add(CLASS_LARGE),
            ClassSetItem::Ascii(class) if class.negated => self.add(CLASS_LARGE),
            ClassSetItem::Range(range) => self.characters += (u32::from(range.end.c) - u32::from(range.start.c)) as usize,
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), Self::Err> {
        self.add(CLASS_LARGE);
        Ok(())
    }
}

/// About what an expression compiles to; it is nested no deeper than its parser lets it be.
fn compiled_bytes(hir: &Hir) -> usize {
    let all = |parts: &[Hir]| parts.iter().map(compiled_bytes).fold(0, usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE_BYTES,
        HirKind::Literal(literal) => literal.0.len() * STATE_BYTES,
        HirKind::Class(Class::Unicode(ranges)) if !ranges.is_ascii() => 256 + ranges.ranges().len() * STATE_BYTES,
        HirKind::Class(Class::Unicode(ranges)) => 2 * STATE_BYTES + ranges.ranges().len() * 8,
        HirKind::Class(Class::Bytes(ranges)) => 2 * STATE_BYTES + ranges.ranges().len() * 8,
        HirKind::Repetition(repeated) => {
            let times = repeated.max.unwrap_or_else(|| repeated.min.saturating_add(1)).max(1) as usize;
            compiled_bytes(&repeated.sub).saturating_add(2 * STATE_BYTES).saturating_mul(times)
        }
        HirKind::Capture(group) => compiled_bytes(&group.sub),
        HirKind::Concat(parts) => all(parts),
        HirKind::Alternation(parts) => all(parts).saturating_add(parts.len() * STATE_BYTES),
    }
}

/// A compiled expression, which a value matches as a whole.
#[derive(Debug)]
pub(super) struct Pattern {
    lazy: DFA,
    pike: PikeVM,
    states: u64,
    /// What it was expected to come to.
    pub(super) bytes: usize,
}

/// An expression of one question, with what it keeps between one value and the next.
#[derive(Debug)]
pub struct Regex {
    pattern: Arc<Pattern>,
    caches: Mutex<Caches>,
}

#[derive(Debug, Default)]
struct Caches {
    lazy: Option<LazyCache>,
    pike: Option<PikeCache>,
}

impl Clone for Regex {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.pattern))
    }
}

impl Regex {
    pub(super) fn new(pattern: Arc<Pattern>) -> Self {
        Self { pattern, caches: Mutex::default() }
    }

    /// Whether the whole value matches.
    pub(super) fn is_match(&self, value: &str, effort: &Effort) -> bool {
        let Pattern { lazy, pike, states, .. } = &*self.pattern;
        let input = Input::new(value).anchored(Anchored::Yes).earliest(true);
        effort.take_bytes(value.len());
        let mut caches = self.caches.lock();
        let cache = caches.lazy.get_or_insert_with(|| lazy.create_cache());
        let (before, cleared) = (cache.memory_usage(), cache.clear_count());
        let found = lazy.try_search_fwd(cache, &input);
        let from = if cache.clear_count() == cleared { before } else { 0 };
        let grown = cache.memory_usage().saturating_sub(from);
        if grown > 0 {
            // Each new state is made of all states of the expression, and then found again by each kind of byte.
            effort.take((1 + grown / LAZY_STATE_BYTES) as u64 * (4 + states / 4));
        }
        if let Ok(found) = found {
            return found.is_some();
        }
        effort.take(1 + value.len() as u64 * states / 16);
        let cache = caches.pike.get_or_insert_with(|| pike.create_cache());
        pike.is_match(cache, input)
    }
}

/// Expressions that were asked for lately, compiled.
#[derive(Debug, Default)]
pub struct Patterns(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_text: HashMap<Box<str>, (Arc<Pattern>, u64)>,
    bytes: usize,
    /// Counts what was asked for.
    turn: u64,
}

impl Patterns {
    pub(super) fn find(&self, text: &str) -> Option<Arc<Pattern>> {
        let mut kept = self.0.lock();
        kept.turn += 1;
        let turn = kept.turn;
        let (pattern, used) = kept.by_text.get_mut(text)?;
        *used = turn;
        Some(Arc::clone(pattern))
    }

    pub(super) fn keep(&self, text: &str, pattern: &Arc<Pattern>) {
        let takes = |text: &str, pattern: &Pattern| text.len() + pattern.bytes + KEPT_BESIDE_BYTES;
        let mut kept = self.0.lock();
        kept.turn += 1;
        let turn = kept.turn;
        if kept.by_text.insert(text.into(), (Arc::clone(pattern), turn)).is_none() {
            kept.bytes += takes(text, pattern);
        }
        while kept.bytes > KEPT_BYTES_MAX {
            let oldest = kept.by_text.iter().min_by_key(|(_, (_, used))| *used).map(|(text, _)| text.clone());
            let Some((text, (pattern, _))) = oldest.and_then(|text| kept.by_text.remove_entry(&text)) else { return };
            kept.bytes -= takes(&text, &pattern);
        }
    }
}

#[cfg(test)]
mod tests;
