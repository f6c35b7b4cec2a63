//! The fact tables of the format, `tests/tables/*.tsv`: what CRIU 4.3's own descriptors and sources say.

/// One table: rows of named columns.
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<&'static str>>,
}

/// One row of a table.
#[derive(Clone, Copy)]
pub struct Row<'t> {
    table: &'t Table,
    cells: &'t [&'static str],
}

impl Table {
    fn parse(text: &'static str) -> Self {
        let mut lines = text.lines();
        let columns = lines.next().unwrap().split('\t').collect();
        let rows = lines.map(|line| line.split('\t').collect()).collect();
        Self { columns, rows }
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { table: self, cells })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Row<'_> {
    /// The cell in the column with this name; empty where the row ends before it.
    pub fn get(&self, column: &str) -> &'static str {
        let position = self.table.columns.iter().position(|name| *name == column);
        let position = position.unwrap_or_else(|| panic!("the table has no column {column}"));
        self.cells.get(position).copied().unwrap_or("")
    }

    pub fn number(&self, column: &str) -> u32 {
        self.get(column).parse().unwrap()
    }

    pub fn is(&self, column: &str) -> bool {
        self.get(column) == "1"
    }
}

macro_rules! tables {
    ($($name:ident),*) => {
        $(pub fn $name() -> Table {
            Table::parse(include_str!(concat!("../tables/", stringify!($name), ".tsv")))
        })*
    };
}
tables!(fields, enums, images, messages, magics, dicts, ids);
