-- # Sparse pages
-- Sites whose live blocks keep almost empty pages of 4 KiB in use, which fragments the heap. A
-- block counts in the page in which it begins. In a sampled recording all numbers are of the
-- samples: the other contents of pages are unknown.
--
-- group  containers
-- param  percent : int = 10   maximum percentage of live bytes in a page
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column pages : count  such pages with blocks of the site
-- column live_bytes : bytes  live bytes of the site in them
-- column live_blocks : count  live blocks of the site in them
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
