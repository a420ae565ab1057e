//! Virtual machines: QEMU with Debian's cloud kernel, whose first process is the same busybox from an initramfs.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Result, Run, WORD,
    contestant::{Contestant, Place, free_port, said},
    memory::IDLE,
    run::{PATIENCE, first_word},
};

/// What the card of the machine takes, in the order of loading.
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

/// Seconds within which a machine that has the processor's help says its word.
const TRIAL: &str = "10";
/// Seconds after which any machine is ended.
const LIMIT: &str = "120";

/// A machine of QEMU's: `q35`, a PC, or `microvm`, which has what a guest needs and no more.
pub(crate) fn machine(place: &Place, kind: &str) -> Result<Contestant> {
    let qemu = said("qemu-system-x86_64", &["--version"])?.lines().next().unwrap_or_default().to_owned();
    let kernel = kernel()?;
    let release = kernel.file_name().unwrap_or_default().to_string_lossy().replace("vmlinuz-", "");
    let initramfs = initramfs(place, &kernel, &release)?;
    let port = free_port()?;
    let board = if kind == "microvm" { "microvm,acpi=off" } else { kind };
    let guest = |seconds: &str, accelerator: &str, options: &[&str], init: &str| {
        // A triple fault or a reset ends the machine.
        let image = kernel.display().to_string();
        let line = format!("console=ttyS0 quiet panic=-1 reboot=t rdinit={init}");
        let all = [
            &[
                "timeout",
                seconds,
                "qemu-system-x86_64",
                "-accel",
                accelerator,
                "-cpu",
                "max",
                "-machine",
                board,
                "-m",
                "256",
                "-nodefaults",
                "-no-user-config",
            ],
            &["-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", &image][..],
            &["-initrd", &initramfs, "-append", &line],
            options,
        ];
        Run { patience: PATIENCE, ..Run::of(&all.concat()) }
    };
    let say = format!("/bin/echo -- {WORD}");
    // Whether the kernel's accelerator works shows when it is used.
    let accelerator = if first_word(&guest(TRIAL, "kvm", &[], &say)).is_ok() { "kvm" } else { "tcg" };
    let card = format!("user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:80");
    let how = if accelerator == "kvm" { "KVM" } else { "software emulation" };
    Ok(Contestant {
        name: format!("QEMU {kind} ({how})"),
        version: format!("{qemu}, Linux {release}"),
        slow: true,
        machine: true,
        word: Some(guest(LIMIT, accelerator, &[], &say)),
        // microvm has no PCI.
        http: (kind == "q35").then(|| Run {
            address: format!("127.0.0.1:{port}"),
            ..guest(LIMIT, accelerator, &["-nic", &card], "/serve")
        }),
        idle: Some(guest(LIMIT, accelerator, &[], &format!("/bin/{} -- {}", IDLE[0], IDLE[1]))),
        ..Contestant::default()
    })
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
