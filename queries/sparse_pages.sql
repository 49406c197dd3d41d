-- # Pages held by little
-- Which call sites keep pages of 4 KiB in use that are almost empty? Their blocks are what
-- fragments the heap. A block counts in the page in which it begins. Of a sampled recording all
-- figures are of the samples: what else is in a page is not known.
--
-- group  containers
-- param  percent : int = 10   pages of which at most this much is alive
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column pages : count  such pages that it has blocks in
-- column live_bytes : bytes  its live bytes in them
-- column live_blocks : count  its live blocks in them
-- view   table
-- Rows are in the order in which their blocks ended, live ones last: the scan begins at the first live one.
WITH alive(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
live(page, bt, size) AS MATERIALIZED (
    SELECT addr / 4096, bt, size FROM allocations WHERE rowid > (SELECT ended FROM alive) AND dealloc_after IS NULL AND size < 4096
),
sparse(page) AS MATERIALIZED (
    SELECT page FROM live GROUP BY page HAVING sum(size) * 100 <= 4096 * :percent
)
SELECT live.bt AS bt, frames.function AS site, count(DISTINCT live.page) AS pages,
    sum(live.size) AS live_bytes, count(*) AS live_blocks
FROM live
JOIN sparse ON sparse.page = live.page
LEFT JOIN sites ON sites.bt = live.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY live.bt
ORDER BY pages DESC, live_bytes DESC, live.bt
LIMIT :limit;
