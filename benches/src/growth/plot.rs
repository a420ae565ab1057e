//! A small plot for each figure: sizes by powers of ten, figures from zero.

use std::fmt::Write as _;

use super::Series;
use crate::document::short;

const COLUMNS: usize = 3;
const WIDTH: usize = 280;
const HEIGHT: usize = 170;
const HEAD: usize = 44;

/// All figures in one picture, three a row.
pub(super) fn panels(title: &str, all: &[Series]) -> String {
    let shown: Vec<&Series> = all.iter().filter(|one| one.points.len() > 1).collect();
    let (width, height) = (COLUMNS * WIDTH, HEAD + shown.len().div_ceil(COLUMNS) * HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<title>{title}</title>\n<rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#fbfaf7\"/>\n<text x=\"12\" y=\"26\" font-size=\"14\" font-weight=\"600\" fill=\"#1f2328\">{title}</text>\n"
    );
    for (number, one) in shown.iter().enumerate() {
        let at = ((number % COLUMNS) * WIDTH, HEAD + (number / COLUMNS) * HEIGHT);
        panel(&mut svg, at, one);
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, (left, top): (usize, usize), one: &Series) {
    let (x0, y0) = (left as f64 + 20.0, top as f64 + 118.0);
    let (room_x, room_y) = (WIDTH as f64 - 60.0, 84.0);
    let most = one.points.iter().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let last = one.points.last().map_or(1.0, |point| f64::from(point.0).log10());
    let first = one.points.first().map_or(0.0, |point| f64::from(point.0).log10());
    let x = |size: u32| x0 + (f64::from(size).log10() - first) / (last - first).max(f64::MIN_POSITIVE) * room_x;
    let y = |figure: f64| y0 - figure / most * room_y;
    // Writing to a String cannot fail.
    let name = one.name.replace('`', "");
    let _ = writeln!(svg, "<text x=\"{x0:.0}\" y=\"{}\" font-size=\"11\" fill=\"#1f2328\">{name}</text>", top + 14);
    let _ = writeln!(
        svg,
        "<line x1=\"{x0:.0}\" y1=\"{y0:.0}\" x2=\"{:.0}\" y2=\"{y0:.0}\" stroke=\"#d0d7de\"/>",
        x0 + room_x + 12.0
    );
    let line: Vec<_> = one.points.iter().map(|(size, figure)| format!("{:.1},{:.1}", x(*size), y(*figure))).collect();
    let _ =
        writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"#b35900\" stroke-width=\"2\"/>", line.join(" "));
    for (size, figure) in &one.points {
        let _ = writeln!(
            svg,
            "<circle cx=\"{0:.1}\" cy=\"{1:.1}\" r=\"3\" fill=\"#b35900\"/><text x=\"{0:.1}\" y=\"{2:.1}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#1f2328\">{3}</text><text x=\"{0:.1}\" y=\"{4:.0}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#57606a\">{size}</text>",
            x(*size),
            y(*figure),
            y(*figure) - 7.0,
            short(*figure),
            y0 + 14.0,
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#57606a\">{}</text>",
        x0 + room_x / 2.0,
        y0 + 28.0,
        one.of
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_higher_and_further_right() {
        let series = Series { points: vec![(1, 1.0), (10, 2.0), (100, 4.0)], ..Series::new("a", "b") };
        let svg = panels("t", &[series]);
        let line = svg.split("<polyline points=\"").nth(1).unwrap().split('"').next().unwrap();
        let points: Vec<(f64, f64)> = line
            .split(' ')
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        assert!(points.is_sorted_by(|one, next| one.0 < next.0 && one.1 > next.1), "{points:?}");
    }

    #[test]
    fn one_point_is_no_plot() {
        let series = Series { points: vec![(1, 1.0)], ..Series::new("a", "b") };
        assert!(!panels("t", &[series]).contains("polyline"));
    }
}
