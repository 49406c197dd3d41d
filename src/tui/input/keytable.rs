//! Every key, in every context, with its words for the footer and for help.
//!
//! Invariant: a line for everything that can be done; nothing is bound anywhere else.

use crossterm::event::{KeyCode, KeyModifiers};

use crate::tui::input::action::{Action, Context};
use crate::tui::input::key::Key;

/// Who sees a key first when there is no room for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// In the footer, before the others.
    First,
    /// In the footer if there is room.
    Footer,
    /// Only in help.
    Help,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Where.
    pub context: Context,
    /// The keys, the one to show first.
    pub keys: &'static [Key],
    /// What they do.
    pub action: Action,
    /// One or two words for the footer.
    pub label: &'static str,
    /// A sentence for help.
    pub help: &'static str,
    /// Whether the footer has it.
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
        /// The table, the most useful lines of a context first.
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
    Suspects First ShowBlocks [char_key('b')] "blocks" "its blocks, one a row";
    Suspects Footer Explain [char_key('v')] "why" "explain the score and the label";
    Suspects Footer AcceptSuspect [char_key('a')] "accept" "accept it: it is hidden from now on, in every recording";
    Suspects Help ToggleAccepted [char_key('A')] "accepted" "show or hide accepted suspects";
    Suspects Help OpenInEditor [char_key('o')] "editor" "open its line in $EDITOR";
    Suspects Help Copy [char_key('y')] "copy" "copy its sentence";
    Suspects Help CopyAll [char_key('Y')] "copy all" "copy its sentence and backtrace";

    Detail First Activate [plain(KeyCode::Enter), char_key('s')] "source" "show the frame's source line";
    Detail First OpenInEditor [char_key('o')] "editor" "open the line in $EDITOR";
    Detail First FlameThrough [char_key('t')] "all through" "flamegraph of everything allocated through this function";
    Detail Footer ToggleLibraryFrames [char_key('.')] "expand" "fold or expand library and runtime frames";
    Detail Footer ShowFlame [char_key('f')] "flame" "flamegraph of this backtrace";
    Detail Footer ShowBlocks [char_key('b')] "blocks" "blocks of this backtrace, one a row";
    Detail Help Copy [char_key('y')] "copy" "copy the frame's place";
    Detail Help CopyAll [char_key('Y')] "copy all" "copy the backtrace";
    Detail Footer Back [plain(KeyCode::Esc), plain(KeyCode::Backspace), char_key('h'), plain(KeyCode::Left)] "back" "back to the list";

    Flame First Activate [plain(KeyCode::Enter)] "zoom" "zoom into the cell; enter a cell of small ones";
    Flame First Back [plain(KeyCode::Backspace), plain(KeyCode::Esc)] "out" "zoom out one step";
    Flame First NextMeasure [char_key('m')] "measure" "next measure: live at end, at peak, allocated, count, temporary, growth";
    Flame First Search [char_key('/')] "search" "mark functions that match a pattern";
    Flame Footer ToggleBottomUp [char_key('i')] "bottom-up" "from who allocates to who calls, and back";
    Flame Footer Sandwich [char_key('=')] "callers" "callers above, callees below the function";
    Flame Footer KeepThrough [char_key('K')] "keep" "only what goes through this function";
    Flame Footer ExcludeThrough [char_key('D')] "drop" "only what doesn't go through this function";
    Flame Footer HideFunction [char_key('H')] "hide" "leave this function out, its callees move up";
    Flame Footer RootAtFunction [char_key('F')] "from here" "show this function as the outermost";
    Flame Footer ToggleLibraryFrames [char_key('.')] "expand" "fold or expand library and runtime frames";
    Flame Footer ToggleRecursion [char_key('r')] "recursion" "fold or expand functions that call themselves";
    Flame Help Flip [char_key('I')] "flip" "roots at the top or at the bottom";
    Flame Help ResetZoom [char_key('z')] "whole" "zoom out altogether";
    Flame Help Next [char_key('n')] "next" "next match";
    Flame Help Previous [char_key('N')] "previous" "previous match";
    Flame Help ShowSource [char_key('s')] "source" "show the function's source";
    Flame Help OpenInEditor [char_key('o')] "editor" "open the function's line in $EDITOR";
    Flame Help ShowBlocks [char_key('b')] "blocks" "blocks allocated through this function, one a row";
    Flame Help Copy [char_key('y')] "copy" "copy the function's name";
    Flame Help CopyAll [char_key('Y')] "copy path" "copy the path to the cell";

    Tree First Activate [plain(KeyCode::Enter), char_key(' ')] "open" "open the line, or close it";
    Tree First ExpandToFork [char_key('E')] "to fork" "open down to the next fork";
    Tree First ExpandHeaviest [char_key('O')] "heaviest" "open the heaviest path";
    Tree First NextMeasure [char_key('m')] "measure" "next measure: live at end, at peak, allocated, count, temporary, growth, live blocks";
    Tree First Search [char_key('/')] "search" "go to functions that match a pattern";
    Tree Footer ToggleBottomUp [char_key('i')] "bottom-up" "from who allocates to who calls, and back";
    Tree Footer ShowFlame [char_key('f')] "flame" "this function in the flamegraph";
    Tree Footer KeepThrough [char_key('K')] "keep" "only what goes through this function";
    Tree Footer ExcludeThrough [char_key('D')] "drop" "only what doesn't go through this function";
    Tree Footer HideFunction [char_key('H')] "hide" "leave this function out, its callees move up";
    Tree Footer RootAtFunction [char_key('F')] "from here" "show this function as the outermost";
    Tree Footer ToggleLibraryFrames [char_key('.')] "expand" "fold or expand library and runtime frames";
    Tree Footer ToggleRecursion [char_key('r')] "recursion" "fold or expand functions that call themselves";
    Tree Help CollapseAll [char_key('z')] "close all" "close all lines";
    Tree Help Back [plain(KeyCode::Backspace), plain(KeyCode::Esc)] "close" "close the line, or go to the one above it";
    Tree Help Next [char_key('n')] "next" "next match";
    Tree Help Previous [char_key('N')] "previous" "previous match";
    Tree Help ShowSource [char_key('s')] "source" "show the function's source";
    Tree Help OpenInEditor [char_key('o')] "editor" "open the function's line in $EDITOR";
    Tree Help ShowBlocks [char_key('b')] "blocks" "blocks allocated through this function, one a row";
    Tree Help Copy [char_key('y')] "copy" "copy the function's name";
    Tree Help CopyAll [char_key('Y')] "copy path" "copy the path to the line";

    Time First OtherCursor [char_key(' '), plain(KeyCode::Tab)] "other cursor" "move the other end of the range";
    Time First Activate [plain(KeyCode::Enter)] "made here" "filter: allocated in the range, freed or not";
    Time First FilterLiveAtCursor [char_key('a')] "alive here" "filter: live at the cursor";
    Time First FilterLiveThroughout [char_key('b')] "alive at both" "filter: live throughout the range";
    Time First FilterSurvivors [char_key('w')] "made, kept" "filter: allocated in the range and live at the end";
    Time First FilterLiveAtPeak [char_key('p')] "at peak" "filter: live at the peak";
    Time Footer ClearTimeFilter [char_key('z')] "all times" "remove the moment or range from the filters";
    Time Footer ToggleStacking [char_key('s')] "sites" "stack the largest sites, or only the sum";
    Time Footer ShowFlame [char_key('f')] "flame" "the selected allocations as a flamegraph";
    Time Footer Next [char_key('n')] "next mark" "the cursor to the next mark";
    Time Help Previous [char_key('N')] "mark before" "the cursor to the mark before";

    Histograms First Activate [plain(KeyCode::Enter)] "narrow" "filter: only the allocations of this bar";
    Histograms First NextKind [plain(KeyCode::Tab), char_key(' ')] "sizes, lives, ages" "sizes, lifetimes of freed blocks, ages of live ones";
    Histograms First NextMeasure [char_key('m')] "bytes or blocks" "bars by bytes or by blocks";
    Histograms Footer ShowFlame [char_key('f')] "flame" "flamegraph of this bar's blocks";
    Histograms Footer ShowBlocks [char_key('b')] "blocks" "this bar's blocks, one a row";
    Histograms Help Copy [char_key('y')] "copy" "copy the histogram";

    Compare First Activate [plain(KeyCode::Enter)] "open" "all figures of the site; zoom into the cell; open the line";
    Compare First NextKind [plain(KeyCode::Tab), char_key(' ')] "list, flame, tree" "the same as a list, a flamegraph, a tree";
    Compare First NextState [char_key('w')] "only new …" "only what is new, grown, shrunk, gone; all";
    Compare First NextRate [char_key('n')] "per time" "divide by the recordings' length: a second, a minute, an hour; not";
    Compare First NextMeasure [char_key('m')] "measure" "next measure: live bytes, live blocks, allocated bytes, allocations";
    Compare Footer Search [char_key('/')] "only" "only what goes through a function or file that matches";
    Compare Footer ToggleBottomUp [char_key('i')] "bottom-up" "from who allocates to who calls, and back";
    Compare Footer ShowBlocks [char_key('b')] "blocks" "blocks of this database allocated through the function, one a row";
    Compare Help Explain [char_key('v')] "figures" "all figures of the selected site";
    Compare Help ShowSource [char_key('s')] "source" "show the function's source";
    Compare Help OpenInEditor [char_key('o')] "editor" "open the function's line in $EDITOR";
    Compare Help Copy [char_key('y')] "copy" "copy the function's name";
    Compare Help CopyAll [char_key('Y')] "copy all" "copy all figures of the site";
    Compare Help RunAgain [char_key('R')] "again" "compare again";
    Compare Help Back [plain(KeyCode::Backspace), plain(KeyCode::Esc)] "back" "zoom out, close the line, or show all again";

    Rows First Activate [plain(KeyCode::Enter)] "open" "open the row's backtrace, its source line, or the rows of its group";
    Rows First SortDescending [char_key('s')] "sort" "sort by the column, largest first; again: unsorted";
    Rows First FilterColumn [char_key('/')] "filter" "filter by the column: >4K, 1m..10m, ~regex, text, null";
    Rows First ShowFlame [char_key('f')] "flame" "flamegraph over these rows";
    Rows Footer GroupByColumn [char_key('t')] "tally" "group by the column: rows and bytes of each value";
    Rows Footer ShowCell [char_key(' '), char_key('v')] "cell" "show the whole cell";
    Rows Footer FilterByCell [char_key('&')] "like this" "filter by the value under the cursor";
    Rows Footer FilterByResult [char_key('>')] "as filter" "show only these backtraces in all views";
    Rows Help SortAscending [char_key('S')] "sort up" "sort by the column, smallest first; again: unsorted";
    Rows Help HideColumn [char_key('-')] "hide" "hide the column";
    Rows Help ResetColumns [char_key('_')] "show all" "show hidden columns, drop sorting and filters";
    Rows Help PinColumn [char_key('p')] "pin" "keep the column at the left, or no longer";
    Rows Help WidenColumn [char_key('.')] "wider" "make the column wider";
    Rows Help NarrowColumn [char_key(',')] "narrower" "make the column narrower";
    Rows Help Copy [char_key('y')] "copy" "copy the cell";
    Rows Help CopyAll [char_key('Y')] "copy row" "copy the row, columns separated by tabs";
    Rows Footer Back [plain(KeyCode::Esc), plain(KeyCode::Backspace)] "back" "back to the rows before grouping";

    Results Footer NextTab [char_key(']')] "next tab" "next result";
    Results Help PreviousTab [char_key('[')] "previous tab" "previous result";
    Results Help CloseTab [char_key('w')] "close" "close the result";
    Rows Help RunAgain [char_key('R'), plain(KeyCode::F(5))] "again" "ask again";
    Results First NextPane [plain(KeyCode::Tab), char_key('i')] "editor" "go to the editor";

    Completions First AcceptCompletion [plain(KeyCode::Enter), plain(KeyCode::Tab)] "take" "take the completion";
    Completions First Up [plain(KeyCode::Up), ctrl('p')] "up" "previous completion";
    Completions First Down [plain(KeyCode::Down), ctrl('n')] "down" "next completion";
    Completions First Back [plain(KeyCode::Esc)] "close" "close the completions";

    Editor First RunStatement [ctrl('j'), alt(KeyCode::Enter), plain(KeyCode::F(5))] "run" "run the statement at the cursor";
    Editor First Complete [plain(KeyCode::Tab), ctrl(' ')] "complete" "complete tables, columns, functions and keywords";
    Editor First Back [plain(KeyCode::Esc)] "leave" "leave the editor for the results and the other keys";
    Editor Footer RunAll [plain(KeyCode::F(6)), ctrl('g')] "run all" "run all statements, a result tab each";
    Editor Footer OlderStatement [ctrl_key(KeyCode::Up), alt(KeyCode::Up)] "older" "the statement before, from the history";
    Editor Help NewerStatement [ctrl_key(KeyCode::Down), alt(KeyCode::Down)] "newer" "the statement after, from the history";
    Editor Footer FormatSql [plain(KeyCode::F(4)), ctrl('l')] "format" "lay the SQL out";
    Editor Footer EditInEditor [ctrl('o'), plain(KeyCode::F(3))] "$EDITOR" "edit the SQL in $EDITOR";
    Editor Help Export [ctrl('s')] "export" "write the result to a file: csv, json, md, folded, svg";
    Editor Help Queries [ctrl('t')] "questions" "choose a canned question";
    Editor Help Help [plain(KeyCode::F(1))] "help" "this page";

    Source First OpenInEditor [char_key('o')] "editor" "open the line in $EDITOR";
    Source First FlameThrough [char_key('t')] "all through" "flamegraph of everything allocated through this function";
    Source Help Copy [char_key('y')] "copy" "copy the place";
    Text First Back [plain(KeyCode::Esc), char_key('q'), plain(KeyCode::Enter), plain(KeyCode::Backspace), char_key('?'), plain(KeyCode::F(1))] "close" "close it";
    Text Help Copy [char_key('y')] "copy" "copy the text";

    Picker First Activate [plain(KeyCode::Enter)] "choose" "choose the line";
    Picker Help Up [plain(KeyCode::Up), ctrl('p')] "up" "the line above";
    Picker Help Down [plain(KeyCode::Down), ctrl('n')] "down" "the line below";
    Picker Help PageUp [plain(KeyCode::PageUp)] "page up" "a page up";
    Picker Help PageDown [plain(KeyCode::PageDown)] "page down" "a page down";
    Picker First Back [plain(KeyCode::Esc)] "close" "choose nothing";

    Prompt First Activate [plain(KeyCode::Enter)] "ok" "take what was typed";
    Prompt Help Down [plain(KeyCode::Down), plain(KeyCode::Tab)] "next field" "the field below";
    Prompt Help Up [plain(KeyCode::Up), plain(KeyCode::BackTab)] "previous field" "the field above";
    Prompt First Back [plain(KeyCode::Esc)] "close" "change nothing";

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

    Global First Queries [char_key('c')] "questions" "choose a canned question, such as: never freed, older than …";
    Global Footer AddFilter [char_key('+')] "filter" "narrow all views: age, size, thread, crate, pattern …";
    Global Footer Undo [char_key('u')] "undo" "undo the last change of the filters";
    Global Help Redo [char_key('U'), ctrl('r')] "redo" "take an undo back";
    Global Footer RemoveFilter [char_key('x')] "drop" "drop the filter that was added last";
    Global Help ClearFilters [char_key('X')] "clear" "drop all filters";
    Global Help FilterNeverFreed [char_key('L')] "never freed" "filter: only blocks that were never freed";
    Global Footer ShowSql [char_key('e')] "SQL" "the SQL behind what is shown, in the editor";
    Global Footer NextPane [plain(KeyCode::Tab), plain(KeyCode::BackTab)] "pane" "to the other pane";
    Global Help ViewSuspects [char_key('1'), alt(KeyCode::Char('1'))] "suspects" "who leaks, ranked";
    Global Help ViewFlame [char_key('2'), alt(KeyCode::Char('2'))] "flame" "the selected allocations as a flamegraph";
    Global Help ViewTree [char_key('3'), alt(KeyCode::Char('3'))] "tree" "the selected allocations as a call tree";
    Global Help ViewRows [char_key('4'), alt(KeyCode::Char('4'))] "rows" "the selected allocations, one per row";
    Global Help ViewTime [char_key('5'), alt(KeyCode::Char('5'))] "time" "the run over time; select a range as a filter";
    Global Help ViewHistograms [char_key('6'), alt(KeyCode::Char('6'))] "histograms" "sizes, lifetimes and ages of the selected allocations";
    Global Help ViewSql [char_key('7'), alt(KeyCode::Char('7'))] "SQL" "ask anything";
    Global Help ViewCompare [char_key('8'), alt(KeyCode::Char('8'))] "compare" "what differs from the other recording, or between two moments";
    Global Help CompareMoments [char_key('C')] "two moments" "compare two moments of this recording; the time view's range is offered";
    Global Help ShowCommand [char_key('!')] "cmd" "the command line that prints what is shown";
    Global Help Export [ctrl('s')] "export" "write what is shown to a file: csv, json, md, folded, svg";
    Global Help Palette [char_key(':'), ctrl('p')] "palette" "everything that can be done, by name";
    Global First Help [char_key('?'), plain(KeyCode::F(1))] "help" "this page";
    Global First Quit [char_key('q')] "quit" "quit";

    Always Help ToggleMouse [plain(KeyCode::F(2))] "mouse" "give the mouse to the terminal, to select text, or take it back";
    Always Help Suspend [ctrl('z')] "suspend" "stop; `fg` continues";
    Always Help Interrupt [ctrl('c')] "stop" "stop the running query; without one, twice quits";
}
