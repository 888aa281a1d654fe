//! Commands that forecast calls: explain, plan and simulate.

pub(crate) mod explain;
pub(crate) mod plan;
