//! The views: why, what next, what now. Their answers must be those of the next tick.

mod agreement;
mod commands;
mod doors;
#[path = "../spec/inner_loop.rs"]
#[allow(dead_code)]
mod inner_loop;
mod moving;
mod old_queue;
mod past;
mod seen;
mod simulated;
mod world;
