//! Device rules as a program, for v2, which has no files for them: the kernel asks it about each device that a process of
//! the cgroup opens or makes.
//!
//! It is given `struct bpf_cgroup_dev_ctx` of linux/bpf.h: a word with what is done in its upper half and the kind of
//! device in its lower one, the major and the minor number. Its answer is 1 or 0.

use std::{fs::File, os::fd::AsFd, path::Path};

use process::{
    Errno, Host,
    sys::{Instruction, attach_device_program, load_device_program},
};

use crate::{
    access::{Access, DeviceKind, DeviceRule},
    place::failed,
};

/// What `linux/bpf.h` calls `BPF_DEVCG_DEV_…` and `BPF_DEVCG_ACC_…`.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
const MAKE: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

/// Registers: the answer, what the program is given, what it reads of it, and two to compare in, of which the first one is
/// what is given: it has been read by then.
const ANSWER: u8 = 0;
const GIVEN: u8 = 1;
const DIFFERENCE: u8 = GIVEN;
const KIND: u8 = 2;
const DONE: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const PART: u8 = 6;

const fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset, immediate }
}

/// `BPF_LDX | BPF_MEM | BPF_W`: a word of what is given.
const fn load(to: u8, offset: i16) -> Instruction {
    instruction(0x61, to, GIVEN, offset, 0)
}

/// `BPF_ALU | BPF_MOV | BPF_X`.
const fn copy(to: u8, from: u8) -> Instruction {
    instruction(0xbc, to, from, 0, 0)
}

/// `BPF_ALU | BPF_OR | BPF_X`.
const fn or(to: u8, from: u8) -> Instruction {
    instruction(0x4c, to, from, 0, 0)
}

/// `BPF_ALU | BPF_AND | BPF_K`.
const fn and(to: u8, bits: i32) -> Instruction {
    instruction(0x54, to, 0, 0, bits)
}

/// `BPF_ALU | BPF_XOR | BPF_K`.
const fn xor(to: u8, bits: i32) -> Instruction {
    instruction(0xa4, to, 0, 0, bits)
}

/// `BPF_ALU | BPF_RSH | BPF_K`.
const fn shift_right(to: u8, bits: i32) -> Instruction {
    instruction(0x74, to, 0, 0, bits)
}

/// `BPF_JMP32 | BPF_JEQ | BPF_K` with 0: over `skip` instructions.
const fn if_zero(register: u8, skip: i16) -> Instruction {
    instruction(0x16, register, 0, skip, 0)
}

/// `BPF_ALU64 | BPF_MOV | BPF_K` and `BPF_JMP | BPF_EXIT`.
const fn answer(value: i32) -> [Instruction; 2] {
    [instruction(0xb7, ANSWER, 0, 0, value), instruction(0x95, 0, 0, 0, 0)]
}

/// The program that allows what one of the rules allows whole, as v1 does. One jump a rule: what the kernel's verifier
/// takes for a program, which is most of what one costs, goes by its branches.
fn compile(rules: &[DeviceRule]) -> Vec<Instruction> {
    if rules.iter().any(|rule| rule.kind == DeviceKind::All) {
        return answer(1).into();
    }
    let mut program = vec![load(KIND, 0), copy(DONE, KIND), and(KIND, 0xffff), shift_right(DONE, 16)];
    program.extend([load(MAJOR, 4), load(MINOR, 8)]);
    let tests: Vec<_> = rules.iter().map(difference).collect();
    let mut left: usize = tests.iter().map(|test| test.len() + 1).sum();
    for test in tests {
        left -= test.len() + 1;
        program.extend(test);
        // To the yes behind the no.
        program.push(if_zero(DIFFERENCE, (left + answer(0).len()) as i16));
    }
    program.extend(answer(0));
    if !rules.is_empty() {
        // The kernel takes nothing that is never reached.
        program.extend(answer(1));
    }
    program
}

/// Makes `DIFFERENCE` zero where the rule allows what is asked for.
fn difference(rule: &DeviceRule) -> Vec<Instruction> {
    let kind = if rule.kind == DeviceKind::Block { BLOCK } else { CHARACTER };
    let mut program = vec![copy(DIFFERENCE, KIND), xor(DIFFERENCE, kind)];
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        if let Some(number) = number {
            program.extend([copy(PART, register), xor(PART, number.cast_signed()), or(DIFFERENCE, PART)]);
        }
    }
    let Access { read, write, make } = rule.access;
    let others = [(make, MAKE), (read, READ), (write, WRITE)].iter().filter(|(has, _)| !has).map(|(_, bit)| bit).sum();
    if others != 0 {
        program.extend([copy(PART, DONE), and(PART, others), or(DIFFERENCE, PART)]);
    }
    program
}

