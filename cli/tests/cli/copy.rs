//! `blit copy`: what is copied, to where, what is told, and what is left when it ends badly.

mod clashes;
mod ends;
mod fidelity;
mod links;
mod output;
mod paths;
mod random;
mod rights;
mod together;
mod writing;
