-- # Growing step by step
-- Which call sites grow or shrink blocks most often? Each step that moves copies the whole block:
-- reserve ahead.
--
-- group  containers
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column reallocs : count  steps
-- column reallocs_moved : count  of these, with a copy to another place
-- column moved_share : share  of the steps
-- column bytes : bytes  bytes asked for, in all steps
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.reallocs AS reallocs,
    sites.reallocs_moved AS reallocs_moved,
    1.0 * sites.reallocs_moved / sites.reallocs AS moved_share,
    sites.bytes AS bytes
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.reallocs > 0
ORDER BY sites.reallocs DESC, sites.bt
LIMIT :limit;
