//! The key table: every key in every context, with its texts for footer and help.
//!
//! Invariant: every action has a line here; no key is handled anywhere else.

use crossterm::event::{KeyCode, KeyModifiers};

use crate::tui::input::action::{Action, Context};
use crate::tui::input::key::Key;

/// Where a binding is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// In the footer, first.
    First,
    /// In the footer if there is room.
    Footer,
    /// Only in help.
    Help,
}

/// A line of the key table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The context.
    pub context: Context,
    /// The keys, the one to show first.
    pub keys: &'static [Key],
    /// The action.
    pub action: Action,
    /// Label for the footer.
    pub label: &'static str,
    /// Text for help.
    pub help: &'static str,
    /// Whether it is in the footer.
    pub rank: Rank,
}

const fn char_key(c: char) -> Key {
    plain(KeyCode::Char(c))
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), modifiers: KeyModifiers::CONTROL }
}

const fn alt(code: KeyCode) -> Key {
    Key { code, modifiers: KeyModifiers::ALT }
}

const fn plain(code: KeyCode) -> Key {
    Key { code, modifiers: KeyModifiers::NONE }
}

const fn ctrl_key(code: KeyCode) -> Key {
    Key { code, modifiers: KeyModifiers::CONTROL }
}

macro_rules! bindings {
    ($($context:ident $rank:ident $action:ident [$($key:expr),+] $label:literal $help:literal;)+) => {
        /// The key table, the most useful bindings of a context first.
        pub static BINDINGS: &[Binding] = &[$(Binding {
            context: Context::$context,
            keys: &[$($key),+],
            action: Action::$action,
            label: $label,
            help: $help,
            rank: Rank::$rank,
        }),+];
    };
}

