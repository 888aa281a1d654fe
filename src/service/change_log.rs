//! Logs when dialing stops, with the reason, and when it continues: one line each.

/// The target of lines that tell a change. They are never left out as repetitions.
pub const CHANGE: &str = "ringonce::change";

/// What the log said last about dialing.
#[derive(Default)]
pub struct ChangeLog {
    told: Option<String>,
}

impl ChangeLog {
    /// Logs a change. `shut`: why nothing is dialed. A reason that differs only in its numbers, such
    /// as the minutes that are left, is the same.
    pub fn tell(&mut self, shut: Option<&str>) {
        if self.told.as_deref().map(words) == shut.map(words) {
            return;
        }
        match shut {
            Some(why) => log::warn!(target: CHANGE, "nothing more is dialed: {why}"),
            None => log::info!(target: CHANGE, "dialing continues"),
        }
        self.told = shut.map(str::to_string);
    }
}

fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_with_other_numbers_is_no_change() {
        let mut log = ChangeLog::default();
        log.tell(Some("waits 12 minutes"));
        log.tell(Some("waits 9 minutes"));
        assert_eq!(log.told.as_deref(), Some("waits 12 minutes"));
        log.tell(Some("the clock jumped"));
        assert_eq!(log.told.as_deref(), Some("the clock jumped"));
        log.tell(None);
        assert_eq!(log.told, None);
    }
}
