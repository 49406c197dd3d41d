-- Contract 2: the schema of a rheaper database. docs/reference/SCHEMA.md is generated from the comments, one per column.
--
-- Columns that end in `_ns` are nanoseconds: moments since tracking was enabled, or durations. The published columns
-- `alloc_after` and `dealloc_after` are such moments as well. Sizes are the requested bytes.
-- A site is a distinct backtrace. `T` is the end of the recording, `meta.duration_ns`.

PRAGMA application_id = 0x72686561;
PRAGMA user_version = 2;

-- One row per allocation, in the order of the frees; blocks that are live at T come last, oldest first.
CREATE TABLE allocations (
    alloc_after    INTEGER NOT NULL, -- time of the allocation, ns since tracking was enabled
    dealloc_after  INTEGER,          -- time of the free, ns since tracking was enabled; NULL: not freed by T
    bt             INTEGER,          -- backtrace, `backtraces.id`; NULL: not recorded (`sample_rate`)
    size           INTEGER NOT NULL, -- requested bytes
    addr           INTEGER,          -- address; NULL: the imported recording has no addresses
    alloc_thread   INTEGER,          -- allocating thread, `threads.id`; NULL: the imported recording has no threads
    dealloc_thread INTEGER           -- freeing thread; NULL: not freed by T, or unknown, or the free was not recorded and the address was allocated again at dealloc_after
);

-- One row per distinct frame: function, file and line. Inlined functions have frames of their own.
CREATE TABLE frames (
    id       INTEGER PRIMARY KEY, -- id
    file     TEXT,                -- source file as the compiler recorded it; NULL: unknown
    line     INTEGER,             -- line in `file`; NULL: unknown
    sym      TEXT NOT NULL,       -- demangled function name without hash; `module+0xoffset` if unknown, `module@0xaddress` if only the address in the process is known
    function TEXT NOT NULL,       -- short function name for display: without generic arguments and leading path
    crate    TEXT,                -- crate that it belongs to; NULL: unknown or not Rust
    kind     TEXT NOT NULL,       -- owner of the code: own (the program's workspace), dependency (a library), std (the language's libraries), runtime (C library, dynamic linker, allocator, recorder), unknown (no name)
    inlined  INTEGER NOT NULL,    -- 1: inlined into the next outer frame
    module   INTEGER,             -- executable or library, `modules.id`
    offset   INTEGER              -- address of the first call that resolved to this frame, in the module's file
);

-- The frames of each backtrace.
CREATE TABLE backtrace_frames (
    bt       INTEGER NOT NULL, -- backtrace
    frame_no INTEGER NOT NULL, -- position, 0 is the innermost frame
    frame    INTEGER NOT NULL, -- frame, `frames.id`
    PRIMARY KEY (bt, frame_no)
) WITHOUT ROWID;

-- One row per frame of a backtrace, including inlined frames and without rheaper's own frames.
CREATE VIEW backtraces (
    id,       -- backtrace, `allocations.bt`
    frame_no, -- position, 0 is the innermost frame
    file,     -- source file; NULL: unknown
    line,     -- line in `file`; NULL: unknown
    sym       -- demangled function name
) AS
SELECT backtrace_frames.bt, backtrace_frames.frame_no, frames.file, frames.line, frames.sym
FROM backtrace_frames JOIN frames ON frames.id = backtrace_frames.frame;

