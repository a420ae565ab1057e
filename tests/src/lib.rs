//! What the tests of the whole workspace share.
#![forbid(unsafe_code)]

pub mod archive;
pub mod book;
pub mod breakout;
pub mod browser;
pub mod build;
pub mod calls;
pub mod cgroups;
pub mod compose;
pub mod container;
pub mod disk;
pub mod dockerd;
pub mod engine;
pub mod figures;
pub mod kubernetes;
pub mod leaks;
pub mod machine;
pub mod ordinary_user;
mod patience;
pub mod registry;
pub mod rootfs;
pub mod table;
pub mod tracer;
pub mod transcript;

pub use patience::patience;
