//! The files of `queries/`, embedded in the binary, in the order of lists.
//!
//! Invariant: every file of `queries/` is listed; a test compares.

macro_rules! queries {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../queries/", $name, ".sql")))),*]
    };
}

/// Names and texts.
pub(super) const QUERIES: &[(&str, &str)] = queries! {
    "suspects"
    "never_freed_older_than"
    "never_freed"
    "all_leaked"
    "partial_leaks"
    "growing_sites"
    "bounded_sites"
    "growth_by_site"
    "survival_by_site"
    "suspicious_age"
    "freed_at_shutdown"
    "startup_constants"
    "idle_sites"
    "late_sites"
    "leaks_by_scope"
    "sites_of_scope"
    "retained_in_window"
    "made_between_alive_at"
    "alive_through"
    "live_at_peak"
    "own_peaks"
    "alive_at"
    "peak_in_window"
    "grew_between"
    "timeline"
    "marks"
    "resident_memory"
    "most_allocations"
    "most_bytes"
    "largest_blocks"
    "tiny_blocks"
    "size_histogram"
    "temporary"
    "short_lived"
    "churn"
    "steady_state"
    "lifetimes"
    "realloc_sites"
    "realloc_chains"
    "growing_containers"
    "size_class_waste"
    "sparse_pages"
    "unusual_requests"
    "by_function"
    "by_line"
    "by_caller"
    "by_crate"
    "by_thread"
    "cross_thread_frees"
    "thread_matrix"
    "through"
    "build_up"
    "overview"
    "health"
    "failures"
};
