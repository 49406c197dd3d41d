-- Contract 2: what is in a rheaper database. One comment a column; docs/SCHEMA.md is made from them.
--
-- Times are nanoseconds since tracking was enabled, sizes are bytes as asked for, unless the name says otherwise.
-- A "site" is a distinct backtrace. `T` is the end of the recording, `meta.duration_ns`.

PRAGMA application_id = 0x72686561;
PRAGMA user_version = 1;

-- One row an allocation, in the order in which the blocks ended; blocks still alive at T come last, oldest first.
CREATE TABLE allocations (
    alloc_after    INTEGER NOT NULL, -- when it was made
    dealloc_after  INTEGER,          -- when it was freed; NULL: not freed by T
    bt             INTEGER,          -- its backtrace, `backtraces.id`; NULL: not probed
    size           INTEGER NOT NULL, -- bytes
    addr           INTEGER,          -- address; NULL: imported from a recording that has none
    alloc_thread   INTEGER,          -- thread that made it, `threads.id`; NULL: imported from a recording that has none
    dealloc_thread INTEGER           -- thread that freed it; NULL: not freed by T, or not known, or its free was not recorded and its address was used again at dealloc_after
);

-- One row a distinct frame: a place in the code. Inlined functions are frames of their own.
CREATE TABLE frames (
    id       INTEGER PRIMARY KEY, -- number of the frame
    file     TEXT,                -- source file as the compiler named it; NULL: unknown
    line     INTEGER,             -- line in it; NULL: unknown
    sym      TEXT NOT NULL,       -- function, demangled, without hash; `module+0xoffset` where unknown, `module@0xaddress` where only the process's address is known
    function TEXT NOT NULL,       -- the same, shortened for a screen: generic arguments and leading path cut
    crate    TEXT,                -- the crate that it belongs to; NULL: unknown or not Rust
    kind     TEXT NOT NULL,       -- whose code it is: own (of the program's workspace), dependency (a library's), std (the language's own libraries), runtime (C library, dynamic linker, allocator, recorder), unknown (no name)
    inlined  INTEGER NOT NULL,    -- 1: inlined into the next frame outwards
    module   INTEGER,             -- the object that it is in, `modules.id`
    offset   INTEGER              -- address of the first call of it that was seen, in that object's file
);

-- Which frames a backtrace has.
CREATE TABLE backtrace_frames (
    bt       INTEGER NOT NULL, -- the backtrace
    frame_no INTEGER NOT NULL, -- 0 is the innermost
    frame    INTEGER NOT NULL, -- `frames.id`
    PRIMARY KEY (bt, frame_no)
) WITHOUT ROWID;

-- One row a frame of a backtrace, inlined frames included, rheaper's own frames trimmed.
CREATE VIEW backtraces (
    id,       -- the backtrace, `allocations.bt`
    frame_no, -- 0 is the innermost
    file,     -- source file
    line,     -- line in it
    sym       -- function
) AS
SELECT backtrace_frames.bt, backtrace_frames.frame_no, frames.file, frames.line, frames.sym
FROM backtrace_frames JOIN frames ON frames.id = backtrace_frames.frame;

-- One row a site: everything about a backtrace that would otherwise need a scan.
CREATE TABLE sites (
    bt                  INTEGER PRIMARY KEY, -- the backtrace
    frame               INTEGER,             -- the frame that names it: the first own one, else a dependency's, else the first that is not `alloc`, `core` or the allocator; `frames.id`
    through             INTEGER,             -- the dependency's function that the named one calls, directly or from the language's own, `frames.id`; NULL: none
    caller              INTEGER,             -- the next frame outwards of the named one's kind that is another function, `frames.id`; NULL: none
    suspect             INTEGER,             -- the group it is ranked in, `suspects.id`
    tree                INTEGER,             -- its innermost frame in the call tree, `tree.id`
    stack               TEXT NOT NULL,       -- whole, truncated (deeper than the limit), failed (not unwound to its end), other (the recorder's table was full)
    depth               INTEGER NOT NULL,    -- frames
    allocations         INTEGER NOT NULL,    -- blocks made
    bytes               INTEGER NOT NULL,    -- bytes of them
    frees               INTEGER NOT NULL,    -- of these blocks, freed by T
    live_blocks         INTEGER NOT NULL,    -- alive at T
    live_bytes          INTEGER NOT NULL,    -- bytes of them
    peak_bytes          INTEGER NOT NULL,    -- most bytes alive at once, this site's own peak
    peak_ns          INTEGER NOT NULL,    -- when that was
    at_peak_blocks      INTEGER NOT NULL,    -- alive at the global peak, `meta.peak_ns`
    at_peak_bytes       INTEGER NOT NULL,    -- bytes of them
    temporary           INTEGER NOT NULL,    -- blocks freed by their own thread with at most one allocation of that thread in between
    temporary_bytes     INTEGER NOT NULL,    -- bytes of them
    size_min            INTEGER NOT NULL,    -- smallest block
    size_max            INTEGER NOT NULL,    -- largest block
    lifetime_min_ns     INTEGER,             -- shortest life of a freed block; NULL: none was freed
    lifetime_avg_ns     INTEGER,             -- mean life of freed blocks
    lifetime_p50_ns     INTEGER,             -- median, from a logarithmic histogram, at most 4 % off
    lifetime_p90_ns     INTEGER,             -- as above, nine of ten lived shorter
    lifetime_p99_ns     INTEGER,             -- as above, 99 of 100 lived shorter
    lifetime_max_ns     INTEGER,             -- longest life of a freed block
    first_ns         INTEGER NOT NULL,    -- first allocation
    last_ns          INTEGER NOT NULL,    -- last allocation
    last_free_ns     INTEGER,             -- last free; NULL: none
    threads             INTEGER,             -- threads that allocated here; NULL: not known
    cross_thread_frees  INTEGER,             -- blocks freed by another thread; NULL: not known
    freed_at_end_blocks INTEGER NOT NULL,    -- freed in the last 2 % of the run after living at least 2 % of it
    freed_at_end_bytes  INTEGER NOT NULL,    -- bytes of them
    reallocs            INTEGER NOT NULL,    -- blocks made here by growing or shrinking another one
    reallocs_moved      INTEGER NOT NULL     -- of these, the ones that changed their place
);

-- The run cut into equal slices (`meta.slices`, `meta.slice_ns`). Every slice has a row.
CREATE TABLE timeline (
    slice             INTEGER PRIMARY KEY, -- 0 is the first
    from_ns        INTEGER NOT NULL,    -- its beginning
    to_ns          INTEGER NOT NULL,    -- its end
    live_bytes        INTEGER NOT NULL,    -- alive at its end
    live_blocks       INTEGER NOT NULL,    -- alive at its end
    peak_bytes        INTEGER NOT NULL,    -- most alive at any moment in it
    allocations       INTEGER NOT NULL,    -- made in it
    allocated_bytes   INTEGER NOT NULL,    -- bytes of them
    frees             INTEGER NOT NULL,    -- freed in it
    freed_bytes       INTEGER NOT NULL,    -- bytes of them
    never_freed_bytes INTEGER NOT NULL     -- of what was made up to its end, the bytes still alive at T
);

-- The same slices for each site; only slices in which the site made or freed something.
CREATE TABLE site_timeline (
    bt              INTEGER NOT NULL, -- the site
    slice           INTEGER NOT NULL, -- `timeline.slice`
    live_bytes      INTEGER NOT NULL, -- alive at the slice's end; holds until the next row
    live_blocks     INTEGER NOT NULL, -- as above
    allocations     INTEGER NOT NULL, -- made in it
    allocated_bytes INTEGER NOT NULL, -- bytes of them
    frees           INTEGER NOT NULL, -- freed in it
    freed_bytes     INTEGER NOT NULL, -- bytes of them
    PRIMARY KEY (bt, slice)
) WITHOUT ROWID;

-- Sites grouped by cause, ranked: the same named function and the same course over time, cycles of recursion removed; or leaks that one caller makes together. `sites.suspect` tells the parts.
CREATE TABLE suspects (
    id                 INTEGER PRIMARY KEY, -- rank: 1 is the first to look at
    label              TEXT NOT NULL,       -- start-up constant, steady leak, freed at shutdown, growing container, partial leak, bounded, burst, quiet
    sentence           TEXT NOT NULL,       -- the finding in one sentence
    score              REAL NOT NULL,       -- leaked bytes x steadiness x recency x (0.1 + 0.9 fit), a tenth of it where the label says no leak
    frame              INTEGER,             -- the frame that names it, `frames.id`: that of its heaviest site, or the common caller
    bt                 INTEGER NOT NULL,    -- its site with the most live bytes
    sites              INTEGER NOT NULL,    -- sites in the group
    live_bytes         INTEGER NOT NULL,    -- alive at T
    live_blocks        INTEGER NOT NULL,    -- alive at T
    live_share         REAL NOT NULL,       -- of all bytes alive at T, 0 to 1
    allocations        INTEGER NOT NULL,    -- blocks made
    bytes              INTEGER NOT NULL,    -- bytes of them
    steadiness         REAL NOT NULL,       -- share of the slices since its first allocation in which live bytes rose, flat ones counting half
    recency            REAL NOT NULL,       -- 1 if it allocated in the last tenth of the run, else falling to 0
    slope_bytes_per_s  REAL NOT NULL,       -- least-squares slope of live bytes over the second half of the run
    fit                REAL NOT NULL,       -- its R², 0 to 1
    first_ns        INTEGER NOT NULL,    -- first allocation
    last_ns         INTEGER NOT NULL,    -- last allocation
    through            INTEGER              -- the dependency's function that the named one calls in its heaviest site, `frames.id`; NULL: none
);

-- The frames to print for a suspect, of its backtrace `suspects.bt`: no two suspects print the same. For the first 2,000 suspects.
CREATE TABLE suspect_frames (
    suspect  INTEGER NOT NULL, -- `suspects.id`
    frame_no INTEGER NOT NULL, -- `backtrace_frames.frame_no`
    PRIMARY KEY (suspect, frame_no)
) WITHOUT ROWID;

-- One row a function that names sites, `sites.frame`, whatever the line: the sums of these sites.
CREATE TABLE functions (
    id              INTEGER PRIMARY KEY, -- number of the function
    frame           INTEGER NOT NULL,    -- the first of its frames that was seen; `frames.id`
    sites           INTEGER NOT NULL,    -- sites
    allocations     INTEGER NOT NULL,    -- blocks made
    bytes           INTEGER NOT NULL,    -- bytes of them
    live_blocks     INTEGER NOT NULL,    -- alive at T
    live_bytes      INTEGER NOT NULL,    -- bytes of them
    at_peak_blocks  INTEGER NOT NULL,    -- alive at the global peak, `meta.peak_ns`
    at_peak_bytes   INTEGER NOT NULL,    -- bytes of them
    temporary       INTEGER NOT NULL,    -- temporary blocks
    temporary_bytes INTEGER NOT NULL,    -- bytes of them
    size_max        INTEGER NOT NULL,    -- largest block
    first_ns     INTEGER NOT NULL,    -- first allocation
    last_ns      INTEGER NOT NULL     -- last allocation
);

-- The call tree: outermost function first, equal functions merged whatever the line. Ready for a flamegraph.
CREATE TABLE tree (
    id              INTEGER PRIMARY KEY, -- parents have smaller ids
    parent          INTEGER,             -- NULL: an outermost function
    frame           INTEGER NOT NULL,    -- the function, by the first of its frames that was seen; `frames.id`
    depth           INTEGER NOT NULL,    -- 0 is the outermost
    allocations     INTEGER NOT NULL,    -- blocks made here or further in
    bytes           INTEGER NOT NULL,    -- bytes of them
    live_blocks     INTEGER NOT NULL,    -- alive at T
    live_bytes      INTEGER NOT NULL,    -- alive at T
    at_peak_bytes   INTEGER NOT NULL,    -- alive at the global peak
    temporary       INTEGER NOT NULL,    -- temporary blocks
    growth_bytes    INTEGER NOT NULL,    -- live bytes at T minus at the end of slice `meta.half_slice`
    self_bytes      INTEGER NOT NULL,    -- bytes of blocks made by exactly this function
    self_live_bytes INTEGER NOT NULL     -- of them, alive at T
);

-- The same from the other end: who allocates, and below it who calls. Cut at depth `meta.inverted_depth`.
CREATE TABLE tree_inverted (
    id              INTEGER PRIMARY KEY, -- parents have smaller ids
    parent          INTEGER,             -- NULL: an innermost function
    frame           INTEGER NOT NULL,    -- the function, by the first of its frames that was seen; `frames.id`
    depth           INTEGER NOT NULL,    -- 0 is the innermost
    allocations     INTEGER NOT NULL,    -- blocks made by this function on behalf of the ones before it
    bytes           INTEGER NOT NULL,    -- bytes of them
    live_blocks     INTEGER NOT NULL,    -- alive at T
    live_bytes      INTEGER NOT NULL,    -- alive at T
    at_peak_bytes   INTEGER NOT NULL,    -- alive at the global peak
    temporary       INTEGER NOT NULL,    -- temporary blocks
    growth_bytes    INTEGER NOT NULL,    -- live bytes at T minus at the end of slice `meta.half_slice`
    self_bytes      INTEGER NOT NULL,    -- bytes of blocks whose backtrace ends or is cut here
    self_live_bytes INTEGER NOT NULL     -- of them, alive at T
);

-- Blocks made by `realloc`: the row that it ended and the row that it began.
CREATE TABLE reallocs (
    new_row INTEGER PRIMARY KEY, -- rowid in allocations of the block that it made
    old_row INTEGER NOT NULL,    -- rowid in allocations of the block that it ended
    moved   INTEGER NOT NULL     -- 1: the address changed
);

-- Unusual requests, summed by site.
CREATE TABLE unusual_layouts (
    bt          INTEGER,          -- the site
    zeroed      INTEGER NOT NULL, -- 1: zeroed memory was asked for
    align       INTEGER NOT NULL, -- alignment in bytes where above 16, else 0
    allocations INTEGER NOT NULL, -- blocks
    bytes       INTEGER NOT NULL  -- bytes of them
);

-- Requests that the allocator could not serve.
CREATE TABLE failures (
    at_ns INTEGER NOT NULL, -- when
    bt       INTEGER,          -- from where
    size     INTEGER NOT NULL, -- bytes asked for
    thread   INTEGER NOT NULL  -- by whom
);

-- Threads by first appearance; 0 enabled tracking, unless `control` did it.
CREATE TABLE threads (
    id          INTEGER PRIMARY KEY, -- number in this recording, never reused
    os_id       INTEGER NOT NULL,    -- number of the operating system
    name        TEXT NOT NULL,       -- last known name, possibly empty
    first_ns INTEGER,             -- first event
    last_ns  INTEGER,             -- last event
    allocations INTEGER NOT NULL,    -- blocks made
    bytes       INTEGER NOT NULL,    -- bytes of them
    frees       INTEGER NOT NULL,    -- blocks freed, whoever made them
    live_blocks INTEGER NOT NULL,    -- made by it and alive at T
    live_bytes  INTEGER NOT NULL     -- bytes of them
);

-- The names of each thread, as they changed; seen at its first event, once a second and at its end.
CREATE TABLE thread_names (
    thread INTEGER NOT NULL, -- `threads.id`
    at_ns  INTEGER NOT NULL, -- when it was seen
    name   TEXT NOT NULL     -- the name, possibly empty
);

-- Memory of the process at the start, once a second and at the end, beside what of it was alive on the recorded heap.
CREATE TABLE memory_readings (
    at_ns        INTEGER NOT NULL, -- when
    rss_bytes    INTEGER,          -- resident memory of the process; NULL: not known
    cgroup_bytes INTEGER,          -- memory that its control group is charged with; NULL: it has none
    live_bytes   INTEGER NOT NULL  -- bytes of blocks that were made since tracking was enabled and were alive then
);

-- What the program said while it ran: `rheaper::mark(name, value)`.
CREATE TABLE marks (
    at_ns  INTEGER NOT NULL, -- when
    name   TEXT NOT NULL,    -- what
    value  INTEGER NOT NULL, -- the number that goes with it
    thread INTEGER NOT NULL  -- by whom, `threads.id`
);

-- Scopes that the program named: `rheaper::scope(name)`, or spans. The same name in another scope is another scope.
CREATE TABLE scopes (
    id     INTEGER PRIMARY KEY, -- number in the recorded process; parents have smaller ones
    parent INTEGER,             -- the scope around it; NULL: none
    name   TEXT NOT NULL,       -- its name
    path   TEXT NOT NULL        -- the names from the outermost scope to this one, with ` > ` between them
);

-- In which scope a block was made: the innermost one. Blocks made in none have no row.
CREATE TABLE allocation_scopes (
    allocation INTEGER PRIMARY KEY, -- rowid in allocations
    scope      INTEGER NOT NULL     -- `scopes.id`
);

-- What was made in a scope itself, not in those inside it, by site.
CREATE TABLE scope_sites (
    scope       INTEGER NOT NULL, -- `scopes.id`
    bt          INTEGER,          -- the site; NULL: not probed
    allocations INTEGER NOT NULL, -- blocks made
    bytes       INTEGER NOT NULL, -- bytes of them
    live_blocks INTEGER NOT NULL, -- alive at T
    live_bytes  INTEGER NOT NULL  -- bytes of them
);

-- Who frees whose blocks: one row a pair of threads, which may be the same one twice.
CREATE TABLE thread_pairs (
    alloc_thread   INTEGER NOT NULL, -- thread that made the blocks, `threads.id`
    dealloc_thread INTEGER NOT NULL, -- thread that freed them, `threads.id`; blocks that nobody is known to have freed are in no row
    blocks         INTEGER NOT NULL, -- how many
    bytes          INTEGER NOT NULL, -- bytes of them
    PRIMARY KEY (alloc_thread, dealloc_thread)
) WITHOUT ROWID;

-- Blocks by the size asked for. Up to 64 KiB each size has its row; above, each power of two is cut into 16 classes of equal width.
CREATE TABLE sizes (
    size        INTEGER PRIMARY KEY, -- the size; above 65536 the largest one of its class
    allocations INTEGER NOT NULL,    -- blocks made
    bytes       INTEGER NOT NULL,    -- bytes of them, exactly
    live_blocks INTEGER NOT NULL,    -- alive at T
    live_bytes  INTEGER NOT NULL     -- bytes of them, exactly
);

-- The same for each site, by powers of two.
CREATE TABLE site_sizes (
    bt          INTEGER NOT NULL, -- the site
    up_to_bytes INTEGER NOT NULL, -- a power of two: sizes above half of it, up to it; 1 has those of 0 as well
    allocations INTEGER NOT NULL, -- blocks made
    bytes       INTEGER NOT NULL, -- bytes of them
    live_blocks INTEGER NOT NULL, -- alive at T
    live_bytes  INTEGER NOT NULL, -- bytes of them
    PRIMARY KEY (bt, up_to_bytes)
) WITHOUT ROWID;

-- Stretches of rows of `allocations` whose blocks ended, with the times in them: what was alive at a moment is in the stretches with `dealloc_to > moment AND alloc_from <= moment`, in `zone_outliers`, or alive at T. queries/alive_through.sql shows how.
CREATE TABLE zone_map (
    first_row    INTEGER PRIMARY KEY, -- first row
    last_row     INTEGER NOT NULL,    -- last row
    alloc_from   INTEGER NOT NULL,    -- when the first of its blocks was made, `zone_outliers` left out
    dealloc_from INTEGER NOT NULL,    -- when the first of its blocks ended
    dealloc_to   INTEGER NOT NULL     -- when the last of its blocks ended
);

-- The few blocks of a zone that are much older than the others: exactly those made before its `alloc_from`.
CREATE TABLE zone_outliers (
    row         INTEGER PRIMARY KEY, -- row of `allocations`
    alloc_after INTEGER NOT NULL     -- when it was made
);

-- The real calls (inlined ones left out) behind the backtraces, so that names can be resolved again without the recording.
CREATE TABLE return_addresses (
    id     INTEGER PRIMARY KEY, -- number of the call
    module INTEGER,             -- the object that it is in, `modules.id`; NULL: none that was recorded
    offset INTEGER NOT NULL     -- address of the call in that object's file; in the process where there is none
);

-- The backtraces as a tree of calls; a stack is a call on top of another stack.
CREATE TABLE stacks (
    id     INTEGER PRIMARY KEY, -- number of the stack; parents have smaller ones
    parent INTEGER,             -- the stack below; NULL: none
    call   INTEGER NOT NULL     -- the innermost call, `return_addresses.id`
);

-- Which stack a backtrace is.
CREATE TABLE backtrace_stacks (
    bt    INTEGER PRIMARY KEY, -- the backtrace
    stack INTEGER              -- `stacks.id`; NULL: it has no calls
);

-- Executable and libraries of the recorded process.
CREATE TABLE modules (
    id             INTEGER PRIMARY KEY, -- number in this recording
    path           TEXT NOT NULL,       -- where the process had it from
    build_id       TEXT,                -- hexadecimal; NULL: it has none
    main           INTEGER NOT NULL,    -- 1: the executable itself
    start_addr     INTEGER NOT NULL,    -- first executable address
    end_addr       INTEGER NOT NULL,    -- behind the last one
    bias           INTEGER NOT NULL,    -- address in the process minus address in the file
    loaded_ns   INTEGER NOT NULL,    -- when it was seen
    unloaded_ns INTEGER,             -- when it was gone; NULL: stayed
    symbols        TEXT NOT NULL,       -- resolved, unchecked (it has no build id), partial (no line tables), recorded (names came with an imported recording), missing, mismatch (another file is in its place), unused
    symbol_file    TEXT                 -- the file that names came from
);

-- Since when blocks that lived shorter than a limit were aggregated: they are in all sums, and have no rows in `allocations`. Live curves and peaks are those of the blocks that have rows. No row: every block has one.
CREATE TABLE aggregation_steps (
    at_ns        INTEGER NOT NULL, -- from then on
    aggregate_below_ns INTEGER NOT NULL, -- what lived shorter has no row
    written_bytes   INTEGER NOT NULL, -- length of the recording then
    reason          TEXT NOT NULL     -- asked (by the program), quota (the recording grew towards its quota)
);

-- How much a block of a sampled recording stands for, by its size: `sum(bytes)` over a join on `size` instead of `sum(size)`, `sum(blocks)` instead of `count(*)`. All other tables hold such estimates already. No row: every block was recorded, and no number is an estimate.
CREATE TABLE sample_weights (
    size   INTEGER PRIMARY KEY, -- size of a sampled block, bytes
    blocks REAL NOT NULL,       -- blocks that it stands for, 1 / (1 - exp(-size / `meta.sample_bytes`))
    bytes  INTEGER NOT NULL     -- bytes of them
);

-- How far the sums of a sampled recording may be off; docs/SAMPLING.md says how that is known. No row: nothing is an estimate.
CREATE TABLE estimates (
    of                  TEXT NOT NULL,    -- whose sums: total (`meta`), site, suspect, tree, tree_inverted
    id                  INTEGER NOT NULL, -- `sites.bt`, `suspects.id`, `tree.id`, `tree_inverted.id`; of total 0
    sampled_blocks      INTEGER NOT NULL, -- blocks made that were sampled
    sampled_bytes       INTEGER NOT NULL, -- bytes of these themselves
    bytes_variance      REAL NOT NULL,    -- variance of `bytes`, bytes²
    bytes_low           INTEGER NOT NULL, -- the true `bytes` are at least this and at most bytes_high, in 95 % of all recordings or more
    bytes_high          INTEGER NOT NULL, -- the other end
    bytes_error         REAL,             -- half of that width, as a share of `bytes`; NULL: that is 0
    live_sampled_blocks INTEGER NOT NULL, -- the same for what is alive at T: sampled blocks
    live_sampled_bytes  INTEGER NOT NULL, -- bytes of these themselves
    live_bytes_variance REAL NOT NULL,    -- variance of `live_bytes`, bytes²
    live_bytes_low      INTEGER NOT NULL, -- the true `live_bytes` are at least this and at most live_bytes_high, as above
    live_bytes_high     INTEGER NOT NULL, -- the other end
    live_bytes_error    REAL,             -- half of that width, as a share of `live_bytes`; NULL: that is 0
    PRIMARY KEY (of, id)
) WITHOUT ROWID;

-- What was lost, cut or could not be paired. All zero is the good case.
CREATE TABLE losses (
    name    TEXT PRIMARY KEY, -- name of the loss
    count   INTEGER NOT NULL, -- how often
    meaning TEXT NOT NULL     -- in one sentence
) WITHOUT ROWID;

-- Facts about the recording and the totals: one name, one value. docs/SCHEMA.md lists the names.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY, -- name
    value                   -- number or text
) WITHOUT ROWID;
