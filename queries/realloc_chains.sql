-- # Longest chains of reallocations
-- Containers that were reallocated most often. A chain is one container: each `realloc` replaces
-- its block. In a sampled recording chains consist of samples: steps of small blocks are missing.
--
-- group  containers
-- param  steps : int = 2   minimum number of steps
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the last step
-- column site  first own function of the site
-- column steps : count  number of reallocations
-- column first_bytes : bytes  size before the first step
-- column last_bytes : bytes  size after the last step
-- column copied_bytes : bytes  upper limit of the bytes copied by moving steps
-- column alive  1: live at the end of the recording
-- view   flame
WITH RECURSIVE chains(last, row, steps, copied) AS (
    SELECT new_row, new_row, 0, 0 FROM reallocs
    WHERE new_row NOT IN (SELECT old_row FROM reallocs)
    UNION ALL
    SELECT chains.last, reallocs.old_row, chains.steps + 1,
        chains.copied + reallocs.moved * (SELECT min(a.size, b.size) FROM allocations a, allocations b
            WHERE a.rowid = reallocs.old_row AND b.rowid = reallocs.new_row)
    FROM chains JOIN reallocs ON reallocs.new_row = chains.row
),
-- The row with the most steps is the beginning of the chain.
whole(last, first, steps, copied) AS (SELECT last, row, max(steps), copied FROM chains GROUP BY last)
SELECT z.bt AS bt, frames.function AS site, whole.steps AS steps, a.size AS first_bytes,
    z.size AS last_bytes, whole.copied AS copied_bytes, z.dealloc_after IS NULL AS alive
FROM whole
JOIN allocations a ON a.rowid = whole.first
JOIN allocations z ON z.rowid = whole.last
LEFT JOIN sites ON sites.bt = z.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE whole.steps >= :steps
ORDER BY steps DESC, last_bytes DESC, whole.last
LIMIT :limit;
