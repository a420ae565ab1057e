//! Pictures of what is inside of what, drawn from a few lines of text: one style for the whole book, on a card of its own,
//! so that they can be read on a light page and on a dark one.
//!
//! ```text
//! panel Before
//!   host the machine
//!     proc sh
//!     file /etc/passwd
//!     no kill 1 reaches everybody
//! panel After
//!   host the machine
//!     ns pid namespace
//!       proc init
//!       note it sees itself as 1
//! ```
//!
//! Two blanks a level. `panel`, `host` (a machine, a network) and `ns` (what a primitive makes) hold others; `proc`
//! (a process), `file` (a file, a packet, a name), `no` (what is refused), `ok` (what works) and `note` do not.
#![forbid(unsafe_code)]

mod timeline;

use std::{fmt::Write as _, fs, io, path::Path};

/// Units of the picture, which is this wide.
const WIDTH: usize = 480;
const PADDING: usize = 10;
const LINE: usize = 18;
/// Ten times the mean width of a letter.
const TEN_LETTERS: usize = 73;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Panel,
    Host,
    Namespace,
    Process,
    File,
    Refused,
    Works,
    Note,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    text: String,
    children: Vec<Node>,
}

/// The picture of a file, as SVG: of a description (`.txt`), or of a recording of `run --explain` (`.explain`). None for other
/// files.
///
/// # Errors
/// A file that cannot be read, or a line of it that is not understood.
pub fn picture(path: &Path) -> io::Result<Option<String>> {
    let draw = match path.extension().and_then(|extension| extension.to_str()) {
        Some("txt") => draw,
        Some("explain") => timeline::draw,
        _ => return Ok(None),
    };
    let wrong = |e| io::Error::other(format!("{}: {e}", path.display()));
    draw(&fs::read_to_string(path)?).map(Some).map_err(wrong)
}

/// The picture of a description, as SVG.
///
/// # Errors
/// The line that is not understood.
fn draw(description: &str) -> Result<String, String> {
    let panels = parse(description)?;
    let mut body = String::new();
    let mut y = PADDING;
    for panel in &panels {
        y += draw_node(&mut body, panel, PADDING, y, WIDTH - 2 * PADDING) + PADDING;
    }
    let alt = panels.iter().map(words).collect::<Vec<_>>().join(". ");
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"14\">\n<title>{}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" rx=\"8\" fill=\"#fbfaf7\"/>\n{body}</svg>\n",
        escaped(&alt)
    ))
}

fn words(node: &Node) -> String {
    let inner: Vec<_> = node.children.iter().map(words).collect();
    if inner.is_empty() { node.text.clone() } else { format!("{}: {}", node.text, inner.join(", ")) }
}

fn parse(description: &str) -> Result<Vec<Node>, String> {
    let lines: Vec<(usize, &str)> = description
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| (line.len() - line.trim_start().len(), line.trim()))
        .collect();
    let (nodes, rest) = level(&lines, 0)?;
    match rest.first() {
        Some((_, line)) => Err(format!("{line:?} belongs to nothing")),
        None if nodes.iter().all(|node| node.kind == Kind::Panel) && !nodes.is_empty() => Ok(nodes),
        None => Err("a picture is made of panels".to_owned()),
    }
}

