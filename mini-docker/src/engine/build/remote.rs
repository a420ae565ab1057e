//! What comes from elsewhere: files by HTTP, and git repositories.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use nix::{
    errno::Errno,
    sys::wait::{WaitStatus, waitpid},
};
use process::sys::{self, Cloned};

use crate::engine::{
    digest::Hashing,
    error::{Context, Error, Kind, Result},
    registry::tls,
};

/// For each step of a connection; a large file may take its time.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Whether a source is not a path.
pub fn is_remote(source: &str) -> bool {
    is_git(source) || source.starts_with("http://") || source.starts_with("https://")
}

/// Whether it is a repository: by its scheme, or by the end of its path.
pub fn is_git(source: &str) -> bool {
    let schemes = ["git://", "ssh://", "git@"];
    let path = source.split('#').next().unwrap_or(source);
    schemes.iter().any(|scheme| source.starts_with(scheme))
        || (source.contains("://") && Path::new(path).extension() == Some(OsStr::new("git")))
}

/// Who says where something comes from.
#[derive(Debug, Clone, Copy)]
pub enum Says<'a> {
    /// The user, on his command line: what he may read, he gets.
    User,
    /// A Dockerfile, which may be a stranger's: it gets no repositories of this machine, and none of the user's credentials but
    /// this agent's for ssh.
    Dockerfile {
        /// Its socket.
        agent: Option<&'a Path>,
    },
}

/// Gets a file or a repository into an empty directory, and returns its path there. `checksum` is what a file's digest, or
/// a commit, has to be.
pub fn fetch(source: &str, says: Says, directory: &Path, checksum: Option<&str>, keep_git: bool) -> Result<PathBuf> {
    if is_git(source) {
        return clone(source, says, directory, checksum, keep_git);
    }
    let address = source.split(['?', '#']).next().unwrap_or(source);
    let name = address.splitn(4, '/').nth(3).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let name = if ["", ".", ".."].contains(&name) { "index" } else { name };
    let path = directory.join("file").join(name);
    fs::create_dir(directory.join("file")).doing("make a directory for", &path)?;
    download_apart(source, &path, &directory.join("error"))?;
    if let Some(wanted) = checksum {
        let mut bytes = Hashing::new(io::sink());
        io::copy(&mut File::open(&path).doing("open", &path)?, &mut bytes).doing("read", &path)?;
        let found = bytes.digest();
        if found.to_string() != wanted {
            return Err(Error::invalid(format!("digest mismatch for {source}: it is {found}, and not {wanted}")));
        }
    }
    Ok(path)
}

/// In a process of its own: a client may start threads, and who clones containers has one.
fn download_apart(source: &str, path: &Path, error: &Path) -> Result<()> {
    let failed = |errno: Errno| Error::system(format_args!("get {source}"), &errno.into());
    match sys::fork().map_err(failed)? {
        Cloned::Child => {
            let code = match download(source, path) {
                Ok(()) => 0,
                Err(why) => i32::from(fs::write(error, why.to_string()).is_ok()) + 1,
            };
            sys::exit_now(code)
        }
        Cloned::Parent(pid, _) => loop {
            return match waitpid(pid, None) {
                Err(Errno::EINTR) => continue,
                Ok(WaitStatus::Exited(_, 0)) => Ok(()),
                _ => {
                    let why = fs::read_to_string(error).unwrap_or_else(|_| "the download was killed".to_owned());
                    Err(Error::new(Kind::System, format!("get {source}: {why}")))
                }
            };
        },
    }
}

fn download(source: &str, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let domain = source.split('/').nth(2).unwrap_or_default();
    let config = ureq::Agent::config_builder()
        .tls_config(tls(domain, false)?)
        .timeout_connect(Some(TIMEOUT))
        .timeout_resolve(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
        .user_agent(concat!("mini-docker/", env!("CARGO_PKG_VERSION")))
        .build();
    let mut answer = config.new_agent().get(source).call()?;
    let modified = answer.headers().get("last-modified").and_then(|value| value.to_str().ok());
    let modified = modified.and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
    let modified = modified.map_or(SystemTime::UNIX_EPOCH, |time| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(time.timestamp().as_second().try_into().unwrap_or(0))
    });
    let mut file = File::create(path)?;
    io::copy(&mut answer.body_mut().as_reader(), &mut file)?;
    // As in Docker.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.set_modified(modified)?;
    Ok(())
}

/// `ADDRESS[#[REF][:DIRECTORY]]`, by the program of that name.
fn clone(source: &str, says: Says, directory: &Path, checksum: Option<&str>, keep_git: bool) -> Result<PathBuf> {
    let (address, fragment) = source.split_once('#').unwrap_or((source, ""));
    let (reference, below) = fragment.split_once(':').unwrap_or((fragment, ""));
    let reference = if reference.is_empty() { "HEAD" } else { reference };
    if address.starts_with('-') || reference.starts_with('-') {
        return Err(Error::invalid(format!("invalid repository {source:?}")));
    }
    let tree = directory.join("repository");
    fs::create_dir(&tree).doing("make the directory", &tree)?;
    let git = |arguments: &[&str]| git(&tree, says, arguments);
    git(&["init", "--quiet"])?;
    git(&["fetch", "--quiet", "--depth=1", "--", address, reference])?;
    let commit = git(&["rev-parse", "FETCH_HEAD"])?;
    if let Some(wanted) = checksum.filter(|wanted| !commit.trim().starts_with(*wanted)) {
        return Err(Error::invalid(format!("expected checksum to match {wanted}, got {} of {address}", commit.trim())));
    }
    git(&["checkout", "--quiet", "--detach", "FETCH_HEAD"])?;
    git(&["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"])?;
    if !keep_git {
        let path = tree.join(".git");
        fs::remove_dir_all(&path).doing("remove", &path)?;
    }
    let path = tree.join(below.trim_start_matches('/'));
    let inside = path.canonicalize().is_ok_and(|path| tree.canonicalize().is_ok_and(|tree| path.starts_with(tree)));
    if !inside {
        return Err(Error::not_found(format!("{source}: there is no {below} in the repository")));
    }
    Ok(path)
}

fn git(tree: &Path, says: Says, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    if let Says::Dockerfile { agent } = says {
        for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
            command.env_remove(name);
        }
        command.env("GIT_ALLOW_PROTOCOL", "git:http:https:ssh");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        // Where curl looks for a .netrc, and git for credentials that were stored.
        command.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME").env_remove("SSH_ASKPASS");
        // It looks for keys where the list of users says that they are, whatever HOME.
        command.env("GIT_SSH_COMMAND", "ssh -F /dev/null -o BatchMode=yes -o IdentityFile=/dev/null");
        match agent {
            Some(socket) => command.env("SSH_AUTH_SOCK", socket),
            None => command.env_remove("SSH_AUTH_SOCK"),
        };
    }
    command.current_dir(tree).args(arguments).stdin(Stdio::null()).env("GIT_TERMINAL_PROMPT", "0");
    let output = command.output().map_err(|e| Error::system("run git, which repositories are read with", &e))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let hint = match says {
        Says::User => "",
        Says::Dockerfile { .. } => {
            "; ADD gets no repositories of this machine, and no credentials but an agent's (--ssh default): what takes them, put into the context"
        }
    };
    Err(Error::new(Kind::System, format!("git {}: {}{hint}", arguments.join(" "), why.trim().replace('\n', "; "))))
}
