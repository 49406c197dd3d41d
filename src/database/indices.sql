-- Made when all rows are in. Each one is here because a measured query needs it; a plain index on
-- `allocations.bt` is not, because it makes `GROUP BY bt` slower than none.

-- Blocks not freed, by age: answers "never freed, older than" without a look at all rows.
CREATE INDEX allocations_live ON allocations (alloc_after) WHERE dealloc_after IS NULL;

-- From a place in the code to the backtraces through it: `WHERE file LIKE '%main.rs%'`.
CREATE INDEX backtrace_frames_by_frame ON backtrace_frames (frame);

-- From a node to its children, to open a tree step by step.
CREATE INDEX tree_by_parent ON tree (parent);
CREATE INDEX tree_inverted_by_parent ON tree_inverted (parent);
