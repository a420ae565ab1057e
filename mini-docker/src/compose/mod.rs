//! Compose: several services from one description.
//!
//! From the files to the model, in this order: text ([`document`]), variables ([`interpolate`]), other files (`include`,
//! `extends`), the files over each other ([`merge`]), the check against the specification ([`shape`]), one long form of
//! everything ([`canonical`]), and at last what follows from all of it ([`complete`]). The specification is
//! <https://github.com/compose-spec/compose-spec/blob/main/spec.md>.

mod canonical;
mod complete;
mod consistency;
mod document;
pub mod dotenv;
mod duration;
mod encode;
mod extends;
mod include;
mod interpolate;
mod load;
mod merge;
mod paths;
mod position;
pub mod project;
mod shape;
mod short;
pub mod template;
mod tree;
mod unique;

pub use project::{Options, Project};
