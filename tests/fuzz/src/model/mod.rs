//! What should come out, computed in another way: plain, slow, and with no file touched.

mod ignore;
mod tree;

pub(crate) use ignore::excludes;
pub(crate) use tree::{Kind, Node, Tree};
