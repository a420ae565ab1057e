//! The Dockerfile language: what is read, what is refused in which line, and that nothing panics.

use mini_docker::engine::build::dockerfile::{Ast, Dockerfile, Expander, Ignore, Instruction, Mount, trigger};

const FILE: &str = r#"# syntax=docker/dockerfile:1
# escape=\
ARG base=debian tag
# the builder
FROM --platform=$BUILDPLATFORM ${base:-x}:"$tag" AS Builder
SHELL ["/bin/sh", "-ec"]
ENV A=1 B="two three" C=d\ e
ENV OLD the rest of it
LABEL "a b"='c' \
  # in between

  d=e
RUN --mount=type=cache,target=/c --mount="type=bind,source=a" --network=none make \
    install
RUN <<-EOF cat && python3 <<'PY'
	one $A
	EOF
two
PY
COPY --chown=1:2 --chmod=u=rw,go=r --link --exclude=*.o a* ["b"] /c/
COPY <<EOF <<"F" /d/
text
EOF
F
ADD --checksum=sha256:00 https://x/y /y
HEALTHCHECK --interval=5s --retries=3 CMD ["true"]
ONBUILD RUN echo é
FROM builder
EXPOSE 80/tcp 53/udp
VOLUME ["/a", "/b"]
USER 1:1
WORKDIR /w
STOPSIGNAL SIGINT
CMD echo ${A:+x} ${B#t*} ${C%%e} ${A/1/2}
"#;

#[test]
fn a_file_of_everything_is_read() {
    let file = Dockerfile::parse(FILE).unwrap();
    assert_eq!(file.directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!(file.meta_args.len(), 2);
    let [builder, last] = &file.stages[..] else { panic!("{file:?}") };
    assert_eq!(builder.name.as_deref(), Some("builder"));
    assert_eq!((last.base.as_str(), last.commands.len()), ("builder", 6));
    let Instruction::Run(run) = &builder.commands[5].instruction else { panic!("{builder:?}") };
    assert_eq!(run.heredocs.len(), 2);
    assert_eq!(run.heredocs[0].text(), "one $A\n");
    assert!(run.heredocs[0].expand && !run.heredocs[1].expand);
    assert_eq!((builder.commands[5].lines.start, builder.commands[5].lines.end), (15, 19));
    let Instruction::Label(labels) = &builder.commands[3].instruction else { panic!("{builder:?}") };
    assert_eq!(labels.len(), 2);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    for (text, message) in [
        ("", "file with no instructions"),
        ("FROM a\nRUN b\nRUM c", "dockerfile parse error on line 3: unknown instruction: RUM (did you mean RUN?)"),
        ("RUN a", "dockerfile parse error on line 1: no build stage in current context"),
        (
            "FROM a AS 1b",
            "dockerfile parse error on line 1: invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
        ),
        (
            "FROM a\n\nCOPY b",
            "dockerfile parse error on line 3: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("FROM a\nRUN --mout=x y", "dockerfile parse error on line 2: unknown flag: --mout (did you mean mount?)"),
        ("FROM a\nENV b", "dockerfile parse error on line 2: ENV must have two arguments"),
        (
            "FROM a\nCMD [1]",
            "dockerfile parse error on line 2: when using JSON array syntax, arrays must be comprised of strings only",
        ),
        ("FROM a\nRUN <<EOF\nb", "dockerfile parse error on line 2: unterminated heredoc"),
        ("# escape=x\nFROM a", "dockerfile parse error on line 1: invalid escape token 'x' does not match ` or \\"),
        (
            "FROM a\nONBUILD ONBUILD RUN b",
            "dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        (
            "FROM a\nHEALTHCHECK --interval=1us CMD b",
            "dockerfile parse error on line 2: Interval \"interval\" cannot be less than 1ms",
        ),
        ("FROM a\nSHELL b", "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form"),
    ] {
        assert_eq!(Dockerfile::parse(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn words_are_expanded_as_a_shell_does() {
    let variables = |name: &str| match name {
        "a" => Some("x/y.z".to_owned()),
        "empty" => Some(String::new()),
        _ => None,
    };
    for (word, expanded) in [
        ("$a ${a} '$a' \"$a\" \\$a", "x/y.z x/y.z $a x/y.z $a"),
        ("${b:-${a}} ${empty-d} ${empty:-d} ${a:+y} ${b+y}", "x/y.z  d y "),
        ("${a#*/} ${a##*/} ${a%.*} ${a/\\//-} ${a//[xyz]/-}", "y.z y.z x/y x-y.z x/y.z"),
        ("a$ $", "a$ $"),
    ] {
        assert_eq!(Expander::new('\\').word(word, &variables).unwrap(), expanded, "{word}");
    }
    for word in ["${a", "${}", "${b:?none}", "'", "\"", "${a:x}", "${b?}"] {
        assert!(Expander::new('\\').word(word, &variables).is_err(), "{word}");
    }
    let words = Expander::new('\\').words("a \"b c\" $a <<\t EOF", &variables).unwrap();
    assert_eq!(words, ["a", "b c", "x/y.z", "<<\t EOF"]);
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

/// Some text, cut, put together again and sprinkled with what has a meaning.
fn mutate(text: &str, numbers: &mut Numbers) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(letters.len());
        match numbers.below(4) {
            0 => letters.truncate(at),
            1 => letters.drain(at..(at + numbers.below(9)).min(letters.len())).for_each(drop),
            2 => {
                let copied: Vec<_> = letters[at..(at + numbers.below(40)).min(letters.len())].to_vec();
                let to = numbers.below(letters.len());
                letters.splice(to..to, copied);
            }
            _ => {
                let special: Vec<_> = "\\`\"'$${}<<--#%/:?*![]=,\n\r\t \u{feff}\u{a0}\0é".chars().collect();
                letters.insert(at, special[numbers.below(special.len())]);
            }
        }
        if letters.is_empty() {
            break;
        }
    }
    letters.into_iter().collect()
}

#[test]
fn nothing_panics() {
    let mut numbers = Numbers(1);
    let mut read = 0;
    for _ in 0..1500 {
        let text = mutate(FILE, &mut numbers);
        if let Ok(ast) = Ast::parse(&text) {
            read += usize::from(!ast.dump().is_empty());
        }
        let _ = Dockerfile::parse(&text);
        let line = text.lines().nth(numbers.below(30)).unwrap_or_default();
        let variables = |name: &str| (name.len() < 3).then(|| "v a/l.u*e".to_owned());
        let _ = Expander::new('\\').words(line, &variables);
        let _ = trigger(line, '\\');
        let _ = Mount::parse(line, |value| Ok(value.to_owned()));
        if let Ok(ignore) = Ignore::parse(&text) {
            ignore.excludes("a/b/c.o");
        }
    }
    assert!(read > 50, "{read} of the mutants could be read");
}

#[test]
fn depth_and_length_have_limits() {
    let deep = format!("FROM a\nENV b={}", "${c:-".repeat(10_000));
    assert!(Dockerfile::parse(&deep).is_ok());
    assert!(Expander::new('\\').word(&"${c:-".repeat(10_000), &|_| None).is_err());
    assert!(Dockerfile::parse(&format!("FROM a\n{} RUN b", "ONBUILD ".repeat(8000))).is_err());
    let long = Dockerfile::parse(&format!("FROM a\nRUN {}", "b".repeat(70_000))).unwrap_err();
    assert_eq!(
        long.to_string(),
        "dockerfile parse error on line 2: dockerfile line greater than max allowed size of 65535"
    );
    let patterns = Ignore::parse(&format!("{}x\n", "*a".repeat(500))).unwrap();
    assert!(!patterns.excludes(&"a".repeat(1000)));
}
