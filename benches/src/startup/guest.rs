//! What machines run: Debian's cloud kernel, and the same busybox from an initramfs as its first process.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    Result, WORD,
    contestant::{Place, said},
    memory::IDLE,
};

/// What QEMU's network card takes, in the order of loading.
const MODULES: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
];

/// Seconds after which any machine is ended.
pub(crate) const LIMIT: &str = "120";
/// Its memory.
pub(crate) const MEBIBYTES: u32 = 256;

/// A kernel as Debian packs it, its release, and an initramfs.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) kernel: PathBuf,
    pub(crate) release: String,
    pub(crate) initramfs: String,
}

impl Guest {
    pub(crate) fn new(place: &Place) -> Result<Self> {
        let kernel = kernel()?;
        let release = kernel.file_name().unwrap_or_default().to_string_lossy().replace("vmlinuz-", "");
        let initramfs = initramfs(place, &kernel, &release)?;
        Ok(Self { kernel, release, initramfs })
    }

    /// The kernel as an ELF file, for those who unpack none themselves.
    pub(crate) fn unpacked(&self, place: &Place) -> Result<String> {
        let (packed, elf) = (place.path("payload"), place.text("vmlinux"));
        let image = fs::read(&self.kernel)?;
        let (payload, program) =
            payload(&image).ok_or_else(|| format!("{}: is no bzImage of a kind known here", self.kernel.display()))?;
        fs::write(&packed, payload)?;
        let unpack = format!("{program} -dc <{} >{elf}", packed.display());
        // Behind the payload is its length, which is no part of it to an unpacker.
        let _ = Command::new("sh").args(["-c", &unpack]).stderr(Stdio::null()).status()?;
        if fs::read(&elf)?.starts_with(b"\x7fELF") {
            Ok(elf)
        } else {
            Err(format!("{}: {program} unpacks no ELF file from it", self.kernel.display()).into())
        }
    }
}

/// A boot command line, which ends by a first process that is `init`.
pub(crate) fn line(reboot: &str, init: &str) -> String {
    format!("console=ttyS0 quiet panic=-1 reboot={reboot} rdinit={init}")
}

/// The first process that says the word.
pub(crate) fn says() -> String {
    format!("/bin/echo -- {WORD}")
}

/// The first process that does nothing.
pub(crate) fn idles() -> String {
    format!("/bin/{} -- {}", IDLE[0], IDLE[1])
}

/// The compressed kernel within a bzImage, and the program that unpacks it: "The Linux/x86 Boot Protocol", fields
/// `setup_sects`, `payload_offset` and `payload_length`.
fn payload(image: &[u8]) -> Option<(&[u8], &'static str)> {
    let long = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize);
    // What says 0 means 4.
    let sectors = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + long(0x248)?;
    let payload = image.get(start..start.checked_add(long(0x24c)?)?)?;
    let unpacker = match payload {
        [0x1f, 0x8b, ..] => "gzip",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [0x02, 0x21, 0x4c, 0x18, ..] => "lz4",
        _ => return None,
    };
    Some((payload, unpacker))
}

/// The host's kernel may be anybody's; Debian's for clouds is the same everywhere. `make bench-setup` unpacks it.
fn kernel() -> Result<PathBuf> {
    let boot = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/boot");
    let mut kernels: Vec<PathBuf> = fs::read_dir(&boot)
        .map_err(|_| "there is no kernel for it: make bench-setup fetches Debian's")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
        .collect();
    kernels.sort();
    kernels.pop().ok_or_else(|| "there is no kernel for it: make bench-setup fetches Debian's".into())
}

/// The root filesystem of all, with what brings the network up in a guest.
fn initramfs(place: &Place, kernel: &Path, release: &str) -> Result<String> {
    let (root, archive) = (place.path("guest"), place.text("initramfs"));
    if Path::new(&archive).exists() {
        return Ok(archive);
    }
    said("cp", &["-a", &place.text("root"), &root.display().to_string()])?;
    let modules = kernel.with_file_name("../lib/modules").join(release).join("kernel");
    let mut script = "#!/bin/sh\n".to_owned();
    for name in MODULES {
        let found = said("find", &[&modules.display().to_string(), "-name", &format!("{name}.ko")])?;
        if let Some(file) = found.lines().next() {
            fs::copy(file, root.join(format!("{name}.ko")))?;
            writeln!(script, "insmod /{name}.ko")?;
        }
    }
    // The addresses of QEMU's own network.
    script += "ip link set lo up; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up\nexec httpd -f -h /www\n";
    fs::write(root.join("serve"), script)?;
    let pack = format!("chmod +x serve && find . | busybox cpio -o -H newc >{archive} 2>/dev/null");
    let status = Command::new("sh").args(["-c", &pack]).current_dir(&root).status()?;
    if status.success() { Ok(archive) } else { Err("busybox cpio could not pack the initramfs".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_where_the_header_says() {
        let mut image = vec![0; 0x600];
        image[0x1f1] = 1;
        image[0x248] = 0x20;
        image[0x24c] = 8;
        image[0x420..0x426].copy_from_slice(b"\xfd7zXZ\0");
        assert_eq!(payload(&image), Some((&b"\xfd7zXZ\0\0\0"[..], "xz")));
        image[0x24e] = 1;
        assert_eq!(payload(&image), None, "longer than the file");
        assert_eq!(payload(b"MZ"), None);
    }
}
