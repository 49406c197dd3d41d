-- # By line
-- Lines of the program by bytes live at the peak, allocated bytes, live bytes or temporary blocks.
-- A site belongs to the line of its first own function; without any, to that of a dependency.
--
-- group  places
-- param  measure : text = peak   order by peak, bytes, live or temporary
-- param  limit : int = 50   maximum number of rows
-- column file  source file
-- column line : count  line
-- column function  function
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
by_frame AS MATERIALIZED (
    SELECT frame, sum(at_peak_bytes) AS at_peak_bytes, sum(bytes) AS bytes, sum(live_bytes) AS live_bytes,
        sum(allocations) AS allocations, sum(temporary) AS temporary, count(*) AS sites
    FROM sites GROUP BY frame
)
SELECT frames.file AS file, frames.line AS line, frames.function AS function,
    sum(by_frame.at_peak_bytes) AS at_peak_bytes,
    1.0 * sum(by_frame.at_peak_bytes) / whole.at_peak_bytes AS peak_share,
    sum(by_frame.bytes) AS bytes, 1.0 * sum(by_frame.bytes) / whole.bytes AS bytes_share,
    sum(by_frame.live_bytes) AS live_bytes, 1.0 * sum(by_frame.live_bytes) / whole.live_bytes AS live_share,
    sum(by_frame.allocations) AS allocations, sum(by_frame.temporary) AS temporary,
    sum(by_frame.sites) AS sites
FROM by_frame JOIN frames ON frames.id = by_frame.frame CROSS JOIN whole
GROUP BY frames.file, frames.line, frames.sym
ORDER BY CASE :measure WHEN 'bytes' THEN sum(by_frame.bytes) WHEN 'live' THEN sum(by_frame.live_bytes)
    WHEN 'temporary' THEN sum(by_frame.temporary) ELSE sum(by_frame.at_peak_bytes) END DESC,
    sum(by_frame.bytes) DESC, frames.file, frames.line, frames.sym
LIMIT :limit;
