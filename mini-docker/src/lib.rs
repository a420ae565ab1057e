//! mini-docker: a container engine without a daemon, made of the book's stages.
//!
//! Data flows one way: command line → [`rootless`] → [`engine`] → [`runtime`] → stages → core.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

/// Says a line on standard error, whole. A reader who has gone, or whose disk is full, loses it, and nobody anything else.
macro_rules! tell {
    ($($word:tt)*) => {{
        let line = format!($($word)*);
        let mut line = $crate::visible::text(&line).into_owned();
        line.push('\n');
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }};
}

pub mod cli;
pub mod compose;
pub mod engine;
#[doc(hidden)]
pub mod fuzz;
pub mod rootless;
pub mod runtime;
mod visible;
