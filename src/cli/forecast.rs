//! Commands that forecast calls: explain, plan and simulate.

pub(crate) mod explain;
mod past;
pub(crate) mod plan;
