-- # Sites of a scope
-- Where is the memory made that a scope holds, the scopes inside it included?
--
-- group  leaks
-- param  scope : int   its number, as `leaks_by_scope` gives it
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  made in the scope and alive at the end
-- column live_blocks : count  how many
-- column bytes : bytes  all that was ever made here in the scope
-- column allocations : count  how many
-- view   flame
WITH RECURSIVE inside(scope) AS (
    SELECT id FROM scopes WHERE id = :scope
    UNION ALL
    SELECT scopes.id FROM inside JOIN scopes ON scopes.parent = inside.scope
)
SELECT scope_sites.bt AS bt, frames.function AS site, sum(scope_sites.live_bytes) AS live_bytes,
    sum(scope_sites.live_blocks) AS live_blocks, sum(scope_sites.bytes) AS bytes,
    sum(scope_sites.allocations) AS allocations
FROM inside
JOIN scope_sites ON scope_sites.scope = inside.scope
LEFT JOIN sites ON sites.bt = scope_sites.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY scope_sites.bt
ORDER BY live_bytes DESC, bytes DESC, scope_sites.bt
LIMIT :limit;
