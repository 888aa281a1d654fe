//! Checks of the assistants: are the names of customers configured, and, online, does each assistant
//! say that it is a machine, notice a mailbox, and read only variables that somebody fills?

use std::collections::BTreeMap;

use crate::cli::setup::check::finding::{CheckFinding, State};
use crate::config::load::LoadedConfig;
use crate::domain::customer::columns::{nearest, shown};
use crate::domain::disclosure::names_a_machine;
use crate::provider::ReadError;
use crate::steps::dial::moment;
use crate::store::Store;
use crate::store::customers::census;
use crate::vapi::Vapi;
use crate::vapi::assistant::AssistantWords;

/// Names that customers have and the configuration lacks: nobody calls these customers.
pub(super) fn unknown_names(
    loaded: &LoadedConfig,
    store: &Store,
) -> anyhow::Result<Vec<CheckFinding>> {
    let known = &loaded.config.assistants;
    let named = store.read(census::assistants)?;
    let unknown = named.into_iter().filter(|(name, _)| !known.contains_key(name));
    let finding = |(name, customers): (String, i64)| {
        let advice = match nearest(&name, known.keys().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("write [assistants.{}] there", shown(&name)),
        };
        let who = match customers {
            1 => "1 customer has".to_string(),
            n => format!("{n} customers have"),
        };
        let name = shown(&name);
        let detail = format!(
            "{who} the assistant \"{name}\", which ringonce.toml does not name, and so no calls: \
             {advice}"
        );
        CheckFinding::new("assistant", State::Problem, detail)
    };
    Ok(unknown.map(finding).collect())
}

/// Every assistant as the provider has it.
pub(super) fn online(loaded: &LoadedConfig, client: &Vapi) -> Vec<CheckFinding> {
    let config = &loaded.config;
    let vapi = &config.vapi;
    let general = [&vapi.assistant_id, &vapi.welcome_assistant_id, &vapi.daily_assistant_id];
    let mut asked: BTreeMap<&str, Result<AssistantWords, ReadError>> = BTreeMap::new();
    let named = config.assistants.values().map(|named| &named.assistant_id);
    for id in general.into_iter().chain(named).flatten() {
        asked.entry(id).or_insert_with(|| client.assistant(id));
    }
    let mut all: Vec<(String, Result<AssistantWords, ReadError>)> =
        asked.into_iter().map(|(id, read)| (format!("assistant {id}"), read)).collect();
    for id in config.assistants.values().filter_map(|named| named.squad_id.as_ref()) {
        match client.squad(id) {
            Ok(members) => all.extend(
                members
                    .into_iter()
                    .map(|member| (format!("squad {id}, assistant {}", member.name), member.words)),
            ),
            Err(error) => all.push((format!("squad {id}"), Err(error))),
        }
    }
    let filled = Filled::of(loaded);
    all.into_iter().flat_map(|(who, read)| of_one(&who, read, filled.as_ref())).collect()
}

fn of_one(
    who: &str,
    read: Result<AssistantWords, ReadError>,
    filled: Option<&Filled>,
) -> Vec<CheckFinding> {
    let mut found = vec![ai_voice(who, read.as_ref())];
    let Ok(words) = read else { return found };
    found.push(voicemail(who, &words));
    let unfilled = filled.map(|filled| filled.unfilled(&words)).unwrap_or_default();
    if !unfilled.is_empty() {
        let detail = format!(
            "{who} reads what no customer has: {}; correct its text, or import a column of that \
             name",
            unfilled.join(", ")
        );
        found.push(CheckFinding::new("variables", State::Warning, detail));
    }
    found
}

/// Checks whether an assistant says that it is not a person; many laws require it.
fn ai_voice(who: &str, read: Result<&AssistantWords, &ReadError>) -> CheckFinding {
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
    CheckFinding::new("AI voice", state, format!("{who} {told}"))
}

fn voicemail(who: &str, words: &AssistantWords) -> CheckFinding {
    let (state, told) = match words.notices_voicemail {
        Some(true) => (State::Ok, "notices a mailbox"),
        Some(false) => {
            let told = "has neither voicemail detection nor a voicemail tool, so a call that a \
                        mailbox takes counts as answered: switch one on at the provider";
            (State::Warning, told)
        }
        None => {
            let told = "has no voicemail detection, and one of its tools could not be read: make \
                        sure that one is a voicemail tool";
            (State::Warning, told)
        }
    };
    CheckFinding::new("voicemail", state, format!("{who} {told}"))
}

/// The variables that a call of some customer carries.
struct Filled {
    /// Those that ringonce fills.
    ours: Vec<&'static str>,
    /// Those of customers. A long list is not read whole: `store` answers for the others.
    of_some: Vec<String>,
    store: Store,
}

impl Filled {
    /// `None`: without customers, every variable would be one that no customer has.
    fn of(loaded: &LoadedConfig) -> Option<Filled> {
        if !loaded.db.exists() {
            return None;
        }
        let store = Store::look(&loaded.db).ok()?;
        let of_some = store.read(census::variables_of_some).ok()?;
        let of_some = of_some?;
        let sends_summary = loaded.config.vapi.send_last_summary;
        let ours = moment::NAMES.into_iter();
        let ours = ours.filter(|name| sends_summary || *name != moment::LAST_SUMMARY).collect();
        Some(Filled { ours, of_some, store })
    }

    /// The variables that nothing fills, each with the nearest that something does.
    fn unfilled(&self, words: &AssistantWords) -> Vec<String> {
        let is_filled = |name: &String| {
            self.ours.contains(&name.as_str())
                || self.of_some.contains(name)
                // A database that cannot be read is reported elsewhere.
                || self.store.read(|conn| census::has_variable(conn, name)).unwrap_or(true)
        };
        let unfilled = words.variables.iter().filter(|name| !is_filled(name));
        let known = || self.ours.iter().copied().chain(self.of_some.iter().map(String::as_str));
        unfilled
            .map(|name| match (name.as_str(), nearest(name, known())) {
                (moment::LAST_SUMMARY, _) => {
                    format!("{{{{{name}}}}} (set vapi.send_last_summary = true)")
                }
                (_, Some(near)) => format!("{{{{{name}}}}} (did you mean {{{{{near}}}}}?)"),
                (_, None) => format!("{{{{{name}}}}}"),
            })
            .collect()
    }
}
