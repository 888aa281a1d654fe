//! What `check --online` says: one read of the provider's list, and one of each assistant. It places
//! nothing.

use std::collections::BTreeSet;

use chrono::Duration;

use super::check::{Finding, State};
use crate::clock;
use crate::config::Loaded;
use crate::domain::disclosure::names_a_machine;
use crate::domain::instant_text;
use crate::provider::{Provider, ReadError};
use crate::vapi::{ApiKey, AssistantWords, Vapi};

/// Two clocks that differ by more disagree; dialing would hold.
const DISAGREE: Duration = Duration::seconds(60);

pub fn ask(loaded: &Loaded) -> Vec<Finding> {
    let problem = |detail: String| vec![Finding::new("online", State::Problem, detail)];
    let Some(key) = &loaded.api_key else {
        return problem("VAPI_API_KEY is not set: the provider was not asked".to_string());
    };
    let now = match loaded.clock.now() {
        Ok(now) => now,
        Err(error) => return problem(format!("{error:#}")),
    };
    let vapi = &loaded.config.vapi;
    let client = match Vapi::new(&vapi.base_url, ApiKey::new(key.expose()), vapi.timeout_secs) {
        Ok(client) => client,
        Err(error) => return problem(format!("{error:#}")),
    };
    match client.list(now - Duration::minutes(1)) {
        Ok(listing) => {
            let mut found = vec![Finding::new("online", State::Ok, "the provider takes the key")];
            found.extend(listing.date.map(|date| their_clock(date, loaded, now)));
            found.extend(assistants(loaded, &client));
            found
        }
        Err(error @ ReadError::Unauthorized(_)) => {
            problem(format!("{error}: is VAPI_API_KEY the private key of this account?"))
        }
        Err(error) => problem(error.to_string()),
    }
}

/// Whether each assistant says that it is no person: in many places the law asks for it.
fn assistants(loaded: &Loaded, client: &Vapi) -> Vec<Finding> {
    let vapi = &loaded.config.vapi;
    let named = [&vapi.assistant_id, &vapi.welcome_assistant_id, &vapi.daily_assistant_id];
    let ids: BTreeSet<&String> = named.into_iter().flatten().collect();
    ids.into_iter().map(|id| ai_voice(id, client.assistant(id))).collect()
}

fn ai_voice(id: &str, read: Result<AssistantWords, ReadError>) -> Finding {
    let (state, told) = match read {
        Ok(words) if words.first_message.as_deref().is_some_and(names_a_machine) => {
            (State::Ok, "says first that it is an AI voice".to_string())
        }
        Ok(words) if names_a_machine(&words.instructions) => {
            let told = "is told that it is an AI voice, but its first message does not say so";
            (State::Ok, told.to_string())
        }
        Ok(_) => {
            let told = "does not say that it is an AI voice, neither in its first message nor in \
                        its instructions: many countries ask for that";
            (State::Warning, told.to_string())
        }
        Err(ReadError::NotFound) => (State::Warning, "is not known to the provider".to_string()),
        Err(error) => {
            (State::Warning, format!("could not be read, so look yourself what it says: {error}"))
        }
    };
    Finding::new("AI voice", state, format!("assistant {id} {told}"))
}

fn their_clock(
    date: crate::domain::Instant,
    loaded: &Loaded,
    now: crate::domain::Instant,
) -> Finding {
    // A server that knows nothing of a test clock goes by the machine's.
    let ours = match loaded.clock.is_test() {
        true if (date - clock::machine_now()).abs() <= DISAGREE => clock::machine_now(),
        _ => now,
    };
    let apart = date - ours;
    let detail = format!("{} there, {} seconds from here", instant_text(date), apart.num_seconds());
    let state = if DISAGREE < apart.abs() { State::Problem } else { State::Ok };
    Finding::new("provider's clock", state, detail)
}
