//! A compose project of a test's own.

use std::fs;

use crate::engine::{Engine, Said};

/// An engine with one project, described in a directory of its own. Dropped, it takes the project down.
#[derive(Debug)]
pub struct Shop {
    /// Where it runs.
    pub engine: Engine,
    /// The project's name.
    pub name: String,
}

impl Shop {
    /// An engine with the image `bb`, and a compose file.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn new(binary: &str, name: &str, file: &str) -> Self {
        let engine = Engine::new(binary);
        let shop = Self { engine, name: format!("{name}{}", std::process::id()) };
        fs::create_dir_all(shop.engine.path("shop")).expect("make a directory");
        shop.describe(file);
        shop
    }

    /// Writes the compose file anew.
    pub fn describe(&self, file: &str) {
        self.write("compose.yaml", file);
    }

    /// Writes a file beside it.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.engine.path("shop").join(name), text).expect("write a file");
    }

    /// The arguments of a compose command.
    pub fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let directory = self.engine.path("shop").display().to_string();
        let own = ["compose", "-p", &self.name, "--project-directory", &directory];
        own.iter().chain(arguments).map(|&word| word.to_owned()).collect()
    }

    /// Runs a compose command to its end.
    pub fn compose(&self, arguments: &[&str]) -> Said {
        let all = self.arguments(arguments);
        self.engine.run(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same, by the name of the first Compose.
    pub fn compose_by_its_old_name(&self, arguments: &[&str]) -> Said {
        let mut command = self.engine.command(&[]);
        let mut all = self.arguments(arguments);
        all.remove(0);
        std::os::unix::process::CommandExt::arg0(&mut command, "/usr/bin/docker-compose");
        command.args(all);
        crate::engine::said(&crate::engine::output(command, b""))
    }

    /// The one line that a command which failed said, beside the steps before.
    ///
    /// # Panics
    /// Where it said anything else.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        let Said { code, out, err } = self.compose(arguments);
        let lines: Vec<_> = err.lines().filter(|line| !line.starts_with(' ')).collect();
        Said { code, out, err: lines.join("\n") }.refused(1)
    }

    /// A container's name.
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.compose(&["down", "-v", "-t", "0", "--remove-orphans"]);
    }
}
