//! `blit mirror`: the destination becomes equal to the source, and nothing is removed that should not be.

mod deletion;
mod question;
mod random;
