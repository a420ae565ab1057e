//! mini-docker: a container engine without a daemon, made of the book's stages.
//!
//! Data flows one way: command line → [`rootless`] → [`engine`] → [`runtime`] → stages → core.
#![forbid(unsafe_code)]

pub mod cli;
pub mod compose;
pub mod engine;
#[doc(hidden)]
pub mod fuzz;
pub mod rootless;
pub mod runtime;
