-- # Marks
-- Marks of the program with the live bytes at the end of their time slices. Other queries accept
-- marks as moments: `@name` is the last mark of that name, `@name#2` the second.
--
-- group  moments
-- param  limit : int = 1000   maximum number of rows
-- column at_ns : moment  time
-- column mark  name, as accepted for moments
-- column value : count  value of the mark
-- column thread : thread  thread
-- column since_previous_ns : ns  time since the previous mark of any name
-- column live_bytes : bytes  bytes live at the end of its time slice
SELECT at_ns AS at_ns,
    '@' || name || '#' || row_number() OVER (PARTITION BY name ORDER BY at_ns, rowid) AS mark,
    value, thread, at_ns - lag(at_ns) OVER (ORDER BY at_ns, rowid) AS since_previous_ns,
    (SELECT live_bytes FROM timeline WHERE from_ns <= marks.at_ns ORDER BY slice DESC LIMIT 1) AS live_bytes
FROM marks
ORDER BY at_ns, rowid
LIMIT :limit;
