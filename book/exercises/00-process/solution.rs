//! The solution of exercise 00: a program that the kernel ends first when memory runs out, before the one that started it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use process::{Child, Container, Host, Primitive, Result, stage};

/// How gladly the kernel does without the program: from -1000, never, to 1000, first of all. Here 500.
#[derive(Debug)]
struct OomScore;

impl Primitive for OomScore {
    fn name(&self) -> &'static str {
        "oom"
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        host.write_proc(&format!("/proc/{}/oom_score_adj", child.pid), "500")
    }
}

fn main() -> ExitCode {
    stage::main("solution-00", "Runs COMMAND, which the kernel ends first", |invocation| {
        Ok((Container(vec![Box::new(OomScore)]), invocation.process()?))
    })
}
