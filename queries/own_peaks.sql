-- # Each site's own peak
-- The largest live bytes of each site, and their time. The times differ, so the peaks must not be
-- added.
--
-- group  moments
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column peak_bytes : bytes  most live bytes
-- column peak_ns : moment  time of that peak
-- column live_bytes : bytes  bytes live at the end
-- view   table
SELECT sites.bt AS bt, frames.function AS site,
    sites.peak_bytes AS peak_bytes,
    sites.peak_ns AS peak_ns,
    sites.live_bytes AS live_bytes
FROM sites LEFT JOIN frames ON frames.id = sites.frame
ORDER BY peak_bytes DESC, sites.bt
LIMIT :limit;
