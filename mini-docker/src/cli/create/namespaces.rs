//! Flags about which namespaces are shared.

use clap::Args;

use crate::engine::{Error, Request, Result};

#[derive(Debug, Args)]
pub(super) struct NamespacesFlags {
    /// IPC mode to use: none, private, shareable, host, container:NAME
    #[arg(long, value_name = "MODE")]
    ipc: Option<String>,
    /// PID namespace to use: host, container:NAME
    #[arg(long, value_name = "MODE")]
    pid: Option<String>,
    /// UTS namespace to use: host
    #[arg(long, value_name = "MODE")]
    uts: Option<String>,
    /// User namespace to use: private (the default), with ids that nobody else has, or host, where root is the host's;
    /// host is the default with --privileged and with --network, --pid and --ipc host, and another container's with theirs
    #[arg(long, value_name = "MODE")]
    userns: Option<String>,
    /// Cgroup namespace to use: private (the default) or host
    #[arg(long, value_name = "MODE")]
    cgroupns: Option<String>,
}

impl NamespacesFlags {
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        let mode = |flag: &Option<String>| flag.clone().unwrap_or_default();
        let namespaces = &mut request.namespaces;
        namespaces.ipc = mode(&self.ipc);
        namespaces.pid = mode(&self.pid);
        namespaces.uts = mode(&self.uts);
        namespaces.user = mode(&self.userns);
        namespaces.cgroup = mode(&self.cgroupns);
        namespaces.check()?;
        if namespaces.uts == "host" {
            if request.hostname.is_some() {
                return Err(Error::invalid("conflicting options: hostname and the UTS mode"));
            }
            let host = nix::unistd::gethostname().map_err(|e| Error::system("read the host name", &e.into()))?;
            request.hostname = Some(host.to_string_lossy().into_owned());
        }
        Ok(())
    }
}
