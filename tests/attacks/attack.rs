//! What an attack is, and how it ends.

use std::{
    fmt, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tests::engine::Said;

use crate::target::Target;

/// Whether the attacked engine defends itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defence {
    /// As its users run it.
    On,
    /// Without the one defence that the attack is about: the test of the test.
    Off,
}

/// How an attack ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// It did not get what it wanted; what was said instead.
    Stopped(String),
    /// It got it; what it got.
    Through(String),
    /// It cannot be tried here; why.
    Not(String),
    /// The test itself failed.
    Broken(String),
}

impl Outcome {
    /// Through where `got` holds.
    pub(crate) fn of(got: bool, what: impl Into<String>) -> Self {
        if got { Self::Through(what.into()) } else { Self::Stopped(what.into()) }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (word, text) = match self {
            Self::Stopped(said) => ("stopped", said),
            Self::Through(got) => ("got through", got),
            Self::Not(why) => ("not tried", why),
            Self::Broken(why) => ("the test broke", why),
        };
        write!(f, "{word}: {}", text.trim().escape_debug())
    }
}

type Act = dyn Fn(&Scene) -> Outcome + Send + Sync;

/// One attack.
#[derive(Clone)]
pub(crate) struct Attack {
    /// What it is about; the file that it is in.
    pub(crate) family: &'static str,
    /// What it wants.
    pub(crate) name: String,
    /// Under which number it became known; may be empty.
    pub(crate) cve: &'static str,
    /// Which defence is off in the test of the test.
    pub(crate) off: &'static str,
    act: Arc<Act>,
}

impl Attack {
    pub(crate) fn new(
        (family, name): (&'static str, impl Into<String>),
        cve: &'static str,
        off: &'static str,
        act: impl Fn(&Scene) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        Self { family, name: name.into(), cve, off, act: Arc::new(act) }
    }

    pub(crate) fn run(&self, scene: &Scene) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| (self.act)(scene))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Outcome::Broken(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
        })
    }
}

/// Where one attack takes place: an engine, and a directory of the host with what must not be reached.
pub(crate) struct Scene<'a> {
    pub(crate) target: &'a Target,
    pub(crate) defence: Defence,
    directory: tempfile::TempDir,
    /// Different for every scene: for names.
    pub(crate) id: usize,
}

/// What only the host has.
pub(crate) const SECRET: &str = "of the host alone";

impl<'a> Scene<'a> {
    pub(crate) fn new(target: &'a Target, defence: Defence) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let directory = tempfile::Builder::new().prefix("mini-docker-attack-").tempdir().expect("make a directory");
        fs::create_dir(directory.path().join("canary")).expect("mkdir");
        fs::write(directory.path().join("canary/secret"), SECRET).expect("write the canary");
        Self { target, defence, directory, id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.defence == Defence::On
    }

    /// A name for an image, a container, a volume or a network of this scene.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{what}{}", self.id)
    }

    /// A file of the host.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A directory of the host that holds one file, `secret`.
    pub(crate) fn canary(&self) -> PathBuf {
        self.path("canary")
    }

    /// Whether the directory is as it was made.
    pub(crate) fn is_canary_intact(&self) -> bool {
        let names: Vec<_> =
            fs::read_dir(self.canary()).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
        names == ["secret"] && fs::read_to_string(self.canary().join("secret")).is_ok_and(|text| text == SECRET)
    }

    /// Whether that text has what only the host has.
    pub(crate) fn tells(text: &str) -> bool {
        text.contains(SECRET)
    }

    /// Runs a program in a container; `None` where this engine has no such flags.
    pub(crate) fn run(&self, flags: &[&str], command: &[&str]) -> Option<Said> {
        self.target.run(flags, command, &self.path("bundle"))
    }
}
