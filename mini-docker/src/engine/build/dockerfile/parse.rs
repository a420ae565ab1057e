//! From the syntax tree to instructions: which words and flags each of them takes.

use super::{
    Arg, Command, CommandLine, Copy, Dockerfile, Heredoc, InlineFile, Instruction, Pair, Run, Stage,
    ast::{Arguments, Ast, Node},
    error::{ParseError, Result},
    flags::{Flags, Kind},
    health::Healthcheck,
    mount,
    quote::quote,
    split::csv,
};

pub(super) fn dockerfile(ast: Ast) -> Result<Dockerfile> {
    let mut meta_args = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for node in &ast.nodes {
        let at = |e: ParseError| e.at(node.lines.start);
        if node.keyword.eq_ignore_ascii_case("from") {
            stages.push(stage(node).map_err(at)?);
            continue;
        }
        let instruction = instruction(node).map_err(at)?;
        match (stages.last_mut(), instruction) {
            (None, Instruction::Arg(args)) => meta_args.extend(args),
            (None, _) => return Err(at(ParseError::new("no build stage in current context"))),
            (Some(stage), instruction) => stage.commands.push(command(node, instruction)),
        }
    }
    let warnings = ast.gaps.into_iter().map(|lines| (lines, "Empty continuation line".to_owned())).collect();
    Ok(Dockerfile { directives: ast.directives, meta_args, stages, warnings })
}

