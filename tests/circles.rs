//! No two files of `src` import each other in a circle.
//!
//! The graph is made of the sources as they are written: a file imports another one where its code, outside of tests, names
//! what that defines, by `use` or by a path, through whatever re-exports. `mod` and `pub use` alone import nothing, and
//! neither does a call of a method, whose type is known already. A name that a macro makes counts to the file that calls it.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

use proc_macro2::Spacing;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use syn::visit::Visit;

/// The circles that stay, each with all of its files, and why.
const STAY: [(&[&str], &str); 0] = [];

/// Names through so many re-exports are looked up.
const DEPTH_MAX: usize = 32;

/// The names of a path, first to last.
type Names = Vec<String>;
/// What a file takes from another: by both files, the paths as they are written.
type Imports = BTreeMap<(String, String), BTreeSet<String>>;

/// A module: what it defines, what it brings in, and what its code names.
#[derive(Debug, Default)]
struct Module {
    file: String,
    items: BTreeSet<String>,
    children: BTreeSet<String>,
    uses: Vec<Use>,
    paths: Vec<Names>,
}

/// One name of a `use`.
#[derive(Debug)]
struct Use {
    /// By which it is known here; `None`: all that is in there.
    name: Option<String>,
    path: Names,
    /// For others, who see it here.
    is_reexport: bool,
}

/// Where a path leads.
#[derive(Debug, PartialEq)]
enum Found {
    Module(Names),
    /// Defined in this file.
    Item(String),
}

/// The modules of a crate, by their paths.
#[derive(Debug, Default)]
struct Crate {
    modules: BTreeMap<Names, Module>,
}

impl Crate {
    /// Reads the files of a crate, by their paths in `src`, from `lib.rs` on.
    fn read(sources: &BTreeMap<String, String>) -> Self {
        let mut all = Self::default();
        all.read_file(Names::new(), "lib.rs", sources);
        all
    }

    fn read_file(&mut self, path: Names, file: &str, sources: &BTreeMap<String, String>) {
        let parsed = syn::parse_file(&sources[file]).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.read_module(path, file, &parsed.items, sources);
    }

    fn read_module(&mut self, path: Names, file: &str, items: &[syn::Item], sources: &BTreeMap<String, String>) {
        let mut module = Module { file: file.to_owned(), ..Module::default() };
        for item in items.iter().filter(|item| !is_of_tests(item_attributes(item))) {
            if let syn::Item::Mod(child) = item {
                let name = child.ident.to_string();
                let below: Names = path.iter().chain([&name]).cloned().collect();
                module.children.insert(name);
                if let Some((_, items)) = &child.content {
                    self.read_module(below, file, items, sources);
                } else {
                    let files = [format!("{}.rs", below.join("/")), format!("{}/mod.rs", below.join("/"))];
                    let found = files.iter().find(|file| sources.contains_key(*file));
                    let found = found.unwrap_or_else(|| panic!("{file}: no file of `mod {}`", below.join("::")));
                    self.read_file(below, found, sources);
                }
            } else {
                module.items.extend(defined(item).map(ToString::to_string));
                module.visit_item(item);
            }
        }
        self.modules.insert(path, module);
    }

