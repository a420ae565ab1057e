//! Splitting a line: the keyword, its flags, words between blanks.

/// What separates words in a line, beside Unicode's other spaces at its ends.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// The text before the first blanks, and what follows them.
pub(super) fn cut(text: &str) -> (&str, Option<&str>) {
    match text.split_once(is_blank) {
        Some((first, rest)) => (first, Some(rest.trim_start_matches(is_blank))),
        None => (text, None),
    }
}

/// All the words between blanks.
pub(super) fn fields(text: &str) -> Vec<String> {
    // Blanks at an end leave an empty word there, and only there.
    let mut fields: Vec<String> = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (first, after) = cut(text);
        fields.push(first.to_owned());
        rest = after;
    }
    fields
}

/// The flags at the beginning of an instruction's arguments, without their quotes, and what follows them.
pub(super) fn flags(text: &str, escape: char) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (flags, rest);
        }
        let (flag, after) = flag(rest, escape);
        rest = after;
        if flag == "--" {
            return (flags, rest);
        }
        flags.push(flag);
    }
}

/// One word, with quotes and escapes taken away.
fn flag(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, &text[at..]),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(end) if c == end => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    (word, "")
}

/// Words between blanks, where quotes hold blanks together. Quotes and escapes stay: expansion takes them away.
pub(super) fn words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        if c == escape && quote != Some('\'') {
            // One at the very end escapes nothing.
            if let Some(next) = chars.next() {
                word.extend([c, next]);
            }
            continue;
        }
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(end) if c == end => quote = None,
            _ => {}
        }
        word.push(c);
    }
    words.extend(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The fields of one line of comma-separated values, as RFC 4180 quotes them.
pub(super) fn csv(line: &str) -> Result<Vec<String>, String> {
    if line.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = if rest.starts_with('"') { quoted(rest)? } else { bare(rest)? };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

fn bare(text: &str) -> Result<(String, Option<&str>), String> {
    let (field, after) = text.split_once(',').map_or((text, None), |(field, after)| (field, Some(after)));
    if field.contains('"') { Err("bare \" in non-quoted-field".to_owned()) } else { Ok((field.to_owned(), after)) }
}

fn quoted(text: &str) -> Result<(String, Option<&str>), String> {
    let mut field = String::new();
    let mut rest = &text[1..];
    loop {
        let Some((part, after)) = rest.split_once('"') else {
            return Err("extraneous or missing \" in quoted-field".to_owned());
        };
        field.push_str(part);
        if let Some(after) = after.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if let Some(after) = after.strip_prefix(',') {
            return Ok((field, Some(after)));
        } else if after.is_empty() {
            return Ok((field, None));
        } else {
            return Err("extraneous or missing \" in quoted-field".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_end_at_the_first_word_that_is_none() {
        assert_eq!(flags("--a=b  --c='d e' f --g", '\\'), (vec!["--a=b".to_owned(), "--c=d e".to_owned()], "f --g"));
        assert_eq!(flags("-- --a", '\\'), (vec![], " --a"));
        assert_eq!(flags("--a\\ b", '\\'), (vec!["--a b".to_owned()], ""));
        assert_eq!(flags("-a", '\\'), (vec![], "-a"));
    }

    #[test]
    fn quotes_hold_words_together_and_stay() {
        assert_eq!(words(r#"a="b c" d='e \' f\ g "" x\"#, '\\'), [r#"a="b c""#, r"d='e \'", r"f\ g", "\"\"", "x"]);
        assert_eq!(words("a` b", '`'), ["a` b"]);
    }

    #[test]
    fn values_may_be_quoted() {
        assert_eq!(csv(r#"type=bind,"source=a,b""c",ro"#).unwrap(), ["type=bind", "source=a,b\"c", "ro"]);
        assert!(csv("a\"b").is_err() && csv("\"a").is_err() && csv("\"a\"b").is_err() && csv("").is_err());
    }
}
