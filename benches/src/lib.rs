//! Measurements: `startup.sh` and what it found, in README.md.