-- One row per site: its totals, which would otherwise need a scan of `allocations`.
CREATE TABLE sites (
    bt                  INTEGER PRIMARY KEY, -- backtrace
    frame               INTEGER,             -- frame that names the site: the first own one, else that of a dependency, else the first that is not of `alloc`, `core` or the allocator; `frames.id`
    through             INTEGER,             -- function of a dependency that the naming frame calls, directly or through `std`; `frames.id`; NULL: none
    caller              INTEGER,             -- next outer frame of the same kind with another function, `frames.id`; NULL: none
    suspect             INTEGER,             -- suspect that it belongs to, `suspects.id`
    tree                INTEGER,             -- node of its innermost frame in the call tree, `tree.id`
    stack               TEXT NOT NULL,       -- whole, truncated (deeper than the limit), failed (unwinding stopped early), other (the recorder's stack table was full)
    depth               INTEGER NOT NULL,    -- number of frames
    allocations         INTEGER NOT NULL,    -- number of allocations
    bytes               INTEGER NOT NULL,    -- allocated bytes
    frees               INTEGER NOT NULL,    -- blocks freed by T
    live_blocks         INTEGER NOT NULL,    -- blocks live at T
    live_bytes          INTEGER NOT NULL,    -- bytes live at T
    peak_bytes          INTEGER NOT NULL,    -- most live bytes of this site
    peak_ns             INTEGER NOT NULL,    -- time of that peak
    at_peak_blocks      INTEGER NOT NULL,    -- blocks live at the global peak, `meta.peak_ns`
    at_peak_bytes       INTEGER NOT NULL,    -- bytes live at the global peak
    temporary           INTEGER NOT NULL,    -- temporary blocks: freed by their own thread after at most one other allocation of that thread
    temporary_bytes     INTEGER NOT NULL,    -- bytes of temporary blocks
    size_min            INTEGER NOT NULL,    -- size of the smallest block
    size_max            INTEGER NOT NULL,    -- size of the largest block
    lifetime_min_ns     INTEGER,             -- shortest lifetime of a freed block; NULL: none was freed
    lifetime_avg_ns     INTEGER,             -- mean lifetime of freed blocks; NULL: none was freed
    lifetime_p50_ns     INTEGER,             -- median lifetime of freed blocks, from a logarithmic histogram with an error of at most 4 %; NULL: none was freed
    lifetime_p90_ns     INTEGER,             -- 90th percentile of the lifetimes, from the same histogram; NULL: none was freed
    lifetime_p99_ns     INTEGER,             -- 99th percentile of the lifetimes, from the same histogram; NULL: none was freed
    lifetime_max_ns     INTEGER,             -- longest lifetime of a freed block; NULL: none was freed
    first_ns            INTEGER NOT NULL,    -- time of the first allocation
    last_ns             INTEGER NOT NULL,    -- time of the last allocation
    last_free_ns        INTEGER,             -- time of the last free; NULL: none was freed
    threads             INTEGER,             -- number of allocating threads; NULL: unknown
    cross_thread_frees  INTEGER,             -- blocks freed by another thread than the allocating one; NULL: unknown
    freed_at_end_blocks INTEGER NOT NULL,    -- blocks freed in the last 2 % of the recording after a lifetime of at least 2 % of it
    freed_at_end_bytes  INTEGER NOT NULL,    -- bytes of those blocks
    reallocs            INTEGER NOT NULL,    -- blocks allocated here by `realloc`
    reallocs_moved      INTEGER NOT NULL,    -- of those, blocks whose address changed
    judged_blocks       INTEGER NOT NULL,    -- blocks live when leaks are judged: before the shutdown, `meta.shutdown_ns`, else at T
    judged_bytes        INTEGER NOT NULL     -- bytes of those blocks
);

-- Totals of the recording in equal time slices (`meta.slices`, `meta.slice_ns`). Every slice has a row.
CREATE TABLE timeline (
    slice             INTEGER PRIMARY KEY, -- number of the slice, from 0
    from_ns           INTEGER NOT NULL,    -- beginning of the slice
    to_ns             INTEGER NOT NULL,    -- end of the slice
    live_bytes        INTEGER NOT NULL,    -- bytes live at its end
    live_blocks       INTEGER NOT NULL,    -- blocks live at its end
    peak_bytes        INTEGER NOT NULL,    -- most live bytes in it
    allocations       INTEGER NOT NULL,    -- allocations in it
    allocated_bytes   INTEGER NOT NULL,    -- bytes of those allocations
    frees             INTEGER NOT NULL,    -- frees in it
    freed_bytes       INTEGER NOT NULL,    -- bytes of those frees
    never_freed_bytes INTEGER NOT NULL     -- bytes allocated before its end that are live at T
);

-- Totals of each site in the same slices; only slices with allocations or frees of the site.
CREATE TABLE site_timeline (
    bt              INTEGER NOT NULL, -- site
    slice           INTEGER NOT NULL, -- slice, `timeline.slice`
    live_bytes      INTEGER NOT NULL, -- bytes live at the end of the slice, and until the next row of the site
    live_blocks     INTEGER NOT NULL, -- blocks live at the end of the slice, and until the next row of the site
    allocations     INTEGER NOT NULL, -- allocations in it
    allocated_bytes INTEGER NOT NULL, -- bytes of those allocations
    frees           INTEGER NOT NULL, -- frees in it
    freed_bytes     INTEGER NOT NULL, -- bytes of those frees
    PRIMARY KEY (bt, slice)
) WITHOUT ROWID;

-- Sites grouped by cause, ranked: sites with the same naming function and the same course over time, cycles removed; or leaks that one caller allocates together. `sites.suspect` names the members.
CREATE TABLE suspects (
    id                 INTEGER PRIMARY KEY, -- rank, 1 is the most suspicious
    label              TEXT NOT NULL,       -- start-up constant, constant, steady leak, freed at shutdown, growing container, partial leak, bounded, burst, quiet
    sentence           TEXT NOT NULL,       -- finding in one sentence
    score              REAL NOT NULL,       -- live bytes x steadiness x recency x (0.1 + 0.9 fit); a tenth of it for labels that are no leak
    frame              INTEGER,             -- frame that names the suspect, `frames.id`: that of its heaviest site, or the common caller
    bt                 INTEGER NOT NULL,    -- site of the group with most live bytes
    sites              INTEGER NOT NULL,    -- number of sites in the group
    live_bytes         INTEGER NOT NULL,    -- bytes live before the shutdown, `meta.shutdown_ns`, else at T
    live_blocks        INTEGER NOT NULL,    -- blocks live at that time
    live_share         REAL NOT NULL,       -- share of all bytes live at that time, 0 to 1
    allocations        INTEGER NOT NULL,    -- number of allocations
    bytes              INTEGER NOT NULL,    -- allocated bytes
    steadiness         REAL NOT NULL,       -- share of the slices since its first allocation in which live bytes rose; slices without change count half
    recency            REAL NOT NULL,       -- 1 if it allocated in the last tenth of the recording (up to the shutdown), falling to 0 before
    slope_bytes_per_s  REAL NOT NULL,       -- least-squares slope of live bytes over the second half of the recording (up to the shutdown)
    fit                REAL NOT NULL,       -- R² of that line, 0 to 1
    first_ns           INTEGER NOT NULL,    -- time of the first allocation
    last_ns            INTEGER NOT NULL,    -- time of the last allocation
    through            INTEGER              -- function of a dependency that the naming frame calls in the heaviest site, `frames.id`; NULL: none
);

-- Frames to print for a suspect, from its backtrace `suspects.bt`: no two suspects print the same. Only for the first 2,000 suspects.
CREATE TABLE suspect_frames (
    suspect  INTEGER NOT NULL, -- suspect, `suspects.id`
    frame_no INTEGER NOT NULL, -- position, `backtrace_frames.frame_no`
    PRIMARY KEY (suspect, frame_no)
) WITHOUT ROWID;

-- Totals of the sites with the same function, `sites.frame`, on any line.
CREATE TABLE functions (
    id              INTEGER PRIMARY KEY, -- id
    frame           INTEGER NOT NULL,    -- first frame of the function, `frames.id`
    sites           INTEGER NOT NULL,    -- number of sites
    allocations     INTEGER NOT NULL,    -- number of allocations
    bytes           INTEGER NOT NULL,    -- allocated bytes
    live_blocks     INTEGER NOT NULL,    -- blocks live at T
    live_bytes      INTEGER NOT NULL,    -- bytes live at T
    at_peak_blocks  INTEGER NOT NULL,    -- blocks live at the global peak, `meta.peak_ns`
    at_peak_bytes   INTEGER NOT NULL,    -- bytes live at the global peak
    judged_blocks   INTEGER NOT NULL,    -- blocks live before the shutdown, `meta.shutdown_ns`, else at T
    judged_bytes    INTEGER NOT NULL,    -- bytes of those blocks
    temporary       INTEGER NOT NULL,    -- temporary blocks
    temporary_bytes INTEGER NOT NULL,    -- bytes of temporary blocks
    size_max        INTEGER NOT NULL,    -- size of the largest block
    first_ns        INTEGER NOT NULL,    -- time of the first allocation
    last_ns         INTEGER NOT NULL     -- time of the last allocation
);

-- The call tree from the outermost functions inwards, for flamegraphs. Frames of one function are merged, whatever the line.
CREATE TABLE tree (
    id              INTEGER PRIMARY KEY, -- parents have smaller ids
    parent          INTEGER,             -- caller; NULL: an outermost function
    frame           INTEGER NOT NULL,    -- one of the function's frames, `frames.id`
    depth           INTEGER NOT NULL,    -- 0 is the outermost function
    allocations     INTEGER NOT NULL,    -- allocations of the function and its callees
    bytes           INTEGER NOT NULL,    -- bytes of those allocations
    live_blocks     INTEGER NOT NULL,    -- of those, blocks live at T
    live_bytes      INTEGER NOT NULL,    -- of those, bytes live at T
    at_peak_bytes   INTEGER NOT NULL,    -- of those, bytes live at the global peak
    temporary       INTEGER NOT NULL,    -- of those, temporary blocks
    growth_bytes    INTEGER NOT NULL,    -- live bytes at T minus live bytes at the end of slice `meta.half_slice`
    self_bytes      INTEGER NOT NULL,    -- bytes allocated by the function itself
    self_live_bytes INTEGER NOT NULL     -- of those, bytes live at T
);

-- The inverted call tree, from the allocating functions outwards to their callers. Cut at depth `meta.inverted_depth`.
CREATE TABLE tree_inverted (
    id              INTEGER PRIMARY KEY, -- parents have smaller ids
    parent          INTEGER,             -- callee; NULL: an innermost function
    frame           INTEGER NOT NULL,    -- one of the function's frames, `frames.id`
    depth           INTEGER NOT NULL,    -- 0 is the innermost function
    allocations     INTEGER NOT NULL,    -- allocations whose innermost functions are the path from depth 0 to this node
    bytes           INTEGER NOT NULL,    -- bytes of those allocations
    live_blocks     INTEGER NOT NULL,    -- of those, blocks live at T
    live_bytes      INTEGER NOT NULL,    -- of those, bytes live at T
    at_peak_bytes   INTEGER NOT NULL,    -- of those, bytes live at the global peak
    temporary       INTEGER NOT NULL,    -- of those, temporary blocks
    growth_bytes    INTEGER NOT NULL,    -- live bytes at T minus live bytes at the end of slice `meta.half_slice`
    self_bytes      INTEGER NOT NULL,    -- bytes of allocations whose backtrace ends or is cut at this node
    self_live_bytes INTEGER NOT NULL     -- of those, bytes live at T
);

-- Calls of `realloc`: the row of the old block and the row of the new one.
CREATE TABLE reallocs (
    new_row INTEGER PRIMARY KEY, -- rowid in allocations of the new block
    old_row INTEGER NOT NULL,    -- rowid in allocations of the old block
    moved   INTEGER NOT NULL     -- 1: the address changed
);

-- Allocations of zeroed memory or with an alignment above 16, summed by site.
CREATE TABLE unusual_layouts (
    bt          INTEGER,          -- site; NULL: backtrace not recorded
    zeroed      INTEGER NOT NULL, -- 1: zeroed memory was requested
    align       INTEGER NOT NULL, -- alignment in bytes if above 16, else 0
    allocations INTEGER NOT NULL, -- number of allocations
    bytes       INTEGER NOT NULL  -- allocated bytes
);

-- Allocations that failed.
CREATE TABLE failures (
    at_ns  INTEGER NOT NULL, -- time
    bt     INTEGER,          -- backtrace; NULL: not recorded
    size   INTEGER NOT NULL, -- requested bytes
    thread INTEGER NOT NULL  -- thread, `threads.id`
);

-- Threads in the order of their first event. Thread 0 enabled tracking, unless `control` did.
CREATE TABLE threads (
    id          INTEGER PRIMARY KEY, -- id in this recording, never reused
    os_id       INTEGER NOT NULL,    -- id of the operating system
    name        TEXT NOT NULL,       -- last known name, possibly empty
    first_ns    INTEGER,             -- time of the first event; NULL: unknown
    last_ns     INTEGER,             -- time of the last event; NULL: unknown
    allocations INTEGER NOT NULL,    -- number of allocations
    bytes       INTEGER NOT NULL,    -- allocated bytes
    frees       INTEGER NOT NULL,    -- blocks freed by this thread, whichever thread allocated them
    live_blocks INTEGER NOT NULL,    -- blocks allocated by this thread that are live at T
    live_bytes  INTEGER NOT NULL     -- bytes of those blocks
);

-- The names of each thread over time, read at its first event, once per second and at its end.
CREATE TABLE thread_names (
    thread INTEGER NOT NULL, -- thread, `threads.id`
    at_ns  INTEGER NOT NULL, -- time of the reading
    name   TEXT NOT NULL     -- name, possibly empty
);

-- Memory of the process at the start, once per second and at the end, with the live bytes at the same time.
CREATE TABLE memory_readings (
    at_ns        INTEGER NOT NULL, -- time of the reading
    rss_bytes    INTEGER,          -- resident memory of the process; NULL: unknown
    cgroup_bytes INTEGER,          -- memory charged to its control group; NULL: no control group
    live_bytes   INTEGER NOT NULL  -- live bytes of blocks allocated since tracking was enabled
);

-- Marks that the program set: `rheaper::mark(name, value)`.
CREATE TABLE marks (
    at_ns  INTEGER NOT NULL, -- time
    name   TEXT NOT NULL,    -- name
    value  INTEGER NOT NULL, -- value
    thread INTEGER NOT NULL  -- thread, `threads.id`
);

-- Scopes of the program: `rheaper::scope(name)`, or `tracing` spans. A scope is a name and a parent scope.
CREATE TABLE scopes (
    id     INTEGER PRIMARY KEY, -- id in the recorded process; parents have smaller ids
    parent INTEGER,             -- enclosing scope; NULL: none
    name   TEXT NOT NULL,       -- name
    path   TEXT NOT NULL        -- names from the outermost scope to this one, joined by ` > `
);

-- The innermost scope of each allocation. Allocations outside of scopes have no row.
CREATE TABLE allocation_scopes (
    allocation INTEGER PRIMARY KEY, -- rowid in allocations
    scope      INTEGER NOT NULL     -- scope, `scopes.id`
);

-- Totals by scope and site, without the allocations of inner scopes.
CREATE TABLE scope_sites (
    scope       INTEGER NOT NULL, -- scope, `scopes.id`
    bt          INTEGER,          -- site; NULL: backtrace not recorded
    allocations INTEGER NOT NULL, -- number of allocations
    bytes       INTEGER NOT NULL, -- allocated bytes
    live_blocks INTEGER NOT NULL, -- blocks live at T
    live_bytes  INTEGER NOT NULL  -- bytes live at T
);

-- Freed blocks by allocating and freeing thread, which may be the same.
CREATE TABLE thread_pairs (
    alloc_thread   INTEGER NOT NULL, -- allocating thread, `threads.id`
    dealloc_thread INTEGER NOT NULL, -- freeing thread, `threads.id`; blocks with an unknown freeing thread are in no row
    blocks         INTEGER NOT NULL, -- number of blocks
    bytes          INTEGER NOT NULL, -- bytes of those blocks
    PRIMARY KEY (alloc_thread, dealloc_thread)
) WITHOUT ROWID;

-- Totals by requested size. Each size up to 64 KiB has a row; above, each power of two is divided into 16 classes of equal width.
CREATE TABLE sizes (
    size        INTEGER PRIMARY KEY, -- size; above 65536 the largest size of the class
    allocations INTEGER NOT NULL,    -- number of allocations
    bytes       INTEGER NOT NULL,    -- allocated bytes, exact also for classes
    live_blocks INTEGER NOT NULL,    -- blocks live at T
    live_bytes  INTEGER NOT NULL     -- bytes live at T, exact also for classes
);

-- Totals by site and power of two of the requested size.
CREATE TABLE site_sizes (
    bt          INTEGER NOT NULL, -- site
    up_to_bytes INTEGER NOT NULL, -- a power of two: sizes above its half and up to it; 1 includes size 0
    allocations INTEGER NOT NULL, -- number of allocations
    bytes       INTEGER NOT NULL, -- allocated bytes
    live_blocks INTEGER NOT NULL, -- blocks live at T
    live_bytes  INTEGER NOT NULL, -- bytes live at T
    PRIMARY KEY (bt, up_to_bytes)
) WITHOUT ROWID;

-- A zone map: the range of times in each range of freed rows of `allocations`. The blocks that were live at a moment are in the ranges with `dealloc_to > moment AND alloc_from <= moment`, in `zone_outliers`, or live at T. See queries/alive_through.sql.
CREATE TABLE zone_map (
    first_row    INTEGER PRIMARY KEY, -- first row of the range
    last_row     INTEGER NOT NULL,    -- last row of the range
    alloc_from   INTEGER NOT NULL,    -- earliest `alloc_after` in the range, without `zone_outliers`
    dealloc_from INTEGER NOT NULL,    -- earliest `dealloc_after` in the range
    dealloc_to   INTEGER NOT NULL     -- latest `dealloc_after` in the range
);

-- The few blocks of a range that are much older than the others: exactly those allocated before its `alloc_from`.
CREATE TABLE zone_outliers (
    row         INTEGER PRIMARY KEY, -- rowid in allocations
    alloc_after INTEGER NOT NULL     -- as in allocations
);

-- The call addresses of the backtraces, without inlined frames. `rheaper symbolize` resolves them again without the recording.
CREATE TABLE return_addresses (
    id     INTEGER PRIMARY KEY, -- id
    module INTEGER,             -- executable or library, `modules.id`; NULL: in no recorded module
    offset INTEGER NOT NULL     -- address of the call in the module's file; without a module, in the process
);

-- The call paths as a tree: a stack is a call on top of another stack.
CREATE TABLE stacks (
    id     INTEGER PRIMARY KEY, -- id; parents have smaller ids
    parent INTEGER,             -- stack of the caller; NULL: none
    call   INTEGER NOT NULL     -- innermost call, `return_addresses.id`
);

-- The stack of each backtrace.
CREATE TABLE backtrace_stacks (
    bt    INTEGER PRIMARY KEY, -- backtrace
    stack INTEGER              -- stack, `stacks.id`; NULL: no calls
);

-- The executable and the libraries of the recorded process.
CREATE TABLE modules (
    id          INTEGER PRIMARY KEY, -- id in this recording
    path        TEXT NOT NULL,       -- path in the recorded process
    build_id    TEXT,                -- build id in hexadecimal; NULL: none
    main        INTEGER NOT NULL,    -- 1: the executable
    start_addr  INTEGER NOT NULL,    -- first executable address
    end_addr    INTEGER NOT NULL,    -- end of the executable addresses, exclusive
    bias        INTEGER NOT NULL,    -- address in the process minus address in the file
    loaded_ns   INTEGER NOT NULL,    -- time at which the recorder found it
    unloaded_ns INTEGER,             -- time at which the recorder missed it; NULL: not unloaded by T
    symbols     TEXT NOT NULL,       -- resolved, unchecked (no build id), partial (no line tables), recorded (names are from an imported recording), missing, mismatch (the file at the path has another build id), unused
    symbol_file TEXT                 -- file that the names were read from; NULL: none
);

-- The lifetime limits of aggregation over time. Aggregated blocks are in all totals of allocations and frees, and have no rows in `allocations`; live bytes and peaks exclude them. Empty: every block has a row.
CREATE TABLE aggregation_steps (
    at_ns              INTEGER NOT NULL, -- time from which the limit applies
    aggregate_below_ns INTEGER NOT NULL, -- blocks with a shorter lifetime are aggregated
    written_bytes      INTEGER NOT NULL, -- length of the recording at that time
    reason             TEXT NOT NULL     -- asked (by the program), quota (the recording approached its quota)
);

-- The weight of a sampled block by its size, for joins with `allocations` on `size`. All other tables have weighted totals already. Empty: the recording is not sampled.
CREATE TABLE sample_weights (
    size   INTEGER PRIMARY KEY, -- size of a sampled block
    blocks REAL NOT NULL,       -- number of blocks that it stands for, 1 / (1 - exp(-size / `meta.sample_bytes`))
    bytes  INTEGER NOT NULL     -- bytes of those blocks
);

-- The rows of `allocations` with their weights. Totals of `blocks` and `bytes` are right for sampled and for complete recordings; totals of rows and `size` only for complete ones. A scan costs at most 5 % more than of `allocations`.
CREATE VIEW weighted_allocations (
    row,            -- rowid in allocations
    alloc_after,    -- as in allocations
    dealloc_after,  -- as in allocations
    bt,             -- as in allocations
    size,           -- as in allocations
    addr,           -- as in allocations
    alloc_thread,   -- as in allocations
    dealloc_thread, -- as in allocations
    blocks,         -- number of blocks that the row stands for; 1 in a complete recording
    bytes           -- bytes of those blocks; `size` in a complete recording
) AS
SELECT rowid, alloc_after, dealloc_after, bt, size, addr, alloc_thread, dealloc_thread,
    iif((SELECT 1 FROM sample_weights), (SELECT w.blocks FROM sample_weights AS w WHERE w.size = allocations.size), 1),
    iif((SELECT 1 FROM sample_weights), (SELECT w.bytes FROM sample_weights AS w WHERE w.size = allocations.size), size)
FROM allocations;

-- Confidence intervals of the totals of a sampled recording; see docs/guide/SAMPLING.md. Empty: the recording is not sampled.
CREATE TABLE estimates (
    of                  TEXT NOT NULL,    -- the kind of totals: total (`meta`), site, site_judged (the live columns are for `sites.judged_bytes`; only after a shutdown), suspect, tree, tree_inverted
    id                  INTEGER NOT NULL, -- `sites.bt` (site, site_judged), `suspects.id`, `tree.id`, `tree_inverted.id`; 0 for total
    sampled_blocks      INTEGER NOT NULL, -- sampled blocks
    sampled_bytes       INTEGER NOT NULL, -- their own bytes, without weights
    bytes_variance      REAL NOT NULL,    -- variance of the estimate `bytes`, in bytes²
    bytes_low           INTEGER NOT NULL, -- lower bound of the true `bytes`, with a confidence of at least 95 % for both bounds
    bytes_high          INTEGER NOT NULL, -- upper bound of the true `bytes`
    bytes_error         REAL,             -- half the width of the interval relative to `bytes`; NULL: `bytes` is 0
    live_sampled_blocks INTEGER NOT NULL, -- sampled blocks live at T
    live_sampled_bytes  INTEGER NOT NULL, -- their own bytes, without weights
    live_bytes_variance REAL NOT NULL,    -- variance of the estimate `live_bytes`, in bytes²
    live_bytes_low      INTEGER NOT NULL, -- lower bound of the true `live_bytes`, with a confidence of at least 95 % for both bounds
    live_bytes_high     INTEGER NOT NULL, -- upper bound of the true `live_bytes`
    live_bytes_error    REAL,             -- half the width of the interval relative to `live_bytes`; NULL: `live_bytes` is 0
    PRIMARY KEY (of, id)
) WITHOUT ROWID;

-- Losses of the recording, one row per counter: events and stacks that were dropped, cut or could not be paired. A complete recording has only zeros.
CREATE TABLE losses (
    name    TEXT PRIMARY KEY, -- name of the counter
    count   INTEGER NOT NULL, -- value
    meaning TEXT NOT NULL     -- explanation in one sentence
) WITHOUT ROWID;

-- Metadata and totals of the recording as keys and values. docs/reference/SCHEMA.md lists the keys.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY, -- key
    value                   -- number or text
) WITHOUT ROWID;
