//! From ranges to classic BPF: a binary search, so that a call passes log2 of the ranges and not half of them.

use libc::sock_filter;

use crate::rules::{Action, Check, Op, Policy, Range, Verdict};

const LD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JA: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JEQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JGT: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const JGE: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RET: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Offsets in `struct seccomp_data` (linux/seccomp.h).
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

pub(crate) const fn op(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Compiles one architecture's ranges.
pub(crate) type Search = fn(&[Range], &mut Vec<sock_filter>);

/// The whole filter: which architecture, then `search` among its ranges.
pub(crate) fn filter(policy: &Policy, search: Search) -> Vec<sock_filter> {
    // Written from its end to its beginning: where a jump goes is known when it is written.
    let mut reversed = vec![op(RET, Action::KILL_PROCESS.0, 0, 0)];
    for (audit, ranges) in policy.0.iter().rev() {
        let before = reversed.len();
        search(ranges, &mut reversed);
        reversed.push(op(LD, NUMBER, 0, 0));
        let length = reversed.len() - before;
        // A section may be longer than a conditional jump.
        reversed.push(op(JA, length as u32, 0, 0));
        reversed.push(op(JEQ, *audit, 1, 0));
    }
    reversed.push(op(LD, ARCH, 0, 0));
    reversed.reverse();
    reversed
}

// ANCHOR: balanced
/// A tree of comparisons, whose leaves are returns that as many as can reach one share.
pub(crate) fn balanced(ranges: &[Range], reversed: &mut Vec<sock_filter>) {
    if let [range] = ranges {
        return verdict(&range.verdict, reversed);
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let (left_at, right_at) = (branch(left, reversed), branch(right, reversed));
    let left_at = reach(left_at, left, reversed);
    let right_at = reach(right_at, right, reversed);
    let next = reversed.len() - 1;
    reversed.push(op(JGE, right[0].first, (next - right_at) as u8, (next - left_at) as u8));
}

/// Writes a branch and says where; nothing of one that only returns.
fn branch(ranges: &[Range], reversed: &mut Vec<sock_filter>) -> Option<usize> {
    if let [Range { verdict: Verdict::Always(_), .. }] = ranges {
        return None;
    }
    balanced(ranges, reversed);
    Some(reversed.len() - 1)
}

/// Where a jump that comes next, or next but one, gets to the branch: there, or by a step in between.
fn reach(at: Option<usize>, ranges: &[Range], reversed: &mut Vec<sock_filter>) -> usize {
    const FURTHEST: usize = 254;
    let nearest = reversed.len().saturating_sub(FURTHEST);
    match (at, &ranges[0].verdict) {
        (Some(at), _) if at >= nearest => return at,
        (Some(at), _) => reversed.push(op(JA, (reversed.len() - 1 - at) as u32, 0, 0)),
        (None, Verdict::Always(action)) => {
            let shared = reversed[nearest..].iter().rposition(|step| step.code == RET && step.k == action.0);
            match shared {
                Some(at) => return nearest + at,
                None => reversed.push(op(RET, action.0, 0, 0)),
            }
        }
        (None, Verdict::Depends(..)) => verdict(&ranges[0].verdict, reversed),
    }
    reversed.len() - 1
}
// ANCHOR_END: balanced

/// One number after the other, as most compilers have it: what the tree is measured and checked against.
pub(crate) fn linear(ranges: &[Range], reversed: &mut Vec<sock_filter>) {
    /// A longer range is a gap, not a list of calls.
    const LONGEST: u32 = 4096;
    let Some((last, earlier)) = ranges.split_last() else { return };
    verdict(&last.verdict, reversed);
    for (range, next) in earlier.iter().zip(&ranges[1..]).rev() {
        if next.first - range.first > LONGEST {
            guarded(JGE, next.first, &range.verdict, reversed);
            continue;
        }
        for number in (range.first..next.first).rev() {
            guarded(JEQ, number, &range.verdict, reversed);
        }
    }
}

/// The verdict where the number equals `k` (or, by `JGE`, is below it).
fn guarded(code: u16, k: u32, then: &Verdict, reversed: &mut Vec<sock_filter>) {
    let before = reversed.len();
    verdict(then, reversed);
    let length = reversed.len() - before;
    let away = code == JGE;
    match u8::try_from(length) {
        Ok(near) if away => reversed.push(op(code, k, near, 0)),
        Ok(near) => reversed.push(op(code, k, 0, near)),
        Err(_) => {
            reversed.push(op(JA, length as u32, 0, 0));
            reversed.push(if away { op(code, k, 0, 1) } else { op(code, k, 1, 0) });
        }
    }
}

fn verdict(verdict: &Verdict, reversed: &mut Vec<sock_filter>) {
    match verdict {
        Verdict::Always(action) => reversed.push(op(RET, action.0, 0, 0)),
        Verdict::Depends(alternatives, otherwise) => {
            reversed.push(op(RET, otherwise.0, 0, 0));
            for (checks, action) in alternatives.iter().rev() {
                let end = reversed.len();
                reversed.push(op(RET, action.0, 0, 0));
                for check in checks.iter().rev() {
                    compare(*check, end, reversed);
                }
            }
        }
    }
}

/// Goes on with what is behind it where the check holds, and else to what was there when `end` were written.
fn compare(check: Check, end: usize, reversed: &mut Vec<sock_filter>) {
    let (low, high) = (check.value as u32, (check.value >> 32) as u32);
    let low_at = ARGS + 8 * u32::from(check.index);
    let holds_at = reversed.len();
    // The kernel has a jump forward by at most 255; six checks of six steps are fewer.
    let fail = |reversed: &Vec<sock_filter>| (reversed.len() - end) as u8;
    let pass = |reversed: &Vec<sock_filter>| (reversed.len() - holds_at) as u8;
    let (fails, passes) = (fail(reversed), pass(reversed));
    // The low half decides where the high ones are equal.
    reversed.push(match check.op {
        Op::Equal | Op::MaskedEqual(_) => op(JEQ, low, passes, fails),
        Op::NotEqual => op(JEQ, low, fails, passes),
        Op::Greater => op(JGT, low, passes, fails),
        Op::GreaterOrEqual => op(JGE, low, passes, fails),
        Op::Less => op(JGE, low, fails, passes),
        Op::LessOrEqual => op(JGT, low, fails, passes),
    });
    if let Op::MaskedEqual(mask) = check.op
        && mask as u32 != u32::MAX
    {
        reversed.push(op(AND, mask as u32, 0, 0));
    }
    reversed.push(op(LD, low_at, 0, 0));
    // Of most arguments the kernel looks at the low half alone, and so do masks.
    if matches!(check.op, Op::MaskedEqual(mask) if mask >> 32 == 0 && high == 0) {
        return;
    }
    let (fails, passes) = (fail(reversed), pass(reversed));
    match check.op {
        Op::Equal | Op::MaskedEqual(_) => reversed.push(op(JEQ, high, 0, fails)),
        Op::NotEqual => reversed.push(op(JEQ, high, 0, passes)),
        Op::Greater | Op::GreaterOrEqual => {
            reversed.push(op(JEQ, high, 0, fails));
            reversed.push(op(JGT, high, passes + 1, 0));
        }
        Op::Less | Op::LessOrEqual => {
            reversed.push(op(JEQ, high, 0, passes));
            reversed.push(op(JGT, high, fails + 1, 0));
        }
    }
    if let Op::MaskedEqual(mask) = check.op {
        reversed.push(op(AND, (mask >> 32) as u32, 0, 0));
    }
    reversed.push(op(LD, low_at + 4, 0, 0));
}
