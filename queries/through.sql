-- # Everything through a function
-- Allocations below any function whose name or file matches a pattern.
--
-- group  places
-- param  pattern : regex   regular expression for full function names and files
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the end
-- column bytes : bytes  allocated bytes
-- column allocations : count  number of allocations
-- view   flame
WITH matching(frame) AS MATERIALIZED (
    SELECT id FROM frames WHERE sym REGEXP :pattern OR file REGEXP :pattern
),
below(bt) AS MATERIALIZED (
    SELECT DISTINCT bt FROM backtrace_frames WHERE frame IN (SELECT frame FROM matching)
)
SELECT sites.bt AS bt, frames.function AS site, sites.live_bytes AS live_bytes, sites.bytes AS bytes,
    sites.allocations AS allocations
FROM below
JOIN sites ON sites.bt = below.bt
LEFT JOIN frames ON frames.id = sites.frame
ORDER BY sites.live_bytes DESC, sites.bytes DESC, sites.bt
LIMIT :limit;
