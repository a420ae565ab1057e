//! Compose: several services from one description.
//!
//! From the files to the model, in this order: text ([`document`]), variables ([`interpolate`]), other files (`include`,
//! `extends`), the files over each other ([`merge`]), the check against the specification ([`shape`]), one long form of
//! everything ([`canonical`]), and at last what follows from all of it ([`complete`]). What then runs: [`service`] says what
//! container a service is, [`plan`] what is to be done, [`converge`] does it, `start` and `stop` begin and end it. The specification is
//! <https://github.com/compose-spec/compose-spec/blob/main/spec.md>.

pub mod build;
mod canonical;
mod complete;
mod consistency;
pub mod contents;
pub mod converge;
mod document;
pub mod dotenv;
mod dry;
pub(crate) mod duration;
mod encode;
pub mod execute;
mod extends;
mod found;
mod include;
mod interpolate;
pub mod job;
pub mod kubernetes;
pub(crate) mod load;
mod merge;
pub mod oneoff;
mod paths;
pub mod plan;
mod position;
mod progress;
pub mod project;
mod resources;
pub mod service;
mod shape;
mod short;
mod start;
mod stop;
pub mod template;
mod tree;
mod unique;
pub mod watch;
pub mod yaml;

pub use encode::words;
pub use project::{Options, Project};
