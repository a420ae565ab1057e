//! Runs filters as the kernel does, for tests: the part of classic BPF that they are made of.

use libc::sock_filter;

/// A call as the kernel shows it to a filter (struct seccomp_data of linux/seccomp.h).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    pub(crate) number: u32,
    pub(crate) arch: u32,
    pub(crate) args: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            16..=60 if offset.is_multiple_of(4) => {
                let arg = self.args[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { arg as u32 } else { (arg >> 32) as u32 }
            }
            _ => panic!("no word at {offset}"),
        }
    }
}

/// What the filter returns, and after how many steps.
///
/// # Panics
/// On what the kernel would refuse at once.
pub(crate) fn run(filter: &[sock_filter], data: &Data) -> (u32, usize) {
    let (mut at, mut word) = (0, 0_u32);
    for steps in 1.. {
        let sock_filter { code, jt, jf, k } = filter[at];
        at += 1;
        let mut jump = |when: bool| at += usize::from(if when { jt } else { jf });
        match u32::from(code) {
            0x20 => word = data.word(k),
            0x54 => word &= k,
            0x05 => at += k as usize,
            0x15 => jump(word == k),
            0x25 => jump(word > k),
            0x35 => jump(word >= k),
            0x06 => return (k, steps),
            other => panic!("unknown instruction {other:#x}"),
        }
    }
    unreachable!("jumps go forward")
}
