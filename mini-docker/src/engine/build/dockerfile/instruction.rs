//! What a Dockerfile says: stages, and instructions with their parts told apart.

use super::{Lines, ast::Ast, directive::Directives, error::Result, health::Healthcheck, parse};

/// A Dockerfile that makes sense as far as one can tell without building it.
#[derive(Debug)]
pub struct Dockerfile {
    /// What stands before everything else.
    pub directives: Directives,
    /// ARGs before the first FROM: for FROM lines, and for stages that declare them again.
    pub meta_args: Vec<Arg>,
    /// In the file's order; at least one, unless there are only ARGs.
    pub stages: Vec<Stage>,
    /// What it has that is better written otherwise: a line, and what is wrong with it.
    pub warnings: Vec<(Lines, String)>,
}

impl Dockerfile {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self> {
        parse::dockerfile(Ast::parse(text)?)
    }
}

/// FROM, and what follows it.
#[derive(Debug, Clone)]
pub struct Stage {
    /// AS …, in lower case.
    pub name: Option<String>,
    /// An image, an earlier stage, or `scratch`; variables are not expanded yet.
    pub base: String,
    /// `--platform`, not expanded yet.
    pub platform: Option<String>,
    /// Its instructions.
    pub commands: Vec<Command>,
    /// The FROM line.
    pub source: String,
    /// Where it stands.
    pub lines: Lines,
}

/// An instruction in its place.
#[derive(Debug, Clone)]
pub struct Command {
    /// What it says.
    pub instruction: Instruction,
    /// Its keyword, in lower case.
    pub keyword: String,
    /// Its text on one line.
    pub source: String,
    /// Where it stands.
    pub lines: Lines,
}

/// What an instruction says. Variables are not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// ADD
    Add(Copy),
    /// ARG
    Arg(Vec<Arg>),
    /// CMD
    Cmd(CommandLine),
    /// COPY
    Copy(Copy),
    /// ENTRYPOINT
    Entrypoint(CommandLine),
    /// ENV
    Env(Vec<Pair>),
    /// EXPOSE, sorted
    Expose(Vec<String>),
    /// HEALTHCHECK
    Healthcheck(Healthcheck),
    /// LABEL
    Label(Vec<Pair>),
    /// MAINTAINER
    Maintainer(String),
    /// ONBUILD, with the instruction's text
    Onbuild(String),
    /// RUN
    Run(Run),
    /// SHELL
    Shell(Vec<String>),
    /// STOPSIGNAL
    Stopsignal(String),
    /// USER
    User(String),
    /// VOLUME
    Volume(Vec<String>),
    /// WORKDIR
    Workdir(String),
}

/// `KEY=value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What is set.
    pub key: String,
    /// To what.
    pub value: String,
}

/// `NAME[=default]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// Its value where the user gives none.
    pub default: Option<String>,
}

/// A command in either form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The exec form's words, or the shell form's text as the only one.
    pub words: Vec<String>,
    /// Whether a shell runs it.
    pub shell: bool,
}

/// COPY and ADD: files from somewhere to a place in the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// Paths, patterns, and for ADD URLs.
    pub sources: Vec<String>,
    /// Files that stand in the Dockerfile.
    pub inline: Vec<InlineFile>,
    /// Where to.
    pub destination: String,
    /// A stage, an image or a named context; the context where it is `None`.
    pub from: Option<String>,
    /// `USER[:GROUP]`, by name or number.
    pub chown: Option<String>,
    /// The mode, in octal digits or in chmod(1)'s symbols.
    pub chmod: Option<String>,
    /// Whether the layer is to be made without looking at those below it.
    pub link: bool,
    /// Whether directories above the sources are copied too.
    pub parents: bool,
    /// What is left out.
    pub exclude: Vec<String>,
    /// What a URL's content has to be.
    pub checksum: Option<String>,
    /// Whether a git repository keeps its .git.
    pub keep_git_dir: Option<bool>,
    /// Whether archives are unpacked; by their place where it is `None`.
    pub unpack: Option<bool>,
}

/// A file that stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub content: String,
    /// Whether variables in it are expanded.
    pub expand: bool,
}

/// RUN
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command.
    pub command: CommandLine,
    /// Here-documents that its text begins.
    pub heredocs: Vec<super::Heredoc>,
    /// `--mount` values, not expanded yet; see [`super::Mount::parse`].
    pub mounts: Vec<String>,
    /// `default`, `none` or `host`.
    pub network: String,
    /// `sandbox` or `insecure`.
    pub security: String,
    /// `--device` values.
    pub devices: Vec<String>,
}
