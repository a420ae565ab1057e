//! Tables as Docker prints them: columns as wide as their longest cell, three spaces between, none under ten wide.

use std::fmt::Write;

use crate::visible;

/// Between the longest cell of a column and the next column.
const PADDING: usize = 3;
/// The least width of a column, with what is between.
const LEAST: usize = 10;

/// Lays lines out whose cells end in tabs: a column is what follows one another, line by line.
pub(crate) fn align(text: &str) -> String {
    align_to(text, LEAST)
}

/// As [`align`], with another least width of a column.
pub(super) fn align_to(text: &str, least: usize) -> String {
    let text = &*visible::text(text);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let width = |cell: &str| cell.chars().count();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    for line in 0..lines.len() {
        for column in 0..widths[line].len() {
            if widths[line][column] > 0 {
                continue;
            }
            let block = lines[line..].iter().take_while(|cells| cells.len() > column + 1);
            let widest = block.clone().map(|cells| width(cells[column]) + PADDING).max().unwrap_or(0).max(least);
            let end = line + block.count();
            widths[line..end].iter_mut().for_each(|widths| widths[column] = widest);
        }
    }
    let mut aligned = String::with_capacity(2 * text.len());
    for (cells, widths) in lines.iter().zip(&widths) {
        for (cell, width) in cells.iter().zip(widths.iter().chain([&0])) {
            // Writing to a String cannot fail.
            let _ = write!(aligned, "{cell:width$}");
        }
        aligned.push('\n');
    }
    aligned
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_cell_commands_a_terminal() {
        assert_eq!(super::align("a\u{1b}[31mb\tc\u{9b}1m\n"), "a\\x1b[31mb   c\\u009b1m\n");
    }

    #[test]
    fn columns_are_blocks_of_lines() {
        assert_eq!(super::align("A\tB\tC\n1\t22222222\t3\n"), "A         B          C\n1         22222222   3\n");
        assert_eq!(super::align("long long cell\tx\nno cell\na\tb\n"), "long long cell   x\nno cell\na         b\n");
    }
}
