//! `login` and `logout`.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use clap::Args;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use crate::{
    cli::{Outcome, print},
    engine::{
        Engine, Error,
        error::Result,
        reference::DEFAULT_DOMAIN,
        registry::{
            self,
            credentials::{Credentials, Store},
        },
    },
};

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The registry; Docker Hub if not given
    server: Option<String>,
    /// Username
    #[arg(short, long)]
    username: Option<String>,
    /// Password
    #[arg(short, long)]
    password: Option<String>,
    /// Take the password from stdin
    #[arg(long)]
    password_stdin: bool,
}

impl Login {
    pub(crate) fn run(self, _: &Engine) -> Outcome {
        let domain = registry::domain_of(self.server.as_deref())?;
        let mut store = Store::read()?;
        let (user, password) = self.ask(&domain)?;
        let credentials = Credentials::Password { user: user.clone(), password: password.clone() };
        let identity = registry::log_in(&domain, credentials)?;
        if !store.put(&domain, &user, &password, identity.as_deref())? {
            let path = store.path().display();
            tell!(
                "WARNING! Your credentials are stored unencrypted in '{path}'.\nConfigure a credential helper to remove this warning."
            );
        }
        print(format_args!("Login Succeeded\n"));
        Ok(0)
    }

    fn ask(&self, domain: &str) -> Result<(String, String)> {
        if self.password_stdin && self.password.is_some() {
            return Err(Error::invalid("--password and --password-stdin are mutually exclusive"));
        }
        if self.password_stdin {
            let user =
                self.username.clone().ok_or_else(|| Error::invalid("Must provide --username with --password-stdin"))?;
            let mut password = String::new();
            io::stdin()
                .lock()
                .take(64 << 10)
                .read_to_string(&mut password)
                .map_err(|e| Error::system("read the password", &e))?;
            return Ok((user, password.trim_end_matches(['\r', '\n']).to_owned()));
        }
        if self.password.is_some() {
            tell!("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        }
        let terminal = io::stdin().is_terminal();
        if (self.username.is_none() || self.password.is_none()) && !terminal {
            return Err(Error::invalid(
                "cannot perform an interactive login from a non TTY device: use --username and --password-stdin",
            ));
        }
        let user = match &self.username {
            Some(user) => user.clone(),
            None => line(&format!("Username for {domain}: "), true)?,
        };
        let password = match &self.password {
            Some(password) => password.clone(),
            None => line("Password: ", false)?,
        };
        if user.is_empty() || password.is_empty() {
            return Err(Error::invalid("username and password must not be empty"));
        }
        Ok((user, password))
    }
}

/// A line from the terminal, which shows what is typed or not.
fn line(prompt: &str, echo: bool) -> Result<String> {
    let failed = |e: io::Error| Error::system("read from the terminal", &e);
    let _ = io::stderr().write_all(prompt.as_bytes());
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(|e| failed(e.into()))?;
    if !echo {
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&stdin, SetArg::TCSANOW, &silent).map_err(|e| failed(e.into()))?;
    }
    let mut text = String::new();
    let read = stdin.lock().read_line(&mut text);
    if !echo {
        // The shell would mend it, too.
        let _ = tcsetattr(&stdin, SetArg::TCSANOW, &before);
        tell!("");
    }
    read.map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// The registry; Docker Hub if not given
    server: Option<String>,
}

impl Logout {
    pub(crate) fn run(self, _: &Engine) -> Outcome {
        let domain = registry::domain_of(self.server.as_deref())?;
        let shown = if domain == DEFAULT_DOMAIN { "https://index.docker.io/v1/" } else { &domain };
        if Store::read()?.remove(&domain)? {
            print(format_args!("Removing login credentials for {shown}\n"));
        } else {
            print(format_args!("Not logged in to {shown}\n"));
        }
        Ok(0)
    }
}