type Lines<'a> = &'a [(usize, &'a str)];

fn level(mut lines: Lines<'_>, indent: usize) -> Result<(Vec<Node>, Lines<'_>), String> {
    let mut nodes = Vec::new();
    while let Some(((depth, line), rest)) = lines.split_first() {
        if *depth != indent {
            break;
        }
        let (word, text) = line.split_once(' ').unwrap_or((line, ""));
        let kind = match word {
            "panel" => Kind::Panel,
            "host" => Kind::Host,
            "ns" => Kind::Namespace,
            "proc" => Kind::Process,
            "file" => Kind::File,
            "no" => Kind::Refused,
            "ok" => Kind::Works,
            "note" => Kind::Note,
            _ => return Err(format!("{line:?} is nothing that can be drawn")),
        };
        let (children, after) = level(rest, indent + 2)?;
        nodes.push(Node { kind, text: text.to_owned(), children });
        lines = after;
    }
    Ok((nodes, lines))
}

/// Draws a node, and returns its height.
fn draw_node(svg: &mut String, node: &Node, x: usize, y: usize, width: usize) -> usize {
    let (fill, stroke, dash, ink) = match node.kind {
        Kind::Panel => ("none", "none", "", "#1f2328"),
        Kind::Host => ("#eef1f4", "#57606a", "", "#1f2328"),
        Kind::Namespace => ("#fff4e0", "#b35900", "6 3", "#7a3d00"),
        Kind::Process => ("#dcebfb", "#1f5fa8", "", "#0b3a6f"),
        Kind::File => ("#e9f5e4", "#3d7a26", "", "#24521a"),
        Kind::Refused => ("#fde7e7", "#b3261e", "", "#8c1d18"),
        Kind::Works => ("#e4f6ea", "#1a7f37", "", "#11552a"),
        Kind::Note => ("none", "none", "", "#57606a"),
    };
    let sign = match node.kind {
        Kind::Refused => "✗ ",
        Kind::Works => "✓ ",
        _ => "",
    };
    let lines = wrapped(&format!("{sign}{}", node.text), (width - 2 * PADDING) * 10 / TEN_LETTERS);
    let mut inner = String::new();
    let mut height = PADDING / 2 + lines.len() * LINE;
    for child in &node.children {
        height += PADDING / 2;
        height += draw_node(&mut inner, child, x + PADDING, y + height, width - 2 * PADDING);
    }
    height += PADDING / 2 + if node.children.is_empty() { 0 } else { PADDING / 2 };
    let radius = if node.kind == Kind::Process { 12 } else { 4 };
    // Writing to a String cannot fail.
    if fill != "none" {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-dasharray=\"{dash}\"/>"
        );
    }
    let weight = if matches!(node.kind, Kind::Panel | Kind::Host | Kind::Namespace) { "600" } else { "400" };
    for (number, line) in lines.iter().enumerate() {
        let baseline = y + PADDING / 2 + number * LINE + 3 * LINE / 4;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{baseline}\" fill=\"{ink}\" font-weight=\"{weight}\">{}</text>",
            x + PADDING,
            escaped(line)
        );
    }
    svg.push_str(&inner);
    height
}

fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("one line at least");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > most {
            lines.push(word.to_owned());
        } else {
            last.push_str(if last.is_empty() { "" } else { " " });
            last.push_str(word);
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_drawn_inside() {
        let svg = draw("panel A\n  host machine\n    proc a < b\n").unwrap();
        assert!(svg.contains("a &lt; b") && svg.contains("<title>A: machine: a &lt; b</title>"), "{svg}");
        let rows: Vec<usize> =
            svg.lines().filter_map(|line| line.strip_prefix("<rect x=\"")?.split('"').next()?.parse().ok()).collect();
        assert_eq!(rows, [20, 30], "the process is further in than its machine");
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        for (description, word) in
            [("panel A\n  bos x\n", "bos"), ("panel A\n      proc x\n", "proc x"), ("", "panels")]
        {
            assert!(draw(description).unwrap_err().contains(word));
        }
    }

    #[test]
    fn the_book_has_the_pictures_that_are_described() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        for path in fs::read_dir(here).unwrap().map(|entry| entry.unwrap().path()) {
            if let Some(made) = picture(&path).unwrap() {
                let name = path.with_extension("svg");
                let drawn = here.join("../src/pictures").join(name.file_name().unwrap());
                assert_eq!(fs::read_to_string(&drawn).unwrap_or_default(), made, "cargo run -p pictures");
            }
        }
    }
}
