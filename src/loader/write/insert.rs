//! The macro [`insert!`], which inserts rows with each value beside the name of its column.

use rusqlite::{Connection, Result, Statement};

/// Inserts rows into a table: `insert!(connection, "table", rows, |row| { column: value, … })`.
///
/// All columns of the table must be named, in any order; a debug build checks it. Expands to a
/// statement that returns early with a `rusqlite::Error`.
macro_rules! insert {
    ($connection:expr, $table:expr, $rows:expr, |$row:pat_param| { $($column:ident: $value:expr),+ $(,)? }) => {{
        const COLUMNS: &[&str] = &[$(stringify!($column)),+];
        let mut insert = crate::loader::write::insert::prepare($connection, $table, COLUMNS)?;
        for $row in $rows {
            let mut index = 0;
            $(
                index += 1;
                insert.raw_bind_parameter(index, $value)?;
            )+
            insert.raw_execute()?;
        }
    }};
}
pub(crate) use insert;

/// Prepares the statement that [`insert!`] executes per row.
pub(crate) fn prepare<'c>(
    connection: &'c Connection,
    table: &str,
    columns: &[&str],
) -> Result<Statement<'c>> {
    #[cfg(debug_assertions)]
    {
        let sql = "SELECT count(*) FROM pragma_table_info(?1)";
        let count: i64 = connection.query_row(sql, [table], |row| row.get(0))?;
        assert_eq!(columns.len() as i64, count, "columns of {table}");
    }
    let names = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let marks = vec!["?"; columns.len()].join(", ");
    connection.prepare(&format!("INSERT INTO {table} ({names}) VALUES ({marks})"))
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, Result};

    #[test]
    fn values_go_to_the_columns_beside_them() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE pairs (a INTEGER, \"of\" TEXT)").unwrap();
        let fill = || -> Result<()> {
            insert!(&connection, "pairs", [(1, "x"), (2, "y")], |(number, text)| {
                of: text,
                a: number,
            });
            Ok(())
        };
        fill().unwrap();
        let sql = "SELECT group_concat(a || \"of\") FROM pairs";
        let rows: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, "1x,2y");
    }
}
