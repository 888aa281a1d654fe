//! `[backup]`: the copies that `run` makes by itself.