    /// Where a path leads that is written in the module `at`; `None`: out of the crate, or to what is local.
    fn find(&self, at: &Names, path: &[String], depth: usize) -> Option<Found> {
        let (mut module, mut rest) = (at.clone(), path);
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" => module.clear(),
                "super" => drop(module.pop()),
                "self" => {}
                _ => break,
            }
            rest = after;
        }
        let is_relative = rest.len() == path.len();
        while let Some((name, after)) = rest.split_first() {
            match self.look_up(&module, name, after.is_empty(), depth) {
                Some(Found::Module(below)) => module = below,
                Some(item) => return Some(item),
                None if is_relative && rest.len() == path.len() => return None,
                None => return Some(Found::Item(self.modules[&module].file.clone())),
            }
            rest = after;
        }
        Some(Found::Module(module))
    }

    /// What a name is in a module. The last one of a path is an item rather than the module of its name.
    fn look_up(&self, at: &Names, name: &String, is_last: bool, depth: usize) -> Option<Found> {
        let depth = depth.checked_sub(1)?;
        let module = &self.modules[at];
        let item = || module.items.contains(name).then(|| Found::Item(module.file.clone()));
        let child = || module.children.contains(name).then(|| Found::Module(at.iter().chain([name]).cloned().collect()));
        let used = || {
            let named = module.uses.iter().filter(|one| one.name.as_ref() == Some(name));
            named.filter(|one| one.path != [name.clone()]).find_map(|one| self.find(at, &one.path, depth))
        };
        let all = || {
            let all = module.uses.iter().filter(|one| one.name.is_none()).map(|one| self.find(at, &one.path, depth));
            all.flatten().find_map(|found| match found {
                Found::Module(below) => self.look_up(&below, name, is_last, depth),
                Found::Item(_) => None,
            })
        };
        let own = if is_last { item().or_else(used).or_else(child) } else { child().or_else(item).or_else(used) };
        own.or_else(all)
    }

    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (at, module) in &self.modules {
            let uses = module.uses.iter().filter(|one| !one.is_reexport).map(|one| &one.path);
            for path in uses.chain(&module.paths) {
                if let Some(Found::Item(file)) = self.find(at, path, DEPTH_MAX).filter(|found| *found != Found::Item(module.file.clone())) {
                    imports.entry((module.file.clone(), file)).or_default().insert(path.join("::"));
                }
            }
        }
        imports
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_of_tests(item_attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            syn::ImplItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_of_tests(attributes) {
            syn::visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_of_tests(&field.attrs) {
            syn::visit::visit_field(self, field);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast syn::Stmt) {
        let attributes = match statement {
            syn::Stmt::Local(local) => &local.attrs,
            syn::Stmt::Macro(called) => &called.attrs,
            syn::Stmt::Expr(syn::Expr::Call(call), _) => &call.attrs,
            syn::Stmt::Expr(syn::Expr::MethodCall(call), _) => &call.attrs,
            syn::Stmt::Expr(syn::Expr::Block(block), _) => &block.attrs,
            _ => &Vec::new(),
        };
        if !is_of_tests(attributes) {
            syn::visit::visit_stmt(self, statement);
        }
    }

    fn visit_item_use(&mut self, one: &'ast syn::ItemUse) {
        let is_reexport = !matches!(one.vis, syn::Visibility::Inherited);
        if one.leading_colon.is_none() {
            brought(&one.tree, &mut Names::new(), &mut |name, path| self.uses.push(Use { name, path, is_reexport }));
        }
    }

    /// For whom something is visible is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }

    /// What a macro or an attribute is given, which can be anything: a path of several names, or a single one that is a type
    /// or is called.
    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.visit_tokens(tokens.clone());
    }
}

impl Module {
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_colon =
            |at: usize, spacing| matches!(tokens.get(at), Some(TokenTree::Punct(one)) if one.as_char() == ':' && one.spacing() == spacing);
        let joins = |at: usize| is_colon(at, Spacing::Joint) && is_colon(at + 1, Spacing::Alone);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if let TokenTree::Group(group) = token {
                self.visit_tokens(group.stream());
            }
            let mut path = Names::new();
            let is_field = at > 0 && matches!(&tokens[at - 1], TokenTree::Punct(one) if one.as_char() == '.');
            while let Some(TokenTree::Ident(name)) = tokens.get(at) {
                path.push(name.to_string());
                at += 1;
                if !(joins(at) && matches!(tokens.get(at + 2), Some(TokenTree::Ident(_)))) {
                    break;
                }
                at += 2;
            }
            let is_called = || matches!(tokens.get(at), Some(TokenTree::Group(_)));
            let is_named = |name: &String| name.starts_with(char::is_uppercase) || is_called();
            match path.as_slice() {
                [] => at += 1,
                [name] if is_field || !is_named(name) => {}
                _ => self.paths.push(path),
            }
        }
    }
}

