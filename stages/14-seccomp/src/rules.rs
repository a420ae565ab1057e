//! The canonical form of a profile: for each architecture, ranges of call numbers with one verdict each.

use crate::{
    names::{self, Arch, Row, X32_BIT},
    profile::Text,
};

/// What the kernel does with a call: the value that a filter returns (seccomp(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action(pub(crate) u32);

impl Action {
    pub(crate) const ALLOW: Self = Self(libc::SECCOMP_RET_ALLOW);
    pub(crate) const LOG: Self = Self(libc::SECCOMP_RET_LOG);
    pub(crate) const TRAP: Self = Self(libc::SECCOMP_RET_TRAP);
    pub(crate) const KILL_THREAD: Self = Self(libc::SECCOMP_RET_KILL_THREAD);
    pub(crate) const KILL_PROCESS: Self = Self(libc::SECCOMP_RET_KILL_PROCESS);
    /// What a kernel without the call says: C libraries try an older one then.
    const NO_SUCH_CALL: Self = Self::errno(libc::ENOSYS.cast_unsigned());

    pub(crate) const fn errno(errno: u32) -> Self {
        Self(libc::SECCOMP_RET_ERRNO | errno)
    }

    pub(crate) const fn trace(message: u32) -> Self {
        Self(libc::SECCOMP_RET_TRACE | message)
    }

    pub(crate) const fn is_errno(self) -> bool {
        self.0 & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO
    }

    pub(crate) const fn is_trace(self) -> bool {
        self.0 & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_TRACE
    }

    /// Whether the call is made, perhaps after a tracer has agreed.
    const fn lets_through(self) -> bool {
        self.is_trace() || self.0 == Self::ALLOW.0 || self.0 == Self::LOG.0
    }
}

/// How an argument is compared; all 64 bits, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// Under this mask.
    MaskedEqual(u64),
}

/// A question about one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Check {
    /// From 0 to 5.
    pub(crate) index: u8,
    pub(crate) op: Op,
    pub(crate) value: u64,
}

/// A rule in force: it fits when all checks hold.
#[derive(Debug)]
pub(crate) struct Rule<'a> {
    pub(crate) names: &'a [Text<'a>],
    pub(crate) action: Action,
    pub(crate) checks: Vec<Check>,
}

/// A profile whose conditions are decided.
#[derive(Debug)]
pub struct Resolved<'a> {
    pub(crate) default: Action,
    /// The machine's own first.
    pub(crate) arches: Vec<Arch>,
    pub(crate) flags: u32,
    pub(crate) rules: Vec<Rule<'a>>,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Always(Action),
    /// The first of the alternatives all of whose checks hold, or else the last action.
    Depends(Vec<(Vec<Check>, Action)>, Action),
}

/// Numbers from `first` up to the next range, or to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) verdict: Verdict,
}

/// Architectures by their audit number, each with ranges from 0 on; calls of others end the process.
#[derive(Debug)]
pub(crate) struct Policy(pub(crate) Vec<(u32, Vec<Range>)>);

impl Resolved<'_> {
    /// Sorts the rules out by number.
    ///
    /// A rule without checks beats those with checks, and the first of several wins; one that repeats the default is
    /// no rule: so libseccomp has it. Of rules with checks the first that fits wins.
    pub(crate) fn policy(&self) -> Policy {
        let mut spaces = Vec::new();
        // A name that no machine has is of a newer kernel, or another one: it is ignored, as by Docker.
        let named = self.rules.iter().flat_map(|rule| rule.names.iter().map(move |name| (rule, name)));
        let rows: Vec<_> = named.filter_map(|(rule, name)| Some((names::find(name.as_ref())?, rule))).collect();
        for &arch in self.arches.iter().filter(|arch| **arch != Arch::X32) {
            let mut ranges = self.ranges(&calls(&rows, arch), 0);
            if arch == Arch::X8664 {
                // As a kernel without x32, where the default would let it through.
                let closed = if self.default.lets_through() { Action::NO_SUCH_CALL } else { self.default };
                if self.arches.contains(&Arch::X32) {
                    ranges.extend(self.ranges(&calls(&rows, Arch::X32), X32_BIT));
                } else {
                    ranges.push(Range { first: X32_BIT, verdict: Verdict::Always(closed) });
                }
            }
            ranges.dedup_by(|later, earlier| later.verdict == earlier.verdict);
            spaces.push((arch.audit(), ranges));
        }
        Policy(spaces)
    }

    fn ranges(&self, calls: &[(u32, &Rule)], first: u32) -> Vec<Range> {
        let default = self.default;
        let otherwise = Verdict::Always(default);
        let mut ranges = vec![Range { first, verdict: otherwise.clone() }];
        for group in calls.chunk_by(|a, b| a.0 == b.0) {
            let number = group[0].0;
            let verdict = verdict(group, default);
            let last = ranges.last_mut().expect("it begins with one");
            if last.first == number {
                last.verdict = verdict;
            } else if last.verdict != verdict {
                ranges.push(Range { first: number, verdict });
            }
            ranges.push(Range { first: number + 1, verdict: otherwise.clone() });
        }
        // Calls that are newer than all that the profile speaks of: a C library that meets EPERM gives up.
        if !default.lets_through()
            && !calls.is_empty()
            && let Some(last) = ranges.last_mut()
        {
            last.verdict = Verdict::Always(Action::NO_SUCH_CALL);
        }
        ranges
    }
}

/// Each call that is named and that the architecture has, by number, with its rules in order.
fn calls<'a>(rows: &[(&Row, &'a Rule<'a>)], arch: Arch) -> Vec<(u32, &'a Rule<'a>)> {
    let mut calls: Vec<_> = rows.iter().filter_map(|(row, rule)| Some((arch.number(row)?, *rule))).collect();
    calls.sort_by_key(|&(number, _)| number);
    calls
}

fn verdict(rules: &[(u32, &Rule)], default: Action) -> Verdict {
    let mut with_checks = Vec::new();
    for (_, rule) in rules {
        if !rule.checks.is_empty() {
            with_checks.push((rule.checks.clone(), rule.action));
        } else if rule.action != default {
            return Verdict::Always(rule.action);
        }
    }
    if with_checks.is_empty() { Verdict::Always(default) } else { Verdict::Depends(with_checks, default) }
}

#[cfg(test)]
impl Policy {
    pub(crate) fn decide(&self, audit: u32, number: u32, args: [u64; 6]) -> Action {
        let Some((_, ranges)) = self.0.iter().find(|(arch, _)| *arch == audit) else {
            return Action::KILL_PROCESS;
        };
        let at = ranges.partition_point(|range| range.first <= number) - 1;
        match &ranges[at].verdict {
            Verdict::Always(action) => *action,
            Verdict::Depends(alternatives, otherwise) => alternatives
                .iter()
                .find(|(checks, _)| checks.iter().all(|check| check.holds(args[usize::from(check.index)])))
                .map_or(*otherwise, |(_, action)| *action),
        }
    }
}

#[cfg(test)]
impl Check {
    fn holds(self, argument: u64) -> bool {
        match self.op {
            Op::NotEqual => argument != self.value,
            Op::Less => argument < self.value,
            Op::LessOrEqual => argument <= self.value,
            Op::Equal => argument == self.value,
            Op::GreaterOrEqual => argument >= self.value,
            Op::Greater => argument > self.value,
            Op::MaskedEqual(mask) => argument & mask == self.value,
        }
    }
}
