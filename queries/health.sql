-- # Health of the recording
-- Loss counters and the completeness of backtraces. A complete recording has only zeros. Data that
-- an imported recording does not contain at all is not counted.
--
-- group  recording
-- column what  name of the counter, or state of backtraces
-- column count : count  value
-- column meaning  explanation
-- view   table
SELECT name AS what, count, meaning FROM losses
UNION ALL
SELECT replace(key, '_', ' '), NULL, value FROM meta WHERE key LIKE 'not\_recorded\_%' ESCAPE '\'
UNION ALL
SELECT 'backtraces ' || stack, count(*),
    CASE stack WHEN 'truncated' THEN 'distinct backtraces that are deeper than the limit'
        WHEN 'failed' THEN 'distinct backtraces that could not be unwound to their end'
        ELSE 'blocks whose backtrace is unknown, as the recorder''s table was full' END
FROM sites WHERE stack <> 'whole' GROUP BY stack
ORDER BY count DESC, what;
