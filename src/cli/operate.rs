//! Commands with which a person intervenes: call, pause, resume and tokens.

pub(crate) mod call;
pub(crate) mod pauses;
pub(crate) mod tokens;
