-- Created after all rows are inserted. Each index serves a measured query. There is none on `allocations.bt`, because
-- it makes `GROUP BY bt` slower.

-- Live blocks by age: never_freed_older_than scans no other rows.
CREATE INDEX allocations_live ON allocations (alloc_after) WHERE dealloc_after IS NULL;

-- From a frame to the backtraces that contain it: `WHERE file LIKE '%main.rs%'`.
CREATE INDEX backtrace_frames_by_frame ON backtrace_frames (frame);

-- From a node to its children, to expand a tree level by level.
CREATE INDEX tree_by_parent ON tree (parent);
CREATE INDEX tree_inverted_by_parent ON tree_inverted (parent);
