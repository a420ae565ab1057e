//! The language of Dockerfiles, by the public behaviour of BuildKit: from text to stages and instructions. It opens no
//! file and knows nothing of images; text of any kind is read or refused, and never panics.

mod ast;
mod directive;
mod error;
mod flags;
mod health;
mod heredoc;
mod ignore;
mod instruction;
mod lines;
mod mount;
mod parse;
mod pattern;
mod quote;
mod split;
mod word;

pub use ast::{Arguments, Ast, Node};
pub use directive::Directives;
pub use error::{ParseError, Result, nearest};
pub use health::Healthcheck;
pub use heredoc::Heredoc;
pub use ignore::{Ignore, Matched, PathPattern, clean};
pub use instruction::{Arg, Command, CommandLine, Copy, Dockerfile, InlineFile, Instruction, Pair, Run, Stage};
pub use mount::{Mount, MountKind, Sharing};
pub use parse::{changes, trigger};
pub use word::{Expander, Quotes, Variables};

/// Where something stands in a file, from line 1; both ends belong to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines {
    /// The first line.
    pub start: usize,
    /// The last line.
    pub end: usize,
}
