//! Exercise 00: a program that the kernel ends first when memory runs out, before the one that started it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use process::{Container, Primitive, stage};

/// How gladly the kernel does without the program: from -1000, never, to 1000, first of all. Here 500.
#[derive(Debug)]
struct OomScore;

impl Primitive for OomScore {
    fn name(&self) -> &'static str {
        "oom"
    }

    // Which of the five moments is the one to write 500 to /proc/PID/oom_score_adj?
}

fn main() -> ExitCode {
    stage::main("exercise-00", "Runs COMMAND, which the kernel ends first", |invocation| {
        Ok((Container(vec![Box::new(OomScore)]), invocation.process()?))
    })
}
