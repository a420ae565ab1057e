//! Stage 15: limits of one process.
//!
//! getrlimit(2): a soft limit that counts, and a hard one up to which the process may raise it itself. They are
//! inherited, and nothing is raised here that was not asked for.
#![forbid(unsafe_code)]

mod limit;

pub use limit::{Limit, LimitError, Resource};
use process::{Child, Errno, Host, Inside, Primitive, Result, sys};

// ANCHOR: rlimits
/// Sets limits of the process, in order; those that are not among them stay the caller's.
///
/// It comes before the change of ids: to raise a hard limit takes `CAP_SYS_RESOURCE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits(pub Vec<Limit>);

impl Primitive for Limits {
    fn name(&self) -> &'static str {
        "rlimits"
    }

    /// In a user namespace nobody may raise a hard limit: what is to rise is raised from outside.
    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        for (at, limit) in self.0.iter().enumerate() {
            let number = limit.resource.number();
            // The parent's own, which is what the child has begun with.
            let Ok((soft, hard)) = sys::limit(number) else { continue };
            if limit.hard > hard {
                let raised = host.act(
                    || format!("prlimit({}, {limit})", child.pid),
                    || sys::set_limit_of(child.pid, number, soft.min(limit.hard), limit.hard),
                );
                raised.map_err(|e| match self.hint(at as u16, e.errno) {
                    Some(hint) => e.hint(hint),
                    None => e,
                })?;
            }
        }
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        for (at, limit) in self.0.iter().enumerate() {
            inside.at(at);
            sys::set_limit(limit.resource.number(), limit.soft, limit.hard)?;
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        self.0.get(usize::from(step)).map_or_else(|| "prlimit()".to_owned(), |limit| format!("prlimit({limit})"))
    }

    fn hint(&self, step: u16, errno: Errno) -> Option<String> {
        let limit = self.0.get(usize::from(step))?;
        if errno != Errno::EPERM {
            return None;
        }
        let name = limit.resource.name();
        // The parent's own, which is what the child began with.
        let hard =
            sys::limit(limit.resource.number()).map_or_else(|_| "unknown".to_owned(), |(_, hard)| limit::text(hard));
        Some(if limit.resource.name() == "nofile" {
            format!(
                "the hard limit is {hard}; to raise it takes CAP_SYS_RESOURCE, and /proc/sys/fs/nr_open is the most"
            )
        } else {
            format!(
                "the hard limit of {name} is {hard}, and to raise it takes CAP_SYS_RESOURCE: ask for no more than that"
            )
        })
    }
}
// ANCHOR_END: rlimits
