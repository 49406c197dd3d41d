//! The contexts in which keys are pressed, and the actions that keys trigger, with their stable names.
//!
//! Invariant: a name is part of the format of the user's `keys.txt`; it never changes and is never
//! reused for something else.

macro_rules! contexts {
    ($($(#[$doc:meta])+ $variant:ident $name:literal $title:literal,)+) => {
        /// Where a key is pressed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Context {
            $($(#[$doc])+ $variant),+
        }

        impl Context {
            /// All contexts.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in `keys.txt`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }

            /// The heading on the help page.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title),+
                }
            }
        }
    };
}

macro_rules! actions {
    ($($variant:ident $name:literal,)+) => {
        /// Everything that a user can do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the key table has a sentence for each")]
        pub enum Action {
            $($variant),+
        }

        impl Action {
            /// All actions.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in `keys.txt`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}

contexts! {
    /// The list of suspects.
    Suspects "suspects" "Suspects",
    /// The flamegraph.
    Flame "flame" "Flame",
    /// The call tree as an expandable table.
    Tree "tree" "Tree",
    /// The chart of live bytes over time.
    Time "time" "Time",
    /// The comparison of two recordings or moments.
    Compare "compare" "Compare",
    /// Sizes, lifetimes and ages.
    Histograms "histograms" "Histograms",
    /// A table of allocations or of any query result.
    Rows "rows" "Rows and results",
    /// A result below the SQL editor; [`Rows`](Self::Rows) applies too.
    Results "results" "Results",
    /// The backtrace next to a list.
    Detail "backtrace" "Backtrace",
    /// The SQL editor.
    Editor "editor" "SQL editor",
    /// Completions shown over the editor.
    Completions "completions" "Completions",
    /// A pop-up with text.
    Text "text" "Text",
    /// A pop-up with source code; [`Text`](Self::Text) applies too.
    Source "source" "Source",
    /// A pop-up with a list and a search field.
    Picker "picker" "Lists",
    /// A pop-up with input fields.
    Prompt "prompt" "Input fields",
    /// Lists, tables and texts, in addition to their own keys.
    Motion "motion" "Moving",
    /// Everywhere except where text is typed.
    Global "global" "Everywhere except in input fields",
    /// Everywhere.
    Always "always" "Everywhere",
}

actions! {
    Up "up",
    Down "down",
    Left "left",
    Right "right",
    First "first",
    Last "last",
    PageUp "page-up",
    PageDown "page-down",
    HalfPageUp "half-page-up",
    HalfPageDown "half-page-down",
    Activate "activate",
    Back "back",
    NextPane "next-pane",
    ViewSuspects "view-suspects",
    ViewFlame "view-flame",
    ViewTree "view-tree",
    ViewTime "view-time",
    ViewHistograms "view-histograms",
    ViewRows "view-rows",
    ViewSql "view-sql",
    ViewCompare "view-compare",
    CompareMoments "compare-moments",
    ShowCommand "show-command",
    Export "export",
    NextRate "next-rate",
    NextState "next-state",
    ShowSource "show-source",
    Queries "queries",
    Palette "palette",
    AddFilter "add-filter",
    RemoveFilter "remove-filter",
    ClearFilters "clear-filters",
    FilterNeverFreed "filter-never-freed",
    Undo "undo",
    Redo "redo",
    ShowSql "show-sql",
    Help "help",
    ToggleMouse "toggle-mouse",
    Copy "copy",
    CopyAll "copy-all",
    OpenInEditor "open-in-editor",
    Interrupt "interrupt",
    Suspend "suspend",
    Quit "quit",
    ShowFlame "show-flame",
    ShowBlocks "show-blocks",
    AcceptSuspect "accept-suspect",
    ToggleAccepted "toggle-accepted",
    Explain "explain",
    FlameThrough "flame-through",
    NextMeasure "next-measure",
    Flip "flip",
    ToggleBottomUp "toggle-bottom-up",
    Sandwich "sandwich",
    ResetZoom "reset-zoom",
    Search "search",
    Next "next",
    Previous "previous",
    KeepThrough "keep-through",
    ExcludeThrough "exclude-through",
    HideFunction "hide-function",
    RootAtFunction "root-at-function",
    ToggleLibraryFrames "toggle-library-frames",
    ToggleRecursion "toggle-recursion",
    ExpandToFork "expand-to-fork",
    ExpandHeaviest "expand-heaviest",
    CollapseAll "collapse-all",
    FilterLiveAtCursor "filter-live-at-cursor",
    FilterLiveThroughout "filter-live-throughout",
    FilterSurvivors "filter-survivors",
    FilterLiveAtPeak "filter-live-at-peak",
    OtherCursor "other-cursor",
    ToggleStacking "toggle-stacking",
    ClearTimeFilter "clear-time-filter",
    NextKind "next-kind",
    SortDescending "sort-descending",
    SortAscending "sort-ascending",
    FilterColumn "filter-column",
    FilterByCell "filter-by-cell",
    HideColumn "hide-column",
    ResetColumns "reset-columns",
    PinColumn "pin-column",
    WidenColumn "widen-column",
    NarrowColumn "narrow-column",
    GroupByColumn "group-by-column",
    ShowCell "show-cell",
    NextTab "next-tab",
    PreviousTab "previous-tab",
    CloseTab "close-tab",
    RunAgain "run-again",
    FilterByResult "filter-by-result",
    RunStatement "run-statement",
    RunAll "run-all",
    Complete "complete",
    FormatSql "format-sql",
    EditInEditor "edit-in-editor",
    OlderStatement "older-statement",
    NewerStatement "newer-statement",
    AcceptCompletion "accept-completion",
}
