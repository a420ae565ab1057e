//! Figures of the book that are excerpts of what the benchmarks wrote.

/// Rows of the start-up report that the chapter about machines shows.
const ROWS: [&str; 5] =
    ["contestant", "---", "fork and exec", "mini-docker, bridge and port", "docker, bridge and port"];
/// And all of these.
const MACHINES: &str = "QEMU ";
/// The columns of it: who, when the first word is there and the first page, and the memory.
const COLUMNS: [usize; 4] = [0, 1, 7, 8];

/// What containers and machines cost beside each other, from the report's table.
pub fn machines(report: &str) -> String {
    let excerpt = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let is_wanted = ROWS.contains(&cells[0]) || cells[0].starts_with(MACHINES);
        if !is_wanted {
            return None;
        }
        let kept: Vec<&str> = COLUMNS.iter().filter_map(|&column| cells.get(column).copied()).collect();
        Some(format!("| {} |\n", kept.join(" | ")))
    };
    report.lines().filter(|line| line.starts_with('|')).filter_map(excerpt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_chosen() {
        let report = "| contestant | a | b | c | d | e | f | g | h |\n|---|---|---|---|---|---|---|---|---|\n\
                      | mini-docker | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 |\n| QEMU q35 (x) | 1 | 2 | 3 | 4 | 5 | 6 | 7 |  |\n\nwords\n";
        assert_eq!(
            machines(report),
            "| contestant | a | g | h |\n| --- | --- | --- | --- |\n| QEMU q35 (x) | 1 | 7 |  |\n"
        );
    }
}
