//! Here-documents: `<<EOF` in RUN, COPY and ADD.

use super::{
    error::Result,
    word::{Expander, Quotes},
};

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, and the name of the file that it makes.
    pub name: String,
    /// The number before `<<`; 0 where there is none.
    pub fd: u64,
    /// Whether variables in it are expanded: no part of the word is quoted.
    pub expand: bool,
    /// `<<-`: tabs at the beginning of its lines go.
    pub chomp: bool,
    /// What is in it, as it stands in the file.
    pub content: String,
}

impl Heredoc {
    /// Reads a word as `[N]<<[-]WORD`; `None` where it is none.
    pub(super) fn parse(text: &str) -> Result<Option<Self>> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (fd, rest) = text.split_at(digits);
        let Some(rest) = rest.strip_prefix("<<") else { return Ok(None) };
        let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
        let rest = rest.trim_start_matches(['\t', '\n', '\x0c', '\r', ' ']);
        if rest.is_empty() || rest.contains('<') {
            return Ok(None);
        }
        let expander = |quotes| Expander { keep_unset: true, quotes, ..Expander::new('\\') };
        let [name] = &expander(Quotes::Remove).words(rest, &|_| None)?[..] else { return Ok(None) };
        let raw = expander(Quotes::Keep).words(rest, &|_| None)?.concat();
        let quotes = |word: &str| word.matches(['\'', '"']).count();
        let expand = quotes(name) == quotes(&raw);
        let fd = if fd.is_empty() { 0 } else { fd.parse().unwrap_or(u64::MAX) };
        Ok(Some(Self { name: name.clone(), fd, expand, chomp, content: String::new() }))
    }

    /// All that a line begins.
    pub(super) fn all(line: &str) -> Result<Vec<Self>> {
        let expander = Expander { keep_unset: true, quotes: Quotes::Keep, raw_escapes: true, ..Expander::new('\\') };
        // Where quotes do not match, it is the shell that complains.
        let words = expander.words(line, &|_| None).unwrap_or_default();
        words.iter().filter_map(|word| Self::parse(word).transpose()).collect()
    }

    /// What the file that it makes has in it, before variables are expanded.
    pub fn text(&self) -> String {
        if self.chomp { chomp(&self.content) } else { self.content.clone() }
    }
}

/// Takes away the tabs at the beginning of each line.
fn chomp(content: &str) -> String {
    content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

/// Whether an instruction can have here-documents.
pub(super) fn allowed(node: &super::ast::Node) -> bool {
    let node = match &node.arguments {
        super::ast::Arguments::Instruction(inner) => inner,
        super::ast::Arguments::Words(_) => node,
    };
    !node.json && ["add", "copy", "run"].iter().any(|keyword| node.keyword.eq_ignore_ascii_case(keyword))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_is_not_expanded() {
        let parse = |text| Heredoc::parse(text).unwrap();
        let doc = parse("3<<-'E F'").unwrap();
        assert_eq!((doc.name.as_str(), doc.fd, doc.chomp, doc.expand), ("E F", 3, true, false));
        assert!(parse("<<EOF").unwrap().expand);
        assert!(parse("<<").is_none() && parse("<<<x").is_none() && parse("x<<EOF").is_none());
    }

    #[test]
    fn a_line_begins_several() {
        let docs = Heredoc::all("COPY <<A <<\"B\" a \"<<C\" \\<<D /").unwrap();
        assert_eq!(docs.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    }
}