bindings! {
    Suspects First Activate [plain(KeyCode::Enter)] "backtrace" "go to the suspect's backtrace";
    Suspects First ShowFlame [char_key('f')] "flame" "flamegraph of this suspect";
    Suspects First ShowBlocks [char_key('b')] "blocks" "its blocks, one per row";
    Suspects Footer Explain [char_key('v')] "why" "explain the score and the label";
    Suspects Footer AcceptSuspect [char_key('a')] "accept" "accept this suspect: hide it in every recording from now on";
    Suspects Help ToggleAccepted [char_key('A')] "accepted" "show or hide accepted suspects";
    Suspects Help OpenInEditor [char_key('o')] "editor" "open its source line in $EDITOR";
    Suspects Help Copy [char_key('y')] "copy" "copy its description";
    Suspects Help CopyAll [char_key('Y')] "copy all" "copy its description and backtrace";

    Detail First Activate [plain(KeyCode::Enter), char_key('s')] "source" "show the frame's source line";
    Detail First OpenInEditor [char_key('o')] "editor" "open the line in $EDITOR";
    Detail First FlameThrough [char_key('t')] "through" "flamegraph of everything allocated through this function";
    Detail Footer ToggleLibraryFrames [char_key('.')] "expand" "collapse or expand library and runtime frames";
    Detail Footer ShowFlame [char_key('f')] "flame" "flamegraph of this backtrace";
    Detail Footer ShowBlocks [char_key('b')] "blocks" "blocks of this backtrace, one per row";
    Detail Help Copy [char_key('y')] "copy" "copy the frame's source location";
    Detail Help CopyAll [char_key('Y')] "copy all" "copy the backtrace";
    Detail Footer Back [plain(KeyCode::Esc), plain(KeyCode::Backspace), char_key('h'), plain(KeyCode::Left)] "back" "back to the list";

    Flame First Activate [plain(KeyCode::Enter)] "zoom" "zoom into the cell, or into a cell of small functions";
    Flame First Back [plain(KeyCode::Backspace), plain(KeyCode::Esc)] "zoom out" "zoom out one step";
    Flame First NextMeasure [char_key('m')] "measure" "next measure: live at end, live at peak, allocated bytes, allocations, temporary, growth, live blocks";
    Flame First Search [char_key('/')] "search" "highlight functions that match a pattern";
    Flame Footer ToggleBottomUp [char_key('i')] "bottom-up" "switch between top-down and bottom-up";
    Flame Footer Sandwich [char_key('=')] "callers" "callers above the function, callees below it";
    Flame Footer KeepThrough [char_key('K')] "keep" "filter: only call paths through this function";
    Flame Footer ExcludeThrough [char_key('D')] "exclude" "filter: only call paths that avoid this function";
    Flame Footer HideFunction [char_key('H')] "hide" "hide this function; its callees move up";
    Flame Footer RootAtFunction [char_key('F')] "from here" "show this function as the outermost";
    Flame Footer ToggleLibraryFrames [char_key('.')] "expand" "collapse or expand library and runtime frames";
    Flame Footer ToggleRecursion [char_key('r')] "recursion" "collapse or expand recursive functions";
    Flame Help Flip [char_key('I')] "flip" "roots at the top or at the bottom";
    Flame Help ResetZoom [char_key('z')] "zoom reset" "zoom out completely";
    Flame Help Next [char_key('n')] "next" "next match";
    Flame Help Previous [char_key('N')] "previous" "previous match";
    Flame Help ShowSource [char_key('s')] "source" "show the function's source";
    Flame Help OpenInEditor [char_key('o')] "editor" "open the function's line in $EDITOR";
    Flame Help ShowBlocks [char_key('b')] "blocks" "blocks allocated through this function, one per row";
    Flame Help Copy [char_key('y')] "copy" "copy the function's name";
    Flame Help CopyAll [char_key('Y')] "copy path" "copy the path to the cell";

    Tree First Activate [plain(KeyCode::Enter), char_key(' ')] "expand" "expand or collapse the line";
    Tree First ExpandToFork [char_key('E')] "to branch" "expand down to the next branch";
    Tree First ExpandHeaviest [char_key('O')] "heaviest" "expand the heaviest path";
    Tree First NextMeasure [char_key('m')] "measure" "next measure: live at end, live at peak, allocated bytes, allocations, temporary, growth, live blocks";
    Tree First Search [char_key('/')] "search" "go to functions that match a pattern";
    Tree Footer ToggleBottomUp [char_key('i')] "bottom-up" "switch between top-down and bottom-up";
    Tree Footer ShowFlame [char_key('f')] "flame" "this function in the flamegraph";
    Tree Footer KeepThrough [char_key('K')] "keep" "filter: only call paths through this function";
    Tree Footer ExcludeThrough [char_key('D')] "exclude" "filter: only call paths that avoid this function";
    Tree Footer HideFunction [char_key('H')] "hide" "hide this function; its callees move up";
    Tree Footer RootAtFunction [char_key('F')] "from here" "show this function as the outermost";
    Tree Footer ToggleLibraryFrames [char_key('.')] "expand" "collapse or expand library and runtime frames";
    Tree Footer ToggleRecursion [char_key('r')] "recursion" "collapse or expand recursive functions";
    Tree Help CollapseAll [char_key('z')] "collapse all" "collapse all lines";
    Tree Help Back [plain(KeyCode::Backspace), plain(KeyCode::Esc)] "collapse" "collapse the line, or go to its parent";
    Tree Help Next [char_key('n')] "next" "next match";
    Tree Help Previous [char_key('N')] "previous" "previous match";
    Tree Help ShowSource [char_key('s')] "source" "show the function's source";
    Tree Help OpenInEditor [char_key('o')] "editor" "open the function's line in $EDITOR";
    Tree Help ShowBlocks [char_key('b')] "blocks" "blocks allocated through this function, one per row";
    Tree Help Copy [char_key('y')] "copy" "copy the function's name";
    Tree Help CopyAll [char_key('Y')] "copy path" "copy the path to the line";

    Time First OtherCursor [char_key(' '), plain(KeyCode::Tab)] "other cursor" "move the other end of the range";
    Time First Activate [plain(KeyCode::Enter)] "allocated" "filter: allocated in the range, freed or not";
    Time First FilterLiveAtCursor [char_key('a')] "live here" "filter: live at the cursor";
    Time First FilterLiveThroughout [char_key('b')] "live at both" "filter: live throughout the range";
    Time First FilterSurvivors [char_key('w')] "survivors" "filter: allocated in the range and live at the end";
    Time First FilterLiveAtPeak [char_key('p')] "at peak" "filter: live at the peak";
    Time Footer ClearTimeFilter [char_key('z')] "all times" "remove the moment or range from the filters";
    Time Footer ToggleStacking [char_key('s')] "sites" "stack the largest sites, or show only the total";
    Time Footer ShowFlame [char_key('f')] "flame" "the selected allocations as a flamegraph";
    Time Footer Next [char_key('n')] "next mark" "move the cursor to the next mark";
    Time Help Previous [char_key('N')] "previous mark" "move the cursor to the previous mark";

    Histograms First Activate [plain(KeyCode::Enter)] "filter" "filter: only the allocations of this bar";
    Histograms First NextKind [plain(KeyCode::Tab), char_key(' ')] "sizes, lifetimes, ages" "sizes, lifetimes of freed blocks, ages of live ones";
    Histograms First NextMeasure [char_key('m')] "bytes or blocks" "bars by bytes or by blocks";
    Histograms Footer ShowFlame [char_key('f')] "flame" "flamegraph of this bar's blocks";
    Histograms Footer ShowBlocks [char_key('b')] "blocks" "this bar's blocks, one per row";
    Histograms Help Copy [char_key('y')] "copy" "copy the histogram";

    Compare First Activate [plain(KeyCode::Enter)] "open" "show all figures of the site, zoom into the cell, or expand the line";
    Compare First NextKind [plain(KeyCode::Tab), char_key(' ')] "list, flame, tree" "show as a list, a flamegraph or a tree";
    Compare First NextState [char_key('w')] "only new …" "show only new, grown, shrunk or gone sites; again: all";
    Compare First NextRate [char_key('n')] "per time" "divide by the length of the recordings: per second, minute or hour; again: totals";
    Compare First NextMeasure [char_key('m')] "measure" "next measure: live bytes, live blocks, allocated bytes, allocations";
    Compare Footer Search [char_key('/')] "filter" "show only call paths through a function or file that matches";
    Compare Footer ToggleBottomUp [char_key('i')] "bottom-up" "switch between top-down and bottom-up";
    Compare Footer ShowBlocks [char_key('b')] "blocks" "blocks of this database allocated through the function, one per row";
    Compare Help Explain [char_key('v')] "figures" "all figures of the selected site";
    Compare Help ShowSource [char_key('s')] "source" "show the function's source";
    Compare Help OpenInEditor [char_key('o')] "editor" "open the function's line in $EDITOR";
    Compare Help Copy [char_key('y')] "copy" "copy the function's name";
    Compare Help CopyAll [char_key('Y')] "copy all" "copy all figures of the site";
    Compare Help RunAgain [char_key('R')] "run again" "compare again";
    Compare Help Back [plain(KeyCode::Backspace), plain(KeyCode::Esc)] "back" "zoom out, collapse the line, or show all";

    Rows First Activate [plain(KeyCode::Enter)] "open" "open the row's backtrace, its source line, or the rows of its group";
    Rows First SortDescending [char_key('s')] "sort" "sort by the column, largest first; again: unsorted";
    Rows First FilterColumn [char_key('/')] "filter" "filter by the column: >4K, 1m..10m, ~regex, text, null";
    Rows First ShowFlame [char_key('f')] "flame" "flamegraph of these rows";
    Rows Footer GroupByColumn [char_key('t')] "group" "group by the column: rows and bytes per value";
    Rows Footer ShowCell [char_key(' '), char_key('v')] "cell" "show the whole cell";
    Rows Footer FilterByCell [char_key('&')] "same value" "filter by the value at the cursor";
    Rows Footer FilterByResult [char_key('>')] "as filter" "show only these backtraces in all views";
    Rows Help SortAscending [char_key('S')] "sort up" "sort by the column, smallest first; again: unsorted";
    Rows Help HideColumn [char_key('-')] "hide" "hide the column";
    Rows Help ResetColumns [char_key('_')] "show all" "show hidden columns; remove sorting and column filters";
    Rows Help PinColumn [char_key('p')] "pin" "pin the column to the left edge, or unpin it";
    Rows Help WidenColumn [char_key('.')] "wider" "make the column wider";
    Rows Help NarrowColumn [char_key(',')] "narrower" "make the column narrower";
    Rows Help Copy [char_key('y')] "copy" "copy the cell";
    Rows Help CopyAll [char_key('Y')] "copy row" "copy the row, columns separated by tabs";
    Rows Footer Back [plain(KeyCode::Esc), plain(KeyCode::Backspace)] "back" "back to the rows before grouping";

    Results Footer NextTab [char_key(']')] "next tab" "next result";
    Results Help PreviousTab [char_key('[')] "previous tab" "previous result";
    Results Help CloseTab [char_key('w')] "close" "close the result";
    Rows Help RunAgain [char_key('R'), plain(KeyCode::F(5))] "run again" "run the query again";
    Results First NextPane [plain(KeyCode::Tab), char_key('i')] "editor" "go to the editor";

    Completions First AcceptCompletion [plain(KeyCode::Enter), plain(KeyCode::Tab)] "accept" "insert the completion";
    Completions First Up [plain(KeyCode::Up), ctrl('p')] "up" "previous completion";
    Completions First Down [plain(KeyCode::Down), ctrl('n')] "down" "next completion";
    Completions First Back [plain(KeyCode::Esc)] "close" "close the completions";

    Editor First RunStatement [ctrl('j'), alt(KeyCode::Enter), plain(KeyCode::F(5))] "run" "run the statement at the cursor";
    Editor First Complete [plain(KeyCode::Tab), ctrl(' ')] "complete" "complete tables, columns, functions and keywords";
    Editor First Back [plain(KeyCode::Esc)] "leave" "leave the editor";
    Editor Footer RunAll [plain(KeyCode::F(6)), ctrl('g')] "run all" "run all statements, one result tab each";
    Editor Footer OlderStatement [ctrl_key(KeyCode::Up), alt(KeyCode::Up)] "older" "previous statement in the history";
    Editor Help NewerStatement [ctrl_key(KeyCode::Down), alt(KeyCode::Down)] "newer" "next statement in the history";
    Editor Footer FormatSql [plain(KeyCode::F(4)), ctrl('l')] "format" "format the SQL";
    Editor Footer EditInEditor [ctrl('o'), plain(KeyCode::F(3))] "$EDITOR" "edit the SQL in $EDITOR";
    Editor Help Export [ctrl('s')] "export" "export the result to a file: csv, json, md, folded, svg";
    Editor Help Queries [ctrl('t')] "queries" "choose a built-in query";
    Editor Help Help [plain(KeyCode::F(1))] "help" "this page";

    Source First OpenInEditor [char_key('o')] "editor" "open the line in $EDITOR";
    Source First FlameThrough [char_key('t')] "through" "flamegraph of everything allocated through this function";
    Source Help Copy [char_key('y')] "copy" "copy the source location";
    Text First Back [plain(KeyCode::Esc), char_key('q'), plain(KeyCode::Enter), plain(KeyCode::Backspace), char_key('?'), plain(KeyCode::F(1))] "close" "close";
    Text Help Copy [char_key('y')] "copy" "copy the text";

    Picker First Activate [plain(KeyCode::Enter)] "choose" "choose the selected line";
    Picker Help Up [plain(KeyCode::Up), ctrl('p')] "up" "the line above";
    Picker Help Down [plain(KeyCode::Down), ctrl('n')] "down" "the line below";
    Picker Help PageUp [plain(KeyCode::PageUp)] "page up" "a page up";
    Picker Help PageDown [plain(KeyCode::PageDown)] "page down" "a page down";
    Picker First Back [plain(KeyCode::Esc)] "close" "close without choosing";

    Prompt First Activate [plain(KeyCode::Enter)] "accept" "accept the input";
    Prompt Help Down [plain(KeyCode::Down), plain(KeyCode::Tab)] "next field" "the field below";
    Prompt Help Up [plain(KeyCode::Up), plain(KeyCode::BackTab)] "previous field" "the field above";
    Prompt First Back [plain(KeyCode::Esc)] "cancel" "close without a change";

    Motion Help Up [plain(KeyCode::Up), char_key('k')] "up" "up";
    Motion Help Down [plain(KeyCode::Down), char_key('j')] "down" "down";
    Motion Help Left [plain(KeyCode::Left), char_key('h')] "left" "left";
    Motion Help Right [plain(KeyCode::Right), char_key('l')] "right" "right";
    Motion Help First [plain(KeyCode::Home), char_key('g')] "first" "to the beginning";
    Motion Help Last [plain(KeyCode::End), char_key('G')] "last" "to the end";
    Motion Help PageUp [plain(KeyCode::PageUp), ctrl('b')] "page up" "a page up";
    Motion Help PageDown [plain(KeyCode::PageDown), ctrl('f')] "page down" "a page down";
    Motion Help HalfPageUp [ctrl('u')] "half up" "half a page up";
    Motion Help HalfPageDown [ctrl('d')] "half down" "half a page down";

    Global First Queries [char_key('c')] "queries" "choose a built-in query, for example: never freed, older than …";
    Global Footer AddFilter [char_key('+')] "filter" "add a filter to all views: age, size, thread, crate, pattern …";
    Global Footer Undo [char_key('u')] "undo" "undo the last change of the filters";
    Global Help Redo [char_key('U'), ctrl('r')] "redo" "redo the change that was undone";
    Global Footer RemoveFilter [char_key('x')] "remove" "remove the last filter";
    Global Help ClearFilters [char_key('X')] "clear" "remove all filters";
    Global Help FilterNeverFreed [char_key('L')] "never freed" "filter: only blocks that were never freed";
    Global Footer ShowSql [char_key('e')] "SQL" "open the SQL of this view in the editor";
    Global Footer NextPane [plain(KeyCode::Tab), plain(KeyCode::BackTab)] "pane" "go to the other pane";
    Global Help ViewSuspects [char_key('1'), alt(KeyCode::Char('1'))] "suspects" "probable leaks, ranked";
    Global Help ViewFlame [char_key('2'), alt(KeyCode::Char('2'))] "flame" "the selected allocations as a flamegraph";
    Global Help ViewTree [char_key('3'), alt(KeyCode::Char('3'))] "tree" "the selected allocations as a call tree";
    Global Help ViewRows [char_key('4'), alt(KeyCode::Char('4'))] "rows" "the selected allocations, one per row";
    Global Help ViewTime [char_key('5'), alt(KeyCode::Char('5'))] "time" "the run over time; select a range as a filter";
    Global Help ViewHistograms [char_key('6'), alt(KeyCode::Char('6'))] "histograms" "sizes, lifetimes and ages of the selected allocations";
    Global Help ViewSql [char_key('7'), alt(KeyCode::Char('7'))] "SQL" "run any SQL query";
    Global Help ViewCompare [char_key('8'), alt(KeyCode::Char('8'))] "compare" "differences from another recording, or between two moments";
    Global Help CompareMoments [char_key('C')] "two moments" "compare two moments of this recording, by default the range of the Time view";
    Global Help ShowCommand [char_key('!')] "command" "show the command line that prints this view";
    Global Help Export [ctrl('s')] "export" "export this view to a file: csv, json, md, folded, svg";
    Global Help Palette [char_key(':'), ctrl('p')] "palette" "find an action or a query by name";
    Global First Help [char_key('?'), plain(KeyCode::F(1))] "help" "this page";
    Global First Quit [char_key('q')] "quit" "quit";

    Always Help ToggleMouse [plain(KeyCode::F(2))] "mouse" "mouse on or off; off, the terminal can select text";
    Always Help Suspend [ctrl('z')] "suspend" "suspend; `fg` resumes";
    Always Help Interrupt [ctrl('c')] "stop" "stop the running query; pressed twice with none running: quit";
}
