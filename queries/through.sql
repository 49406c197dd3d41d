-- # Everything through a function
-- What is allocated below any function whose name or file matches?
--
-- group  places
-- param  pattern : regex   of a function's full name or a file
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive at the end
-- column bytes : bytes  bytes ever made
-- column allocations : count  blocks ever made
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