/// The names that a tree of `use` brings in, with the whole path of each.
fn brought(tree: &syn::UseTree, path: &mut Names, each: &mut impl FnMut(Option<String>, Names)) {
    let with = |name: &syn::Ident| path.iter().cloned().chain([name.to_string()]).filter(|name| name != "self").collect::<Names>();
    match tree {
        syn::UseTree::Path(one) => {
            path.push(one.ident.to_string());
            brought(&one.tree, path, each);
            path.pop();
        }
        syn::UseTree::Name(one) => {
            let whole = with(&one.ident);
            each(whole.last().cloned(), whole);
        }
        syn::UseTree::Rename(one) => each(Some(one.rename.to_string()), with(&one.ident)),
        syn::UseTree::Glob(_) => each(None, path.clone()),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| brought(tree, path, each)),
    }
}

fn is_of_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|one| one.path().is_ident("cfg") && one.parse_args::<syn::Ident>().is_ok_and(|what| what == "test"))
}

fn item_attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::ExternCrate(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Union(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item defines, if it does.
fn defined(item: &syn::Item) -> Option<&syn::Ident> {
    match item {
        syn::Item::Const(item) => Some(&item.ident),
        syn::Item::Enum(item) => Some(&item.ident),
        syn::Item::Fn(item) => Some(&item.sig.ident),
        syn::Item::Macro(item) => item.ident.as_ref(),
        syn::Item::Static(item) => Some(&item.ident),
        syn::Item::Struct(item) => Some(&item.ident),
        syn::Item::Trait(item) => Some(&item.ident),
        syn::Item::Type(item) => Some(&item.ident),
        syn::Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

/// The sets of files that reach each other, sorted.
fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (from, to) in imports.keys() {
        next.entry(from).or_default().push(to);
    }
    let mut reached: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for file in next.keys() {
        let all = reached.entry(file).or_default();
        let mut todo = vec![*file];
        while let Some(one) = todo.pop() {
            todo.extend(next.get(one).into_iter().flatten().filter(|to| all.insert(to)));
        }
    }
    let leads = |from: &String, to: &String| reached.get(from).is_some_and(|all| all.contains(to));
    let mutual = |file| reached.keys().copied().filter(|to| leads(file, to) && leads(to, file)).cloned().collect();
    let all: BTreeSet<Vec<String>> = reached.keys().copied().map(mutual).filter(|circle: &Vec<String>| circle.len() > 1).collect();
    all.into_iter().collect()
}

/// A circle in words: its files, and which names make it.
fn shown(circle: &[String], imports: &Imports) -> String {
    let mut text = circle.join(", ");
    for ((from, to), paths) in imports.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to)) {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        write!(text, "\n    {from} takes from {to}: {}", paths.join(", ")).unwrap();
    }
    text
}

fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                sources.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    sources
}

/// What is wrong with these circles, where those of a list may stay.
fn wrong(imports: &Imports, stay: &[(&[&str], &str)]) -> Vec<String> {
    let circles = circles(imports);
    let new = circles.iter().filter(|circle| !stay.iter().any(|(files, _)| files == circle));
    let gone = stay.iter().filter(|(files, _)| !circles.iter().any(|circle| files == circle));
    let gone = gone.map(|(files, reason)| format!("no circle any more, or another one: {} ({reason})", files.join(", ")));
    new.map(|circle| shown(circle, imports)).chain(gone).collect()
}

#[test]
fn no_two_files_import_each_other_in_a_circle() {
    let imports = Crate::read(&sources()).imports();
    assert!(imports.len() > 300, "the sources were not understood: {imports:?}");
    let wrong = wrong(&imports, &STAY);
    assert!(wrong.is_empty(), "circles of imports, or a list of them in tests/circles.rs that is not so:\n{}", wrong.join("\n"));
}

/// The circles of a made-up crate.
#[track_caller]
fn check(what: &str, files: &[(&str, &str)], expected: &[&[&str]]) {
    let sources: BTreeMap<String, String> = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    let imports = Crate::read(&sources).imports();
    assert_eq!(circles(&imports), expected, "{what}: {imports:?}");
}

