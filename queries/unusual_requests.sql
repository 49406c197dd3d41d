-- # Zeroed and over-aligned
-- Allocations of zeroed memory or with more than the usual alignment. Both cost time and are not
-- always needed.
--
-- group  containers
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column zeroed  1: zeroed memory was requested
-- column align : bytes  alignment if above 16, else 0
-- column allocations : count  number of blocks
-- column bytes : bytes  their bytes
-- view   table
SELECT unusual_layouts.bt AS bt, frames.function AS site, unusual_layouts.zeroed AS zeroed, unusual_layouts.align AS align,
    unusual_layouts.allocations AS allocations, unusual_layouts.bytes AS bytes
FROM unusual_layouts
LEFT JOIN sites ON sites.bt = unusual_layouts.bt
LEFT JOIN frames ON frames.id = sites.frame
ORDER BY unusual_layouts.bytes DESC, unusual_layouts.bt, unusual_layouts.zeroed, unusual_layouts.align
LIMIT :limit;
