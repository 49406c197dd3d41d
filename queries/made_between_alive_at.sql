-- # Made between two moments, alive at a third
-- What was made between a moment A and a moment B and still alive at a moment C? Give marks to name
-- them: `--from @begin --to @end --alive-at @settled` is what one step of the program left behind.
-- Reads every allocation, unless C is the end of the recording.
--
-- group  leaks
-- param  from : time = 0   A: made then or later
-- param  to : time =    B: made then or earlier; the end of the recording if not given
-- param  alive_at : time =    C: alive then; the end of the recording if not given
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column alive_bytes : bytes  bytes of these blocks
-- column alive_blocks : count  how many
-- view   flame
-- Rows stand in the order in which their blocks ended, those that are alive last: the others need no look.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'allocations')
        - (SELECT value FROM meta WHERE key = 'live_blocks'), 0)
),
kept(bt, size) AS (
    SELECT bt, size FROM allocations
    WHERE rowid > (SELECT ended FROM live) AND dealloc_after IS NULL AND alloc_after >= :from
        AND (:to IS NULL OR alloc_after <= :to) AND (:alive_at IS NULL OR alloc_after <= :alive_at)
    UNION ALL
    SELECT bt, size FROM allocations
    WHERE :alive_at IS NOT NULL AND alloc_after >= :from AND (:to IS NULL OR alloc_after <= :to)
        AND alloc_after <= :alive_at AND dealloc_after > :alive_at
)
SELECT kept.bt AS bt, frames.function AS site, sum(kept.size) AS alive_bytes, count(*) AS alive_blocks
FROM kept
LEFT JOIN sites ON sites.bt = kept.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY kept.bt
ORDER BY alive_bytes DESC, kept.bt
LIMIT :limit;