#[test]
fn circles_are_found_however_a_name_is_written() {
    const TOP: (&str, &str) = ("lib.rs", "pub mod a;");
    let pair: &[&[&str]] = &[&["a/b.rs", "a/mod.rs"]];
    let takes = ("a/b.rs", "use super::A; pub struct B; pub fn g() {} pub fn of(_: A) {}");
    for (what, text) in [
        ("a use", "mod b; use b::B; pub struct A(B);"),
        ("a use from the crate", "mod b; use crate::a::b::B; pub struct A(B);"),
        ("a use of self, in a group", "mod b; use self::b::{B, g}; pub struct A(B);"),
        ("another name", "mod b; use b::B as Other; pub struct A(Other);"),
        ("all that is in there", "mod b; use b::*; pub struct A(B);"),
        ("a path", "mod b; pub struct A; pub fn f() { b::g() }"),
        ("a path from the crate", "mod b; pub struct A; pub fn f() -> crate::a::b::B { todo() }"),
        ("a path of a module that is used", "mod b; pub struct A; mod c { use super::b; fn f() { b::g() } }"),
        ("what is also exported", "mod b; pub use b::B; pub struct A(B);"),
        ("what a macro is given", "mod b; pub struct A; pub fn f() { assert!(1 > b::g()); }"),
        ("what a macro is given by one name", "mod b; use b::*; pub struct A; pub fn f() { assert!(!g()); }"),
        ("what an attribute is given", "mod b; #[arg(value_parser = b::g)] pub struct A;"),
        ("what is used in a function", "mod b; pub struct A; pub fn f() { use b::g; g() }"),
        ("a part that another macro makes", "mod b; pub struct A; pub fn f(_: b::Made) {}"),
    ] {
        check(what, &[TOP, ("a/mod.rs", text), takes], pair);
    }
    for (what, text) in [
        ("mod", "mod b; pub struct A;"),
        ("what is exported", "mod b; pub use b::B; pub(crate) use b::g; pub struct A;"),
        ("a method", "mod b; pub struct A; pub fn f(a: A) { a.g() }"),
        ("for whom it is visible", "mod b; pub(in crate::a::b) struct A;"),
        ("a name of one's own", "mod b; pub struct A; fn g() {} pub fn f() { g() }"),
        ("a name of a foreign crate", "mod b; pub struct A; use foreign::b::B; pub fn f(_: B) {}"),
        ("a test", "mod b; pub struct A; #[cfg(test)] mod tests { use super::b::B; }"),
        ("a function for tests", "mod b; pub struct A; impl A { #[cfg(test)] fn f() { b::g() } }"),
        ("a call in tests", "mod b; pub struct A; pub fn f() { #[cfg(test)] b::g(); }"),
    ] {
        check(what, &[TOP, ("a/mod.rs", text), takes], &[]);
    }
}

#[test]
fn what_is_exported_counts_to_the_file_that_defines_it() {
    let b = ("a/b.rs", "use crate::a::C; pub struct B;");
    let c = ("a/c.rs", "use crate::B; pub struct C;");
    let exports = ("a/mod.rs", "mod b; mod c; pub use b::B; pub use c::C;");
    check("twice exported", &[("lib.rs", "mod a; pub use a::B;"), exports, b, c], &[&["a/b.rs", "a/c.rs"]]);
    let c = ("a/c.rs", "pub struct C;");
    check("one way", &[("lib.rs", "mod a; pub use a::B;"), exports, b, c], &[]);
    let three = [
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::a::A; pub struct C;"),
        ("d.rs", "use crate::a::A;"),
    ];
    check("three files", &three, &[&["a.rs", "b.rs", "c.rs"]]);
}

#[test]
fn a_circle_stays_only_where_the_list_has_all_of_it() {
    let pair = |from: &str, to: &str| ((from.to_owned(), to.to_owned()), BTreeSet::from(["super::Name".to_owned()]));
    let imports: Imports = [pair("a.rs", "b.rs"), pair("b.rs", "a.rs"), pair("c.rs", "a.rs")].into();
    assert_eq!(wrong(&imports, &[(&["a.rs", "b.rs"], "so")]), Vec::<String>::new());
    let found = "a.rs, b.rs\n    a.rs takes from b.rs: super::Name\n    b.rs takes from a.rs: super::Name";
    assert_eq!(wrong(&imports, &[]), [found]);
    let gone = "no circle any more, or another one: a.rs, b.rs, c.rs (so)";
    assert_eq!(wrong(&imports, &[(&["a.rs", "b.rs", "c.rs"], "so")]), [found, gone]);
}
