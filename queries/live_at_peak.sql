-- # Live at the peak
-- Who held the memory at the moment when most of it was in use?
--
-- group  moments
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column at_peak_bytes : bytes  alive at the peak
-- column at_peak_blocks : count  alive at the peak
-- column peak_share : share  of all bytes alive at the peak
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.at_peak_bytes AS at_peak_bytes,
    sites.at_peak_blocks AS at_peak_blocks,
    1.0 * sites.at_peak_bytes / (SELECT sum(at_peak_bytes) FROM sites) AS peak_share
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.at_peak_blocks > 0
ORDER BY at_peak_bytes DESC, sites.bt
LIMIT :limit;
