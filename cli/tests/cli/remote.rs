//! Runs with a daemon: what goes wrong between two machines, and what is said. That transfers do the same as on one machine
//! is tested where each verb is.

mod authority;
mod cuts;
mod faults;
mod hosts;
mod places;
mod refusals;
