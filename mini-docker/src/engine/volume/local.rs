//! Volumes that stand for something else: `type`, `o` and `device` as of mount(8). It is mounted on the host while
//! containers use it, and not longer.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, ToSocketAddrs},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::stat::Mode,
};
use process::sys;

use super::Volume;
use crate::engine::{
    Engine,
    container::{Config, storage::From},
    error::{Context, Error, Result},
    files::Lock,
};

/// Options of mount(8) that are flags of mount(2): name, flag, whether it sets or clears it.
const FLAGS: [(&str, MsFlags, bool); 26] = [
    ("defaults", MsFlags::empty(), true),
    ("bind", MsFlags::MS_BIND, true),
    ("rbind", MsFlags::MS_BIND.union(MsFlags::MS_REC), true),
    ("ro", MsFlags::MS_RDONLY, true),
    ("rw", MsFlags::MS_RDONLY, false),
    ("suid", MsFlags::MS_NOSUID, false),
    ("nosuid", MsFlags::MS_NOSUID, true),
    ("dev", MsFlags::MS_NODEV, false),
    ("nodev", MsFlags::MS_NODEV, true),
    ("exec", MsFlags::MS_NOEXEC, false),
    ("noexec", MsFlags::MS_NOEXEC, true),
    ("sync", MsFlags::MS_SYNCHRONOUS, true),
    ("async", MsFlags::MS_SYNCHRONOUS, false),
    ("dirsync", MsFlags::MS_DIRSYNC, true),
    ("mand", MsFlags::MS_MANDLOCK, true),
    ("nomand", MsFlags::MS_MANDLOCK, false),
    ("atime", MsFlags::MS_NOATIME, false),
    ("noatime", MsFlags::MS_NOATIME, true),
    ("diratime", MsFlags::MS_NODIRATIME, false),
    ("nodiratime", MsFlags::MS_NODIRATIME, true),
    ("relatime", MsFlags::MS_RELATIME, true),
    ("norelatime", MsFlags::MS_RELATIME, false),
    ("strictatime", MsFlags::MS_STRICTATIME, true),
    ("nostrictatime", MsFlags::MS_STRICTATIME, false),
    ("silent", MsFlags::MS_SILENT, true),
    ("loud", MsFlags::MS_SILENT, false),
];

/// Checks the options as Docker does: known, and none without those that it needs.
pub(super) fn check(options: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in options {
        if name == "size" {
            return Err("quota size requested but no quota support: leave the option `size` out".to_owned());
        }
        if !["type", "o", "device"].contains(&name.as_str()) {
            return Err(format!("invalid option: {name:?}"));
        }
        if value.contains('\0') {
            return Err(format!("the option {name:?} has a null byte in it"));
        }
    }
    if options.is_empty() {
        return Ok(());
    }
    match ["device", "type"].into_iter().find(|needed| !options.contains_key(*needed)) {
        Some(missing) => Err(format!("missing required option: {missing:?}")),
        None => Ok(()),
    }
}

impl Engine {
    /// The path of the volume's data, and its directory; what the volume stands for is mounted there first.
    pub(in crate::engine) fn open_volume(&self, name: &str) -> Result<(PathBuf, OwnedFd)> {
        let volume = self.volume(name)?;
        let _alone = if volume.options.is_empty() { None } else { Some(self.lock_volume(name)?) };
        self.open_locked(&volume)
    }

