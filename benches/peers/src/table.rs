//! Tables for the terminal.

use crate::figures::MISSING;
use std::fmt;

/// Rows of text. The first column is aligned left, and the others right.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with this header.
    pub fn new(head: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut table = Table::default();
        table.row(head);
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Formats a cell: the number with groups of three digits and `decimals` decimals, or `n/a`.
    pub fn number(value: Option<f64>, decimals: usize) -> String {
        let Some(value) = value else { return MISSING.into() };
        let text = format!("{value:.decimals$}");
        let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
        let mut cell = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) && !cell.ends_with('-') {
                cell.push(',');
            }
            cell.push(digit);
        }
        cell + fraction
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| {
            let cells = self.rows.iter().filter_map(|row: &Vec<String>| row.get(column));
            cells.map(String::len).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "{cell:<width$}")?,
                    _ => write!(f, "  {cell:>width$}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(Table::number(Some(1_234_567.0), 0), "1,234,567");
        assert_eq!(Table::number(Some(123.46), 1), "123.5");
        assert_eq!(Table::number(Some(-123_456.0), 0), "-123,456");
        assert_eq!(Table::number(None, 0), "n/a");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["peer", "max"]);
        table.row(["a", "12345"]);
        assert_eq!(table.to_string(), "peer    max\na     12345\n");
    }
}
