//! Building images from Dockerfiles.

pub mod dockerfile;
