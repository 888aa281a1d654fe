//! Commands with which a person intervenes: call, pause and resume.

pub(crate) mod call;
pub(crate) mod pauses;
