//! Patterns of ignore files by backtracking, where the engine walks positions.

use mini_docker::engine::build::dockerfile::clean;

/// Longer ones take backtracking for ever.
const LONGEST: usize = 40;

/// Whether the path is excluded; `None` where that takes too long, or a pattern has what this one does not know.
pub(crate) fn excludes(file: &str, path: &str) -> Option<bool> {
    let mut excluded = false;
    for line in file.strip_prefix('\u{feff}').unwrap_or(file).lines() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let line = line.trim();
        let (exception, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
        let pattern = clean(pattern);
        let pattern = pattern.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&pattern);
        // Who compiles them trims once more, with the exclamation mark.
        let pattern = if exception { pattern } else { pattern.trim() };
        if pattern.is_empty() {
            continue;
        }
        let pattern = &clean(pattern);
        // Docker has a short cut of its own for `**name`.
        let short = pattern.starts_with("**") && !pattern.starts_with("**/");
        // Who compiles them cleans `!../x` as a path of which `!..` is a part.
        let short = short || exception && pattern.starts_with("..");
        let unknown = short || pattern.contains(['[', '\\', '!']) || pattern.contains("***");
        if unknown || pattern.len() > LONGEST || path.len() > LONGEST {
            return None;
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let pattern: Vec<char> = pattern.chars().collect();
        if ends.into_iter().any(|end| matches(&pattern, &path[..end].chars().collect::<Vec<_>>())) {
            excluded = !exception;
        }
    }
    Some(excluded)
}

fn matches(pattern: &[char], path: &[char]) -> bool {
    match pattern {
        [] => path.is_empty(),
        ['*', '*'] | ['*', '*', '/'] => true,
        ['*', '*', rest @ ..] => {
            let rest = rest.strip_prefix(&['/']).unwrap_or(rest);
            let behind = (0..path.len()).filter(|at| path[*at] == '/').map(|at| at + 1);
            [0].into_iter().chain(behind).any(|at| matches(rest, &path[at..]))
        }
        ['*', rest @ ..] => {
            let most = path.iter().take_while(|c| **c != '/').count();
            (0..=most).any(|at| matches(rest, &path[at..]))
        }
        ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && matches(rest, &path[1..]),
        [c, rest @ ..] => path.first() == Some(c) && matches(rest, &path[1..]),
    }
}
