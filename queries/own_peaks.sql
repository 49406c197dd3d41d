-- # Each site's own peak
-- What is the most that each call site ever held, and when? These moments differ, so never add the
-- figures.
--
-- group  moments
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column peak_bytes : bytes  most alive at once
-- column peak_ns : moment  when that was
-- column live_bytes : bytes  alive at the end
-- view   table
SELECT sites.bt AS bt, frames.function AS site,
    sites.peak_bytes AS peak_bytes,
    sites.peak_ns AS peak_ns,
    sites.live_bytes AS live_bytes
FROM sites LEFT JOIN frames ON frames.id = sites.frame
ORDER BY peak_bytes DESC, sites.bt
LIMIT :limit;
