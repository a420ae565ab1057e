//! The medians as bars, on a scale of powers of ten: a process and a machine are four of them apart.

use std::fmt::Write as _;

const WIDTH: usize = 720;
const LEFT: usize = 264;
const ROW: usize = 22;

/// One bar a name, of milliseconds.
pub(crate) fn bars(title: &str, rows: &[(String, f64)]) -> String {
    let (mut least, mut most) = (f64::MAX, f64::MIN_POSITIVE);
    for (_, ms) in rows {
        (least, most) = (least.min(*ms), most.max(*ms));
    }
    let (from, to) = (least.log10().floor(), most.log10().ceil());
    let room = (WIDTH - LEFT - 90) as f64;
    let at = |ms: f64| (ms.log10() - from) / (to - from).max(1.0) * room;
    let height = 50 + rows.len() * ROW + 24;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>{title}</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" rx=\"8\" fill=\"#fbfaf7\"/>\n<text x=\"12\" y=\"24\" font-weight=\"600\" fill=\"#1f2328\">{title}</text>\n"
    );
    let mut power = from;
    while power <= to {
        let x = LEFT as f64 + at(10f64.powf(power));
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.0}\" y1=\"36\" x2=\"{x:.0}\" y2=\"{}\" stroke=\"#d0d7de\"/><text x=\"{x:.0}\" y=\"{}\" text-anchor=\"middle\" fill=\"#57606a\">{} ms</text>",
            height - 26,
            height - 10,
            10f64.powf(power)
        );
        power += 1.0;
    }
    for (number, (name, ms)) in rows.iter().enumerate() {
        let y = 40 + number * ROW;
        let fill = if name.starts_with("mini-docker") {
            "#b35900"
        } else if name.starts_with("stage") {
            "#e0a458"
        } else {
            "#1f5fa8"
        };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#1f2328\">{name}</text><rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.0}\" height=\"{}\" rx=\"2\" fill=\"{fill}\"/><text x=\"{:.0}\" y=\"{}\" fill=\"#1f2328\">{ms:.1}</text>",
            LEFT - 8,
            y + 13,
            at(*ms).max(2.0),
            ROW - 6,
            LEFT as f64 + at(*ms).max(2.0) + 6.0,
            y + 13
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_times_have_longer_bars() {
        let svg = bars("t", &[("a".to_owned(), 1.0), ("b".to_owned(), 90.0)]);
        let widths: Vec<usize> = svg
            .lines()
            .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .filter(|width| *width != WIDTH)
            .collect();
        assert!(widths.len() == 2 && widths[0] < widths[1], "{widths:?}");
    }
}
