//! Checks whether a text says that a machine speaks. A first check, not a legal judgement.

/// Matched as whole words: `AI`, but not the `ai` in `said`.
const WORDS: [&str; 12] = [
    "ai",
    "a.i.",
    "ia",
    "ki",
    "robot",
    "bot",
    "chatbot",
    "voicebot",
    "automated",
    "automatisé",
    "automatisierte",
    "automatizada",
];

/// Matched anywhere in the text.
const PHRASES: [&str; 10] = [
    "artificial intelligence",
    "artificial voice",
    "virtual assistant",
    "virtual agent",
    "digital assistant",
    "computer voice",
    "intelligence artificielle",
    "inteligencia artificial",
    "künstliche intelligenz",
    "asistente virtual",
];

/// Whether a text calls its speaker a machine.
pub fn names_a_machine(text: &str) -> bool {
    let text = text.to_lowercase();
    let is_inside = |c: char| c.is_alphanumeric() || c == '.';
    let mut words = text.split(|c: char| !is_inside(c));
    let known = |word: &str| WORDS.contains(&word) || WORDS.contains(&word.trim_matches('.'));
    PHRASES.iter().any(|phrase| text.contains(phrase)) || words.any(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_named_by_whole_words() {
        for (text, named) in [
            ("Hello, this is Ada, an AI assistant from Example.", true),
            ("Hi, I am an A.I. voice.", true),
            ("This is an automated call.", true),
            ("I'm Ada, your virtual assistant.", true),
            ("Bonjour, je suis une IA.", true),
            ("Guten Tag, hier spricht eine KI.", true),
            ("I am an artificial\u{20}intelligence.", true),
            ("Hello, this is Ada from Example. How are you?", false),
            ("I said that the mail from Botswana came again.", false),
            ("", false),
        ] {
            assert_eq!(names_a_machine(text), named, "{text}");
        }
    }
}
