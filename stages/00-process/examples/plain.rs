//! A program started by fork and exec alone, as a shell does it: what stage 00 is more than.
#![forbid(unsafe_code)]

use std::{env, error::Error, ffi::CString, os::unix::ffi::OsStringExt, process::ExitCode};

use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::execvp,
};
use process::sys::{self, Cloned};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let words = env::args_os().skip(1).map(|word| CString::new(word.into_vec()));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let program = words.first().ok_or("name a program")?;
    match sys::fork()? {
        Cloned::Child => {
            // It returns only where it failed, and then there is nobody whom the child could tell but the user.
            let Err(errno) = execvp(program, &words);
            eprintln!("{program:?}: {errno}");
            sys::exit_now(127)
        }
        Cloned::Parent(pid, _) => Ok(match waitpid(pid, None)? {
            WaitStatus::Exited(_, code) => ExitCode::from(code as u8),
            status => {
                eprintln!("{status:?}");
                ExitCode::from(128)
            }
        }),
    }
}