    /// As [`Engine::open_volume`], for one who holds the lock of a volume that stands for something.
    pub(super) fn open_locked(&self, volume: &Volume) -> Result<(PathBuf, OwnedFd)> {
        let path = self.volume_path(&volume.name);
        if !volume.options.is_empty() && !is_mounted(&path)? {
            mount_volume(volume, &path)?;
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = open(&path, flags, Mode::empty()).doing("open the volume", &path)?;
        Ok((path, fd))
    }

    /// Unmounts what this container's volumes stand for, unless another container that runs uses them.
    pub(in crate::engine) fn release_volumes(&self, config: &Config) -> Result<()> {
        for point in &config.storage.points {
            let From::Volume { name, .. } = &point.from else { continue };
            // With the container itself its volumes may have gone.
            if is_mounted(&self.volume_path(name)).unwrap_or(false) {
                let _alone = self.lock_volume(name)?;
                self.release_volume(config, name)?;
            }
        }
        Ok(())
    }

    /// The same of one volume, whose lock the caller holds.
    pub(super) fn release_volume(&self, config: &Config, name: &str) -> Result<()> {
        let users = self.volume_users()?.remove(name).unwrap_or_default();
        for other in users.iter().filter(|id| **id != config.id) {
            if self.may_run(other)? {
                return Ok(());
            }
        }
        self.unmount_volume(name)
    }

    /// Whether the container runs or is being started. While there is a journal of it, it is.
    fn may_run(&self, id: &str) -> Result<bool> {
        let run = self.store.run(id);
        Ok(run.exists() && (Lock::is_held(&run.join("monitor"))? || run.join("undo").exists()))
    }

    /// Unmounts whatever is mounted at the volume's data.
    pub(super) fn unmount_volume(&self, name: &str) -> Result<()> {
        let path = self.volume_path(name);
        match umount2(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Nothing is mounted there, or there is no such volume.
            Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
            unmounted => unmounted.doing("unmount", &path),
        }
    }
}

/// Whether something is mounted at the path itself.
fn is_mounted(path: &Path) -> Result<bool> {
    let id = |path: &Path| {
        let c_path = std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL);
        c_path.and_then(|c_path| sys::mount_id(&c_path)).doing("look at", path)
    };
    Ok(id(path)? != id(path.parent().unwrap_or(path))?)
}

fn mount_volume(volume: &Volume, path: &Path) -> Result<()> {
    let option = |name: &str| volume.options.get(name).map_or("", String::as_str);
    let (kind, device) = (option("type"), option("device"));
    let (flags, data) = split(option("o"));
    let data = if kind.starts_with("nfs") || kind == "cifs" { with_address(&data) } else { data };
    let kind_given = (kind != "none" && !kind.is_empty()).then_some(kind);
    let mounted = mount(Some(device), path, kind_given, flags, (!data.is_empty()).then_some(data.as_str()));
    // Attributes of a bind are another call's (mount(2)).
    let of_bind = flags - (MsFlags::MS_BIND | MsFlags::MS_REC);
    let mounted = mounted.and_then(|()| {
        if !flags.contains(MsFlags::MS_BIND) || of_bind.is_empty() {
            return Ok(());
        }
        let changed =
            mount(None::<&str>, path, None::<&str>, of_bind | MsFlags::MS_BIND | MsFlags::MS_REMOUNT, None::<&str>);
        changed.inspect_err(|_| {
            let _ = umount2(path, MntFlags::MNT_DETACH);
        })
    });
    mounted.map_err(|errno| {
        let what =
            format!("failed to mount local volume {}: mount {device} ({kind}) on {}", volume.name, path.display());
        Error::system(what, &io::Error::from(errno))
    })
}

/// The flags of mount(2), and what is left for the filesystem.
fn split(options: &str) -> (MsFlags, String) {
    let mut flags = MsFlags::empty();
    let mut data = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match FLAGS.iter().find(|(name, ..)| *name == option) {
            Some((_, flag, set)) => flags.set(*flag, *set),
            None => data.push(option),
        }
    }
    (flags, data.join(","))
}

/// The kernel wants an address where `addr=` has a name.
fn with_address(data: &str) -> String {
    let resolve = |option: &str| {
        let name = option.strip_prefix("addr=")?;
        if name.parse::<IpAddr>().is_ok() {
            return None;
        }
        let address = (name, 0).to_socket_addrs().ok()?.next()?;
        Some(format!("addr={}", address.ip()))
    };
    data.split(',').map(|option| resolve(option).unwrap_or_else(|| option.to_owned())).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn options_are_checked_as_by_docker() {
        assert_eq!(check(&options(&[])), Ok(()));
        assert_eq!(check(&options(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")])), Ok(()));
        for (given, why) in [
            (&[("foo", "bar")][..], "invalid option: \"foo\""),
            (&[("type", "tmpfs")], "missing required option: \"device\""),
            (&[("device", "tmpfs")], "missing required option: \"type\""),
            (&[("size", "1g")], "no quota support"),
        ] {
            assert!(check(&options(given)).unwrap_err().contains(why));
        }
    }

    #[test]
    fn options_are_flags_or_the_filesystems_own() {
        let (flags, data) = split("rbind,ro,size=1m,,nosuid,uid=5,suid");
        assert_eq!(flags, MsFlags::MS_BIND | MsFlags::MS_REC | MsFlags::MS_RDONLY);
        assert_eq!(data, "size=1m,uid=5");
        assert_eq!(with_address("addr=127.0.0.1,vers=4"), "addr=127.0.0.1,vers=4");
    }
}
