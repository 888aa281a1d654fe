//! What people ask: why, what next, what now. The answers must be those of the next tick.

mod agreement;
mod moving;
mod world;
