//! Aligned columns of text.

/// Which side a column's text leans to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lean {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading, each line indented by two spaces.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Lean)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Lean)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. Control characters become `?`: what agents and origins sent must not drive the operator's terminal.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        let tame = |cell: String| cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        self.rows.push(cells.into_iter().map(tame).collect());
    }

    /// The table, one line a row.
    pub(super) fn text(&self) -> String {
        let heading: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let lines = || std::iter::once(&heading).chain(&self.rows);
        let width = |index: usize| {
            lines().filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let mut text = String::new();
        for row in lines() {
            let mut line = String::new();
            for (index, (cell, (_, lean))) in row.iter().zip(&self.columns).enumerate() {
                let width = width(index);
                line += "  ";
                let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
                match lean {
                    Lean::Left => line.extend([cell.as_str(), &blanks]),
                    Lean::Right => line.extend([blanks.as_str(), cell]),
                }
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}
