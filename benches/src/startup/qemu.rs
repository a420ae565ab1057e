//! Virtual machines of QEMU's, with the processor's help or without.

use super::{
    Result, Run,
    contestant::{Contestant, Place, free_port, said},
    guest::{Guest, LIMIT, MEBIBYTES, idles, line, says},
    run::{PATIENCE, first_word},
};

/// Seconds within which a machine that has the processor's help says its word.
const TRIAL: &str = "10";

/// A machine of QEMU's: `q35`, a PC, or `microvm`, which has what a guest needs and no more.
pub(crate) fn machine(place: &Place, kind: &str) -> Result<Contestant> {
    let qemu = said("qemu-system-x86_64", &["--version"])?.lines().next().unwrap_or_default().to_owned();
    let system = Guest::new(place)?;
    let port = free_port()?;
    let board = if kind == "microvm" { "microvm,acpi=off" } else { kind };
    let guest = |seconds: &str, accelerator: &str, options: &[&str], init: &str| {
        // A triple fault or a reset ends the machine.
        let image = system.kernel.display().to_string();
        let line = line("t", init);
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
                &MEBIBYTES.to_string(),
                "-nodefaults",
                "-no-user-config",
            ],
            &["-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", &image][..],
            &["-initrd", &system.initramfs, "-append", &line],
            options,
        ];
        Run { patience: PATIENCE, ..Run::of(&all.concat()) }
    };
    // Whether the kernel's accelerator works shows when it is used.
    let accelerator = if first_word(&guest(TRIAL, "kvm", &[], &says())).is_ok() { "kvm" } else { "tcg" };
    let card = format!("user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:80");
    let how = if accelerator == "kvm" { "KVM" } else { "software emulation" };
    Ok(Contestant {
        name: format!("QEMU {kind} ({how})"),
        version: format!("{qemu}, Linux {}", system.release),
        slow: true,
        machine: true,
        word: Some(guest(LIMIT, accelerator, &[], &says())),
        // microvm has no PCI.
        http: (kind == "q35").then(|| Run {
            address: format!("127.0.0.1:{port}"),
            ..guest(LIMIT, accelerator, &["-nic", &card], "/serve")
        }),
        idle: Some(guest(LIMIT, accelerator, &[], &idles())),
        ..Contestant::default()
    })
}
