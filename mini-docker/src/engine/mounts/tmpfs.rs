//! Options of a tmpfs, as mount(8) has them: `size=64m,mode=1770,exec`.

use std::ffi::{CStr, CString};

use process::sys::MountAttr;

use crate::engine::{
    container::storage::TmpfsOptions,
    error::{Error, Result},
};

/// Those with a value, which the kernel reads.
const VALUES: [(&str, &CStr); 7] = [
    ("size", c"size"),
    ("mode", c"mode"),
    ("uid", c"uid"),
    ("gid", c"gid"),
    ("nr_inodes", c"nr_inodes"),
    ("nr_blocks", c"nr_blocks"),
    ("mpol", c"mpol"),
];

/// Those without, which are attributes of the mount: each sets or clears one.
const FLAGS: [(&str, MountAttr, bool); 8] = [
    ("ro", MountAttr::READ_ONLY, true),
    ("rw", MountAttr::READ_ONLY, false),
    ("nosuid", MountAttr::NO_SUID, true),
    ("suid", MountAttr::NO_SUID, false),
    ("nodev", MountAttr::NO_DEV, true),
    ("dev", MountAttr::NO_DEV, false),
    ("noexec", MountAttr::NO_EXEC, true),
    ("exec", MountAttr::NO_EXEC, false),
];

/// Those that ask for what the kernel does anyway.
const USUAL: [&str; 4] = ["defaults", "relatime", "async", "diratime"];

/// Attributes and options, the last of a kind counts. Docker's defaults: no program runs, no device opens in it.
pub(super) fn parse(options: &str) -> Result<(MountAttr, Vec<(&'static CStr, CString)>)> {
    let mut attr = MountAttr::NO_SUID.and(MountAttr::NO_DEV).and(MountAttr::NO_EXEC);
    let mut values: Vec<(&'static CStr, CString)> = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty() && !USUAL.contains(option)) {
        let invalid = || Error::invalid(format!("invalid tmpfs option [{option:?}]"));
        if let Some((_, flag, set)) = FLAGS.iter().find(|(name, ..)| *name == option) {
            attr = if *set { attr.and(*flag) } else { MountAttr(attr.0 & !flag.0) };
            continue;
        }
        let (name, value) = option.split_once('=').ok_or_else(invalid)?;
        let (_, key) = VALUES.iter().find(|(known, _)| *known == name).ok_or_else(invalid)?;
        let value = CString::new(value).map_err(|_| invalid())?;
        values.retain(|(other, _)| other != key);
        values.push((key, value));
    }
    Ok((attr, values))
}

/// The options that the long form comes to.
pub(super) fn of(options: &TmpfsOptions) -> String {
    let size = (options.size_bytes > 0).then(|| format!("size={}", options.size_bytes));
    let mode = (options.mode > 0).then(|| format!("mode={:o}", options.mode));
    [size, mode].into_iter().flatten().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_attributes_or_values() {
        let (attr, values) = parse("size=64m,exec,mode=700,ro,size=1m,,rw").unwrap();
        assert_eq!(attr, MountAttr::NO_SUID.and(MountAttr::NO_DEV));
        assert_eq!(values, [(c"mode", c"700".to_owned()), (c"size", c"1m".to_owned())]);
        assert_eq!(parse("").unwrap().0, attr.and(MountAttr::NO_EXEC));
        for bad in ["bogus", "bogus=1", "size", "=", "size=1\0"] {
            assert!(parse(bad).unwrap_err().to_string().contains("invalid tmpfs option"), "{bad}");
        }
        assert_eq!(of(&TmpfsOptions { size_bytes: 4096, mode: 0o1770 }), "size=4096,mode=1770");
    }
}
