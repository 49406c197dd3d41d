-- # Refused requests
-- Which requests could the allocator not serve, when and from where?
--
-- group  recording
-- param  limit : int = 50   most rows
-- column at_ns : moment  when
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column size : bytes  bytes asked for
-- column thread : thread  by whom
-- view   table
SELECT failures.at_ns AS at_ns, failures.bt AS bt, frames.function AS site, failures.size AS size,
    failures.thread AS thread
FROM failures
LEFT JOIN sites ON sites.bt = failures.bt
LEFT JOIN frames ON frames.id = sites.frame
ORDER BY failures.at_ns, failures.bt
LIMIT :limit;
