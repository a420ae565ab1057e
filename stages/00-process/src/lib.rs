//! Stage 00: a process, and the core that every stage builds on.
//!
//! A container is a list of [`Primitive`]s. [`spawn()`] walks the list: it prepares, clones, attaches, opens the gate,
//! and in the child enters each primitive and executes the program. The other stages add one primitive each and
//! nothing to this machinery.
//!
//! | module | what it is |
//! |---|---|
//! | [`Primitive`], [`Host`], [`Inside`] | the trait and the two sides it acts on |
//! | [`spawn()`] | the walk, the clone, the gate |
//! | `report` | the line between parent and child |
//! | [`Program`] | the program that the child becomes |
//! | `init` | what process 1 owes to a container |
//! | [`Launcher`] | our program where a container may not write it |
//! | [`IdMaps`], [`Aside`] | the ids of a user namespace, and acts as its root |
//! | [`NamespaceHolder`] | how an ordinary user gets one |
//! | [`Undo`], [`Journal`] | how to take it all back, later, in another process |
//! | [`walk()`], [`remove_tree()`] | a directory tree that somebody else may be changing |
//! | [`kernel_file()`] | the kernel's own files |
//! | [`cgroupfs`] | the end of a cgroup, which one of these steps is |
//! | [`explain`] | what was done and how long it took |
//! | [`netlink`] | links, addresses, routes and nftables |
//! | [`sys`] | system calls; every `unsafe` of the workspace |
//! | [`foreground`], [`stage`], [`SharedNetwork`] | what the stages' binaries share |

mod aside;
pub mod cgroupfs;
mod directory;
mod error;
mod exec;
pub mod explain;
pub mod foreground;
mod init;
mod join;
mod kernel_file;
mod launch;
mod maps;
mod namespace;
pub mod netlink;
mod primitive;
mod report;
mod shared_network;
mod spawn;
pub mod stage;
pub mod sys;
mod tree;
mod undo;
mod visit;

pub use aside::Aside;
pub use directory::WorkingDirectory;
pub use error::{EXEC, Error, Result};
pub use exec::{DEFAULT_PATH, Program};
pub use join::{Join, JoinUser};
pub use kernel_file::kernel_file;
pub use launch::{Launcher, launch_if_asked};
pub use maps::{IdMaps, IdRange, may_map_any_id};
pub use namespace::{NamespaceHolder, enter_namespaces, enter_user_namespace, in_initial_user_namespace, owns_network};
pub use nix::errno::Errno;
pub use primitive::{Birthplace, Child, CloneArgs, Host, Inside, Primitive, TERMINAL};
pub use shared_network::SharedNetwork;
pub use spawn::{Container, Process, spawn};
pub use tree::{Visitor, remove_tree, walk};
pub use undo::{Journal, Undo, start_time};
pub use visit::{in_network_of, sockets_from_network_of, way_in};
