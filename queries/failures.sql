-- # Failed allocations
-- Allocations that the allocator could not satisfy.
--
-- group  recording
-- param  limit : int = 50   maximum number of rows
-- column at_ns : moment  time
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column size : bytes  requested bytes
-- column thread : thread  thread
-- view   table
SELECT failures.at_ns AS at_ns, failures.bt AS bt, frames.function AS site, failures.size AS size,
    failures.thread AS thread
FROM failures
LEFT JOIN sites ON sites.bt = failures.bt
LEFT JOIN frames ON frames.id = sites.frame
ORDER BY failures.at_ns, failures.bt
LIMIT :limit;
