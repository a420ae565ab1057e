//! The timeline of a start, drawn from what `run --explain` printed: who acted, one after the other, and how long it took.

use std::fmt::Write as _;

use crate::escaped;

const WIDTH: usize = 480;
const PADDING: usize = 10;
const ROW: usize = 20;
/// Where the bars begin and end.
const LEFT: usize = 120;
const RIGHT: usize = 400;

/// Acts of one primitive in a row.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    name: String,
    inside: bool,
    acts: usize,
    /// Microseconds.
    took: u64,
}

/// The picture of a recording: lines that begin with `#`, which say where it is from, and then the table of `--explain`.
///
/// # Errors
/// The line that is not understood.
pub(crate) fn draw(recording: &str) -> Result<String, String> {
    let from: Vec<&str> = recording.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let runs = parse(recording)?;
    let total: u64 = runs.iter().map(|run| run.took).sum();
    let acts: usize = runs.iter().map(|run| run.acts).sum();
    if total == 0 {
        return Err("no act took any time".to_owned());
    }
    let (mut body, mut y, mut at) = (String::new(), PADDING, 0);
    for text in
        [format!("{acts} acts in {}.{:02} ms", total / 1000, total % 1000 / 10)].iter().map(String::as_str).chain(from)
    {
        text_at(&mut body, PADDING, y + ROW * 3 / 4, "#57606a", "start", text);
        y += ROW;
    }
    for run in &runs {
        let x = LEFT + place(at, total);
        let width = (place(at + run.took, total) - place(at, total)).max(2);
        let fill = if run.inside { "#b35900" } else { "#1f5fa8" };
        text_at(&mut body, PADDING, y + ROW * 3 / 4, fill, "start", &run.name);
        // Writing to a String cannot fail.
        let _ = writeln!(
            body,
            "<rect x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{}\" rx=\"2\" fill=\"{fill}\"/>",
            y + 4,
            ROW - 8
        );
        let took = format!("{} µs", run.took);
        text_at(&mut body, WIDTH - PADDING, y + ROW * 3 / 4, "#57606a", "end", &took);
        at += run.took;
        y += ROW;
    }
    for (fill, text) in [("#1f5fa8", "blue: the parent, on the host"), ("#b35900", "orange: the child, inside")] {
        text_at(&mut body, PADDING, y + ROW * 3 / 4, fill, "start", text);
        y += ROW;
    }
    y += PADDING;
    let alt: Vec<String> = runs.iter().map(|run| format!("{} {} µs", run.name, run.took)).collect();
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"14\">\n<title>{}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" rx=\"8\" fill=\"#fbfaf7\"/>\n{body}</svg>\n",
        escaped(&alt.join(", "))
    ))
}

fn text_at(svg: &mut String, x: usize, y: usize, ink: &str, anchor: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{ink}\" text-anchor=\"{anchor}\">{text}</text>");
}

fn place(at: u64, total: u64) -> usize {
    (at * (RIGHT - LEFT) as u64 / total) as usize
}

fn parse(recording: &str) -> Result<Vec<Run>, String> {
    let mut runs: Vec<Run> = Vec::new();
    let mut name = "";
    for line in recording.lines().filter(|line| !line.starts_with('#') && !line.starts_with("primitive ")) {
        // The last line is the sum.
        if line.contains(" acts ") {
            break;
        }
        let strange = || format!("{line:?} is no line of --explain");
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| ["host", "inside"].contains(word)).ok_or_else(strange)?;
        if place > 1 {
            return Err(strange());
        }
        if place == 1 {
            name = words[0];
        }
        // What is part of another act has no time of its own.
        let [.., took, "µs"] = words[..] else { continue };
        let took = took.parse().map_err(|_| strange())?;
        let inside = words[place] == "inside";
        match runs.last_mut() {
            Some(run) if run.name == name && run.inside == inside => {
                run.took += took;
                run.acts += 1;
            }
            _ => runs.push(Run { name: name.to_owned(), inside, acts: 1, took }),
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: &str = "# somewhere\nprimitive  where  asked  took\noverlay  host  mkdir(\"a\")  100 µs\n         host  \
                             mkdir(\"b\")  50 µs\nuts  host  clone3 with X\nprocess  host  clone3  50 µs\nuts  inside  \
                             sethostname(\"x\")  200 µs\n4 acts  400 µs\n";

    #[test]
    fn acts_of_a_primitive_are_one_bar() {
        let runs = parse(RECORDING).unwrap();
        let seen: Vec<_> = runs.iter().map(|run| (run.name.as_str(), run.inside, run.acts, run.took)).collect();
        assert_eq!(seen, [("overlay", false, 2, 150), ("process", false, 1, 50), ("uts", true, 1, 200)]);
        let svg = draw(RECORDING).unwrap();
        assert!(svg.contains("4 acts in 0.40 ms") && svg.contains("somewhere"), "{svg}");
        assert!(svg.contains("<rect x=\"260\"") && svg.contains("width=\"140\""), "half of the time: {svg}");
    }

    #[test]
    fn what_is_no_recording_is_named() {
        for (recording, word) in [("nonsense\n", "nonsense"), ("", "no act"), ("a  host  b  x µs\n", "x µs")] {
            assert!(draw(recording).unwrap_err().contains(word));
        }
    }
}
