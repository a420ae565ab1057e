//! Virtual machines that are made for starting fast: Firecracker and Cloud Hypervisor. Both want the processor's help, by KVM.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    Result, Run,
    contestant::{Contestant, Place, said},
    guest::{Guest, LIMIT, MEBIBYTES, idles, line, says},
    run::{PATIENCE, first_word},
};

/// Firecracker, which takes a kernel unpacked, and all it is told from a file.
pub(crate) fn firecracker(place: &Place) -> Result<Contestant> {
    let version = said("firecracker", &["--version"])?;
    let guest = Guest::new(place)?;
    let kernel = guest.unpacked(place)?;
    let with = |name: &str, init: &str| -> Result<Run> {
        let file = place.text(name);
        fs::write(&file, configuration(&kernel, &guest.initramfs, init).to_string())?;
        Ok(limited(&["firecracker", "--no-api", "--config-file", &file]))
    };
    contestant("Firecracker", &version, &guest, with("says.json", &says())?, with("idles.json", &idles())?)
}

/// What Firecracker's `--config-file` has: docs/getting-started.md, "Configuring the microVM without sending API requests".
fn configuration(kernel: &str, initramfs: &str, init: &str) -> Value {
    json!({
        "boot-source": {
            "kernel_image_path": kernel,
            "initrd_path": initramfs,
            // It ends when the keyboard's controller is asked for a reset.
            "boot_args": line("k pci=off", init),
        },
        "drives": [],
        "machine-config": { "vcpu_count": 1, "mem_size_mib": MEBIBYTES },
    })
}

/// Cloud Hypervisor, whose machine has PCI and ACPI.
pub(crate) fn cloud_hypervisor(place: &Place) -> Result<Contestant> {
    let version = said("cloud-hypervisor", &["--version"])?;
    let guest = Guest::new(place)?;
    let kernel = guest.unpacked(place)?;
    let memory = format!("size={MEBIBYTES}M");
    let with = |init: &str| {
        let line = line("k", init);
        let own = ["cloud-hypervisor", "--kernel", &kernel, "--initramfs", &guest.initramfs, "--cmdline", &line];
        limited(&[&own[..], &["--cpus", "boot=1", "--memory", &memory, "--console", "off", "--serial", "tty"]].concat())
    };
    contestant("Cloud Hypervisor", &version, &guest, with(&says()), with(&idles()))
}

fn limited(command: &[&str]) -> Run {
    Run { patience: PATIENCE, ..Run::of(&[&["timeout", LIMIT], command].concat()) }
}

/// One that was seen to say the word: that there is a /dev/kvm says little.
fn contestant(name: &str, version: &str, guest: &Guest, word: Run, idle: Run) -> Result<Contestant> {
    if !Path::new("/dev/kvm").exists() {
        return Err("there is no /dev/kvm, and it emulates no processor".into());
    }
    first_word(&word).map_err(|e| format!("KVM starts no machine here: {e}"))?;
    Ok(Contestant {
        name: format!("{name} (KVM)"),
        version: format!("{}, Linux {}", version.lines().next().unwrap_or_default(), guest.release),
        slow: true,
        machine: true,
        word: Some(word),
        idle: Some(idle),
        ..Contestant::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firecracker_is_told_the_same_line_as_others() {
        let told = configuration("/vmlinux", "/initramfs", "/bin/echo -- word");
        assert_eq!(
            told["boot-source"]["boot_args"],
            "console=ttyS0 quiet panic=-1 reboot=k pci=off rdinit=/bin/echo -- word"
        );
    }
}
