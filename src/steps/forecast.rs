//! Predictions: for one customer, for the coming days, and on a simulated copy.

pub mod explain;
pub mod past;
pub mod plan;
pub mod preconditions;
pub mod simulate;
pub mod stops;
