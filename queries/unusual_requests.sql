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
SELECT unusual_layouts.bt AS bt, frames.function AS site, unusual_layouts.zeroed AS zeroed, unusual_layouts.align AS align,
    unusual_layouts.allocations AS allocations, unusual_layouts.bytes AS bytes
FROM unusual_layouts
LEFT JOIN sites ON sites.bt = unusual_layouts.bt
LEFT JOIN frames ON frames.id = sites.frame
ORDER BY unusual_layouts.bytes DESC, unusual_layouts.bt, unusual_layouts.zeroed, unusual_layouts.align
LIMIT :limit;
