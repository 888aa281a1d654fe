//! `check --online`: reads the provider's list once and each assistant once. It places no call.

use std::collections::BTreeSet;

use chrono::Duration;

use crate::cli::setup::check::finding::{CheckFinding, State};
use crate::clock;
use crate::config::load::LoadedConfig;
use crate::domain::disclosure::names_a_machine;
use crate::domain::instant_text;
use crate::provider::{Provider, ReadError};
use crate::vapi::assistant::AssistantWords;
use crate::vapi::{ApiKey, Vapi};

/// The largest difference of two clocks that agree; beyond it dialing would hold.
const DISAGREE: Duration = Duration::seconds(60);

pub fn ask(loaded: &LoadedConfig) -> Vec<CheckFinding> {
    let problem = |detail: String| vec![CheckFinding::new("online", State::Problem, detail)];
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
            let mut found =
                vec![CheckFinding::new("online", State::Ok, "the provider takes the key")];
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

/// Checks whether each assistant says that it is not a person; many laws require it.
fn assistants(loaded: &LoadedConfig, client: &Vapi) -> Vec<CheckFinding> {
    let vapi = &loaded.config.vapi;
    let named = [&vapi.assistant_id, &vapi.welcome_assistant_id, &vapi.daily_assistant_id];
    let ids: BTreeSet<&String> = named.into_iter().flatten().collect();
    ids.into_iter().map(|id| ai_voice(id, client.assistant(id))).collect()
}

fn ai_voice(id: &str, read: Result<AssistantWords, ReadError>) -> CheckFinding {
    let (state, told) = match read {
        Ok(words) if words.first_message.as_deref().is_some_and(names_a_machine) => {
            (State::Ok, "says first that it is an AI voice".to_string())
        }
        Ok(words) if names_a_machine(&words.instructions) => {
            let told = "says only in its instructions, not in its first message, that it is an AI \
                        voice";
            (State::Ok, told.to_string())
        }
        Ok(_) => {
            let told = "does not say that it is an AI voice, neither in its first message nor in \
                        its instructions: many countries ask for that";
            (State::Warning, told.to_string())
        }
        Err(ReadError::NotFound) => (State::Warning, "is not known to the provider".to_string()),
        Err(error) => {
            (State::Warning, format!("could not be read, so check its text yourself: {error}"))
        }
    };
    CheckFinding::new("AI voice", state, format!("assistant {id} {told}"))
}

fn their_clock(
    date: crate::domain::Instant,
    loaded: &LoadedConfig,
    now: crate::domain::Instant,
) -> CheckFinding {
    // A server that does not use the test clock uses the machine's clock.
    let ours = match loaded.clock.is_test() {
        true if (date - clock::machine_now()).abs() <= DISAGREE => clock::machine_now(),
        _ => now,
    };
    let apart = date - ours;
    let detail = format!("{} there, {} seconds from here", instant_text(date), apart.num_seconds());
    let state = if DISAGREE < apart.abs() { State::Problem } else { State::Ok };
    CheckFinding::new("provider's clock", state, detail)
}
