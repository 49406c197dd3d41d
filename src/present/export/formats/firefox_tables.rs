//! The tables that all threads of a Firefox profile share: stacks, frames, functions, sources, strings.
//!
//! Invariant: all columns of a table have the table's length; a stack's prefix precedes it.

use std::collections::HashMap;

use serde::Serialize;

use crate::present::export::json::{Each, Same, same};
use crate::present::export::stacks::{Frame, Stacks};
use crate::present::export::trie::{StackId, Trie};

/// Kinds of frames with names and colours; the first one is the default category.
pub(crate) const CATEGORIES: [(&str, &str, &str); 5] = [
    ("unknown", "Unknown", "grey"),
    ("own", "Own code", "green"),
    ("std", "Standard library", "blue"),
    ("runtime", "Runtime", "purple"),
    ("foreign", "Foreign", "orange"),
];

/// A row of `modules`.
pub(crate) struct Module {
    /// The id in the database.
    pub id: i64,
    /// The path of the file.
    pub path: String,
    /// Its build id.
    pub build_id: Option<String>,
}

impl Module {
    /// The file name.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Interned strings.
#[derive(Default)]
struct Strings<'a> {
    ids: HashMap<&'a str, usize>,
    all: Vec<&'a str>,
}

impl<'a> Strings<'a> {
    fn intern(&mut self, text: &'a str) -> usize {
        *self.ids.entry(text).or_insert_with(|| {
            self.all.push(text);
            self.all.len() - 1
        })
    }
}

/// A function, which is identified by name, source file and module.
type Function = (usize, Option<usize>, Option<usize>);

/// Rows that the tables of all threads are made of.
#[derive(Default)]
struct Names<'a> {
    strings: Strings<'a>,
    sources: Vec<usize>,
    functions: Vec<Function>,
    /// The function of each frame.
    function_of: Vec<usize>,
}

impl<'a> Names<'a> {
    fn of(frames: &'a [Frame], modules: &[Module]) -> Self {
        let mut names = Self::default();
        let libs: HashMap<i64, usize> = modules.iter().map(|module| module.id).zip(0..).collect();
        let mut sources: HashMap<&str, usize> = HashMap::new();
        let mut functions: HashMap<Function, usize> = HashMap::new();
        for frame in frames {
            let name = names.strings.intern(&frame.sym);
            let source = frame.file.as_deref().map(|file| {
                *sources.entry(file).or_insert_with(|| {
                    names.sources.push(names.strings.intern(file));
                    names.sources.len() - 1
                })
            });
            let lib = frame.module.and_then(|module| libs.get(&module)).copied();
            let function = (name, source, lib);
            let at = *functions.entry(function).or_insert(names.functions.len());
            if at == names.functions.len() {
                names.functions.push(function);
            }
            names.function_of.push(at);
        }
        names
    }
}

/// The tables that all threads share.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shared<'a, S, F, U, R, O> {
    stack_table: S,
    frame_table: F,
    func_table: U,
    resource_table: R,
    native_symbols: NativeSymbols,
    sources: O,
    string_array: Vec<&'a str>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct NativeSymbols {
    lib_index: [(); 0],
    address: [(); 0],
    name: [(); 0],
    function_size: [(); 0],
    length: usize,
}

pub(crate) fn shared<'a>(
    stacks: &'a Stacks<'_>,
    trie: &'a Trie,
    modules: &'a [Module],
) -> impl Serialize {
    let mut names = Names::of(&stacks.frames, modules);
    let resources = modules.iter().map(|module| names.strings.intern(module.name())).collect();
    Shared {
        stack_table: StackTable {
            frame: &trie.frame,
            prefix: &trie.below,
            length: trie.frame.len(),
        },
        frame_table: frame_table(&stacks.frames, names.function_of),
        func_table: func_table(&names.functions),
        resource_table: resource_table(resources),
        native_symbols: NativeSymbols::default(),
        sources: sources(names.sources),
        string_array: names.strings.all,
    }
}

#[derive(Serialize)]
struct StackTable<'a> {
    frame: &'a [u32],
    prefix: &'a [Option<StackId>],
    length: usize,
}

fn frame_table(frames: &[Frame], func: Vec<usize>) -> impl Serialize {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct FrameTable<L, C, D> {
        func: Vec<usize>,
        line: L,
        category: C,
        inline_depth: D,
        address: Same<i32>,
        subcategory: Same<u32>,
        native_symbol: Same<()>,
        #[serde(rename = "innerWindowID")]
        inner_window_id: Same<()>,
        column: Same<()>,
        length: usize,
    }
    let length = frames.len();
    let category = |kind: &str| CATEGORIES.iter().position(|(own, ..)| *own == kind).unwrap_or(0);
    FrameTable {
        func,
        line: Each(frames.iter().map(|frame| frame.line)),
        category: Each(frames.iter().map(move |frame| category(&frame.kind))),
        inline_depth: Each(frames.iter().map(|frame| u8::from(frame.inlined))),
        address: same(-1, length),
        subcategory: same(0, length),
        native_symbol: same((), length),
        inner_window_id: same((), length),
        column: same((), length),
        length,
    }
}

fn func_table(functions: &[Function]) -> FuncTable {
    let length = functions.len();
    FuncTable {
        name: functions.iter().map(|(name, ..)| *name).collect(),
        source: functions.iter().map(|(_, source, _)| *source).collect(),
        resource: functions.iter().map(|(.., lib)| lib.map_or(-1, |lib| lib as i64)).collect(),
        is_js: same(false, length),
        relevant_for_js: same(false, length),
        line_number: same((), length),
        column_number: same((), length),
        length,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FuncTable {
    name: Vec<usize>,
    source: Vec<Option<usize>>,
    resource: Vec<i64>,
    #[serde(rename = "isJS")]
    is_js: Same<bool>,
    #[serde(rename = "relevantForJS")]
    relevant_for_js: Same<bool>,
    line_number: Same<()>,
    column_number: Same<()>,
    length: usize,
}

#[derive(Serialize)]
struct ResourceTable<L> {
    lib: L,
    name: Vec<usize>,
    host: Same<()>,
    r#type: Same<u32>,
    length: usize,
}

/// A resource per module.
fn resource_table(name: Vec<usize>) -> impl Serialize {
    let length = name.len();
    let (host, r#type) = (same((), length), same(1, length));
    ResourceTable { lib: Each(0..length), name, host, r#type, length }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sources {
    filename: Vec<usize>,
    id: Same<()>,
    start_line: Same<u32>,
    start_column: Same<u32>,
    #[serde(rename = "sourceMapURL")]
    source_map_url: Same<()>,
    length: usize,
}

fn sources(filename: Vec<usize>) -> Sources {
    let length = filename.len();
    Sources {
        filename,
        id: same((), length),
        start_line: same(1, length),
        start_column: same(1, length),
        source_map_url: same((), length),
        length,
    }
}
