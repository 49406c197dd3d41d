//! Table sizes for the query planner.

use rusqlite::{Connection, Result};

/// Small tables, which `ANALYZE` counts quickly.
const SMALL_TABLES: [&str; 17] = [
    "frames",
    "backtrace_frames",
    "sites",
    "site_sizes",
    "zone_map",
    "timeline",
    "site_timeline",
    "suspects",
    "functions",
    "tree",
    "tree_inverted",
    "threads",
    "modules",
    "memory_readings",
    "marks",
    "scopes",
    "scope_sites",
];

/// Fills `sqlite_stat1`, so that the query planner starts a join with the small tables. The sizes
/// of the large tables are known and need no `ANALYZE`.
pub(crate) fn write(connection: &Connection) -> Result<()> {
    for table in SMALL_TABLES {
        connection.execute_batch(&format!("ANALYZE {table}"))?;
    }
    connection.execute_batch(
        "DELETE FROM sqlite_stat1 WHERE tbl IN ('allocations', 'reallocs');
         INSERT INTO sqlite_stat1
             SELECT 'allocations', NULL, value || '' FROM meta WHERE key = 'rows';
         INSERT INTO sqlite_stat1
             SELECT 'allocations', 'allocations_live', max(max(iif(key = 'rows', value, 0))
                 - max(iif(key = 'freed_rows', value, 0)), 1) || ' 1'
             FROM meta WHERE key IN ('rows', 'freed_rows');
         INSERT INTO sqlite_stat1
             SELECT 'reallocs', NULL, ifnull(max(new_row), 0) || '' FROM reallocs;",
    )
}