/// Whether this kernel asks programs about devices, which v2 takes.
///
/// # Errors
/// Why it does not.
pub fn asks_programs() -> Result<(), Errno> {
    load_device_program(&compile(&[])).map(drop)
}

/// Attaches the rules' program to the cgroup at `directory`, with which it goes.
pub(crate) fn fence(host: &mut Host, directory: &Path, rules: &[DeviceRule]) -> process::Result<()> {
    let program = compile(rules);
    let what = || format!("bpf(BPF_PROG_LOAD, {{CGROUP_DEVICE, {} instructions}})", program.len());
    let loaded = host.act(what, || load_device_program(&program));
    let loaded = loaded.map_err(|e| match e.errno {
        Errno::EPERM => e.hint("it takes CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN, outside of user namespaces"),
        _ => e.hint("this kernel has no programs for devices: it takes CONFIG_CGROUP_BPF"),
    })?;
    let cgroup = File::open(directory).map_err(|e| failed(directory, "open", &e))?;
    let what = || format!("bpf(BPF_PROG_ATTACH, {{BPF_CGROUP_DEVICE, {:?}}})", directory.display());
    host.act(what, || attach_device_program(cgroup.as_fd(), loaded.as_fd())).map_err(|e| match e.errno {
        Errno::EPERM => e.hint("a cgroup above has a program for devices that lets none beside it"),
        _ => e,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DEFAULT_DEVICES;

    /// What the kernel would do: these instructions alone.
    fn asked(rules: &[DeviceRule], kind: i32, (major, minor): (i32, i32), done: i32) -> i32 {
        let (program, given) = (compile(rules), [done << 16 | kind, major, minor]);
        let mut registers = [0_i32; 7];
        let mut at = 0;
        loop {
            let Instruction { code, registers: both, offset, immediate } = program[at];
            let (to, from) = (usize::from(both & 15), usize::from(both >> 4));
            at += 1;
            match code {
                0x61 => registers[to] = given[offset as usize / 4],
                0xbc => registers[to] = registers[from],
                0x4c => registers[to] |= registers[from],
                0x54 => registers[to] &= immediate,
                0xa4 => registers[to] ^= immediate,
                0x74 => registers[to] = (registers[to].cast_unsigned() >> immediate).cast_signed(),
                0x16 if registers[to] == immediate => at += offset as usize,
                0x16 => {}
                0xb7 => registers[to] = immediate,
                0x95 => return registers[0],
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn a_program_says_what_the_rules_say() {
        let rules = |texts: &[&str]| texts.iter().map(|t| DeviceRule::parse(t).unwrap()).collect::<Vec<_>>();
        let both = READ | WRITE;
        assert_eq!(asked(&[], CHARACTER, (1, 3), READ), 0);
        assert_eq!(asked(&rules(&["a 7:7 r"]), BLOCK, (1, 3), MAKE), 1, "all are all");
        for (kind, device, done, said) in [
            (CHARACTER, (1, 3), both, 1),
            (CHARACTER, (1, 3), MAKE, 1),
            (CHARACTER, (1, 4), both, 0),
            (CHARACTER, (1, 4), MAKE, 1),
            (BLOCK, (1, 3), READ, 0),
            (BLOCK, (8, 0), MAKE, 1),
            (BLOCK, (8, 0), MAKE | READ, 0),
            (CHARACTER, (136, 77), both, 1),
        ] {
            assert_eq!(asked(&DEFAULT_DEVICES, kind, device, done), said, "{kind} {device:?} {done}");
        }
        let some = rules(&["c 4:* r", "c *:7 w", "b 4294967295:0 rw"]);
        for (kind, device, done, said) in [
            (CHARACTER, (4, 7), READ, 1),
            (CHARACTER, (4, 7), WRITE, 1),
            // No rule allows both.
            (CHARACTER, (4, 7), both, 0),
            (CHARACTER, (9, 7), WRITE, 1),
            (CHARACTER, (9, 7), READ, 0),
            (BLOCK, (-1, 0), both, 1),
        ] {
            assert_eq!(asked(&some, kind, device, done), said, "{kind} {device:?} {done}");
        }
    }
}