/// Instructions that make sense without files to write, and without FROM before them.
const CHANGES: [&str; 11] = [
    "cmd",
    "entrypoint",
    "env",
    "expose",
    "healthcheck",
    "label",
    "onbuild",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

/// Lines that change a configuration, and the escape character in them.
pub fn changes(text: &str) -> Result<(Vec<Command>, char)> {
    let ast = Ast::parse(text)?;
    let keyword = |node: &Node| node.keyword.to_lowercase();
    if let Some(other) = ast.nodes.iter().map(keyword).find(|keyword| !CHANGES.contains(&keyword.as_str())) {
        let all = CHANGES.join(", ");
        return Err(ParseError::new(format!("{other} is not a valid change command: these are {all}")));
    }
    let commands = ast.nodes.iter().map(|node| Ok(command(node, instruction(node)?)));
    Ok((commands.collect::<Result<_>>()?, ast.directives.escape))
}

/// A trigger of ONBUILD, as a line of its own.
pub fn trigger(text: &str, escape: char) -> Result<Command> {
    // The escape character is that of the file that it is used in.
    let directive = if escape == '\\' { String::new() } else { format!("# escape={escape}\n") };
    let ast = Ast::parse(&format!("{directive}{text}"))?;
    match &ast.nodes[..] {
        [node] => match instruction(node)? {
            Instruction::Onbuild(_) | Instruction::Maintainer(_) => {
                Err(ParseError::new(format!("{} isn't allowed as an ONBUILD trigger", node.keyword.to_uppercase())))
            }
            instruction => Ok(command(node, instruction)),
        },
        _ => Err(ParseError::new("an ONBUILD trigger is one instruction")),
    }
}

fn command(node: &Node, instruction: Instruction) -> Command {
    Command {
        instruction,
        keyword: node.keyword.to_lowercase(),
        source: node.original.trim().to_owned(),
        lines: node.lines,
    }
}

fn stage(node: &Node) -> Result<Stage> {
    let words = node.words();
    let name = match &words[..] {
        [_, r#as, name] if r#as.eq_ignore_ascii_case("as") => Some(stage_name(name)?),
        [_] => None,
        _ => return Err(ParseError::new("FROM requires either one or three arguments")),
    };
    let flags = Flags::parse(&node.flags, &[("platform", Kind::Text)])?;
    Ok(Stage {
        name,
        base: words[0].clone(),
        platform: flags.owned("platform").filter(|platform| !platform.is_empty()),
        commands: Vec::new(),
        source: node.original.trim().to_owned(),
        lines: node.lines,
    })
}

fn stage_name(text: &str) -> Result<String> {
    let name = text.to_lowercase();
    let tail = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(tail) {
        return Ok(name);
    }
    let message =
        format!("invalid name for build stage: {}, name can't start with a number or contain symbols", quote(text));
    Err(ParseError::new(message))
}

const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

fn instruction(node: &Node) -> Result<Instruction> {
    let words = node.words();
    let keyword = node.keyword.to_uppercase();
    let no_flags = || Flags::parse(&node.flags, &[]).map(drop);
    let some = |words: Vec<String>| {
        if words.is_empty() {
            Err(ParseError::new(format!("{keyword} requires at least one argument")))
        } else {
            Ok(words)
        }
    };
    let one = |words: Vec<String>| match <[String; 1]>::try_from(words) {
        Ok([word]) => Ok(word),
        Err(_) => Err(ParseError::new(format!("{keyword} requires exactly one argument"))),
    };
    let line = |words: Vec<String>| CommandLine { words, shell: !node.json };
    Ok(match keyword.as_str() {
        "ADD" => Instruction::Add(copy(node, words, true)?),
        "COPY" => Instruction::Copy(copy(node, words, false)?),
        "ARG" => Instruction::Arg(some(words)?.iter().map(|word| arg(word)).collect::<Result<_>>()?),
        "CMD" => {
            no_flags()?;
            Instruction::Cmd(line(words))
        }
        "ENTRYPOINT" => {
            no_flags()?;
            Instruction::Entrypoint(line(words))
        }
        "ENV" => {
            no_flags()?;
            Instruction::Env(pairs(&keyword, &some(words)?)?)
        }
        "LABEL" => {
            no_flags()?;
            Instruction::Label(pairs(&keyword, &some(words)?)?)
        }
        "EXPOSE" => {
            let mut ports = some(words)?;
            no_flags()?;
            ports.sort();
            Instruction::Expose(ports)
        }
        "HEALTHCHECK" => Instruction::Healthcheck(Healthcheck::parse(&words, node.json, &node.flags)?),
        "MAINTAINER" => {
            let name = one(words)?;
            no_flags()?;
            Instruction::Maintainer(name)
        }
        "ONBUILD" => {
            some(words)?;
            no_flags()?;
            Instruction::Onbuild(onbuild(node)?)
        }
        "RUN" => Instruction::Run(run(node, line(words))?),
        "SHELL" => {
            no_flags()?;
            let words = some(words)?;
            if !node.json {
                return Err(ParseError::new("SHELL requires the arguments to be in JSON form"));
            }
            Instruction::Shell(words)
        }
        "STOPSIGNAL" => Instruction::Stopsignal(one(words)?),
        "USER" => {
            let user = one(words)?;
            no_flags()?;
            Instruction::User(user)
        }
        "VOLUME" => {
            let words = some(words)?;
            no_flags()?;
            let volumes: Vec<_> = words.iter().map(|volume| volume.trim().to_owned()).collect();
            if volumes.iter().any(String::is_empty) {
                return Err(ParseError::new("VOLUME specified can not be an empty string"));
            }
            Instruction::Volume(volumes)
        }
        "WORKDIR" => {
            let path = one(words)?;
            no_flags()?;
            Instruction::Workdir(path)
        }
        _ => {
            let error = ParseError::new(format!("unknown instruction: {}", node.keyword));
            return Err(error.did_you_mean(&keyword, KEYWORDS));
        }
    })
}

/// Key, value and the sign between them, for each.
fn pairs(keyword: &str, words: &[String]) -> Result<Vec<Pair>> {
    let pair = |triple: &[String]| match triple {
        [key, ..] if key.is_empty() => Err(ParseError::new(format!("{keyword} names can not be blank"))),
        [key, value, _] => Ok(Pair { key: key.clone(), value: value.clone() }),
        _ => Err(ParseError::new(format!("Bad input to {keyword}, too many arguments"))),
    };
    words.chunks(3).map(pair).collect()
}

fn arg(word: &str) -> Result<Arg> {
    match word.split_once('=') {
        Some(("", _)) => Err(ParseError::new("ARG names can not be blank")),
        Some((name, default)) => Ok(Arg { name: name.to_owned(), default: Some(default.to_owned()) }),
        None => Ok(Arg { name: word.to_owned(), default: None }),
    }
}

/// The text of the instruction, with its here-documents.
fn onbuild(node: &Node) -> Result<String> {
    let Arguments::Instruction(inner) = &node.arguments else {
        return Err(ParseError::new("ONBUILD requires at least one argument"));
    };
    match inner.keyword.to_uppercase().as_str() {
        "ONBUILD" => return Err(ParseError::new("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        keyword @ ("MAINTAINER" | "FROM") => {
            return Err(ParseError::new(format!("{keyword} isn't allowed as an ONBUILD trigger")));
        }
        _ => {}
    }
    let line = node.original.trim_start();
    let mut text = line.get("ONBUILD".len()..).unwrap_or_default().trim_start().to_owned();
    for heredoc in &node.heredocs {
        text.push('\n');
        text.push_str(&heredoc.content);
        text.push_str(&heredoc.name);
    }
    Ok(text)
}

fn run(node: &Node, command: CommandLine) -> Result<Run> {
    let known = [("mount", Kind::List), ("network", Kind::Text), ("security", Kind::Text), ("device", Kind::List)];
    let flags = Flags::parse(&node.flags, &known)?;
    let network = flags.text("network").unwrap_or("default");
    if !["default", "none", "host"].contains(&network) {
        return Err(ParseError::new(format!("invalid network mode {}", quote(network))));
    }
    let security = flags.text("security").unwrap_or("sandbox");
    if !["sandbox", "insecure"].contains(&security) {
        return Err(ParseError::new(format!("security {} is not valid", quote(security))));
    }
    let mounts = flags.list("mount");
    mounts.iter().try_for_each(|mount| mount::check(mount))?;
    let devices = flags.list("device");
    devices.iter().try_for_each(|device| device_is_valid(device))?;
    let words = if command.shell && !command.words.is_empty() { vec![command.words.join(" ")] } else { command.words };
    Ok(Run {
        command: CommandLine { words, shell: command.shell },
        heredocs: node.heredocs.clone(),
        mounts,
        network: network.to_owned(),
        security: security.to_owned(),
        devices,
    })
}

/// `NAME[,required]`
fn device_is_valid(text: &str) -> Result<()> {
    let fields = csv(text).map_err(|e| ParseError::new(format!("failed to parse csv devices: {e}")))?;
    let mut name = "";
    for field in &fields {
        match field.split_once('=').map(|(key, value)| (key.to_lowercase(), value)) {
            None if field.eq_ignore_ascii_case("required") => {}
            None if name.is_empty() => name = field,
            None => return Err(ParseError::new(format!("invalid field '{field}' must be a key=value pair"))),
            Some((key, value)) if key == "name" => {
                if !name.is_empty() {
                    return Err(ParseError::new(format!("device name already set to {name}")));
                }
                name = value;
            }
            Some((key, value)) if key == "required" => {
                crate::engine::go::boolean(value)
                    .ok_or_else(|| ParseError::new(format!("invalid value for {key}: {value}")))?;
            }
            Some(_) if name.is_empty() => name = field,
            Some((key, _)) => return Err(ParseError::new(format!("unexpected key '{key}' in '{field}'"))),
        }
    }
    Ok(())
}

fn copy(node: &Node, mut words: Vec<String>, add: bool) -> Result<Copy> {
    let keyword = if add { "ADD" } else { "COPY" };
    let destination = words.pop().filter(|_| !words.is_empty()).ok_or_else(|| {
        let why = "requires at least two arguments, but only one was provided. Destination could not be determined";
        ParseError::new(format!("{keyword} {why}"))
    })?;
    let mut known = vec![("chown", Kind::Text), ("chmod", Kind::Text), ("link", Kind::Switch), ("exclude", Kind::List)];
    if add {
        known.extend([("keep-git-dir", Kind::Switch), ("checksum", Kind::Text), ("unpack", Kind::Switch)]);
    } else {
        known.extend([("from", Kind::Text), ("parents", Kind::Switch)]);
    }
    let flags = Flags::parse(&node.flags, &known)?;
    if matches!(Heredoc::parse(&destination), Ok(Some(_))) {
        return Err(ParseError::new(format!("{keyword} cannot accept a heredoc as a destination")));
    }
    let mut copy = Copy {
        destination,
        from: flags.owned("from").filter(|from| !from.is_empty()),
        chown: flags.owned("chown").filter(|owner| !owner.is_empty()),
        chmod: flags.owned("chmod").filter(|mode| !mode.is_empty()),
        link: flags.switch("link") == Some(true),
        parents: flags.switch("parents") == Some(true),
        exclude: flags.list("exclude"),
        checksum: flags.owned("checksum").filter(|sum| !sum.is_empty()),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
        ..Copy::default()
    };
    for word in words {
        match Heredoc::parse(&word) {
            Ok(Some(doc)) => copy.inline.push(inline(node, doc)),
            _ => copy.sources.push(word),
        }
    }
    Ok(copy)
}

/// The file that a here-document's word stands for. Of several with one name the last counts, as in BuildKit.
fn inline(node: &Node, doc: Heredoc) -> InlineFile {
    let content = node.heredocs.iter().rev().find(|other| other.name == doc.name).map(|other| other.content.clone());
    let doc = Heredoc { content: content.unwrap_or_default(), ..doc };
    InlineFile { content: doc.text(), expand: doc.expand, name: doc.name }
}
