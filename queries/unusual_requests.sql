-- # Zeroed and over-aligned
-- Who asks for zeroed memory, or for more than the usual alignment? Both cost, and are not always
-- needed.
--
-- group  containers
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column zeroed  1: zeroed memory
-- column align : bytes  alignment, where above 16
-- column allocations : count  blocks
-- column bytes : bytes  bytes of them
-- view   table
SELECT layouts.bt AS bt, frames.function AS site, layouts.zeroed AS zeroed, layouts.align AS align,
    layouts.allocations AS allocations, layouts.bytes AS bytes
FROM unusual_layouts
LEFT JOIN sites ON sites.bt = layouts.bt
LEFT JOIN frames ON frames.id = sites.frame
ORDER BY layouts.bytes DESC, layouts.bt, layouts.zeroed, layouts.align
LIMIT :limit;
