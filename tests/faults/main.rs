//! What goes wrong on a machine, done on purpose: nothing that was acknowledged is lost, nothing is left behind, and the
//! next command works.
//!
//! Each test tries a sample that is the same each time and says how large it is. `make faults` tries everything, by
//! `MINI_DOCKER_FAULTS=1`: hours; `MINI_DOCKER_FAULTS=10` each tenth of it.

mod build;
mod cases;
mod damage;
mod disk;
mod exhausted;
mod kill;
mod power;
mod race;
mod registry;
mod sample;
mod storm;
mod time;
mod world;
