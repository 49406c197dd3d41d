-- # By caller
-- Functions with their callers by bytes live at the peak, allocated bytes, live bytes or temporary
-- blocks. The caller is the next own function outwards.
--
-- group  places
-- param  measure : text = peak   order by peak, bytes, live or temporary
-- param  limit : int = 50   maximum number of rows
-- column function  function
-- column caller  its caller; NULL: no other own function
-- column at_peak_bytes : bytes  bytes live at the peak
-- column peak_share : share  share of all bytes live at the peak
-- column bytes : bytes  allocated bytes
-- column bytes_share : share  share of all allocated bytes
-- column live_bytes : bytes  bytes live at the end
-- column live_share : share  share of all bytes live at the end
-- column allocations : count  number of allocations
-- column temporary : count  temporary blocks
-- column sites : count  number of sites
-- view   table
WITH whole AS (
    SELECT nullif(sum(at_peak_bytes), 0) AS at_peak_bytes, nullif(sum(bytes), 0) AS bytes,
        nullif(sum(live_bytes), 0) AS live_bytes
    FROM sites
),
by_frames AS MATERIALIZED (
    SELECT frame, caller, sum(at_peak_bytes) AS at_peak_bytes, sum(bytes) AS bytes,
        sum(live_bytes) AS live_bytes, sum(allocations) AS allocations, sum(temporary) AS temporary,
        count(*) AS sites
    FROM sites GROUP BY frame, caller
)
SELECT frames.function AS function, callers.function AS caller,
    sum(by_frames.at_peak_bytes) AS at_peak_bytes,
    1.0 * sum(by_frames.at_peak_bytes) / whole.at_peak_bytes AS peak_share,
    sum(by_frames.bytes) AS bytes, 1.0 * sum(by_frames.bytes) / whole.bytes AS bytes_share,
    sum(by_frames.live_bytes) AS live_bytes,
    1.0 * sum(by_frames.live_bytes) / whole.live_bytes AS live_share,
    sum(by_frames.allocations) AS allocations, sum(by_frames.temporary) AS temporary,
    sum(by_frames.sites) AS sites
FROM by_frames JOIN frames ON frames.id = by_frames.frame
LEFT JOIN frames AS callers ON callers.id = by_frames.caller CROSS JOIN whole
GROUP BY frames.sym, callers.sym
ORDER BY CASE :measure WHEN 'bytes' THEN sum(by_frames.bytes) WHEN 'live' THEN sum(by_frames.live_bytes)
    WHEN 'temporary' THEN sum(by_frames.temporary) ELSE sum(by_frames.at_peak_bytes) END DESC,
    sum(by_frames.bytes) DESC, frames.sym, callers.sym
LIMIT :limit;
