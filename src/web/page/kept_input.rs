//! What a person typed into a form that was refused, put back into the form.

use maud::Render;

/// A field that the page fills itself.
const MARK: &str = "mark";

/// The page with the values of a refused form, in the one form on it that was sent to `path` with
/// these fields. Other forms stay as they are.
pub fn filled(page: &str, path: &str, sent: &[(String, String)]) -> String {
    let action = format!(" action=\"{}\"", escaped(path));
    let mut done = 0;
    while let Some(start) = page[done..].find("<form ").map(|at| done + at) {
        let Some(end) = page[start..].find("</form>").map(|at| start + at) else { break };
        let form = &page[start..end];
        let head = form.split('>').next().unwrap_or_default();
        let has = |(name, _): &(String, String)| form.contains(&name_of(name));
        if head.contains(&action) && sent.iter().all(has) {
            let kept = sent.iter().filter(|(name, _)| name != MARK);
            let form = kept.fold(form.to_string(), |form, (name, value)| {
                choose(&put(&form, name, value), name, value)
            });
            return format!("{}{form}{}", &page[..start], &page[end..]);
        }
        done = end;
    }
    page.to_string()
}

fn name_of(name: &str) -> String {
    format!(" name=\"{}\"", escaped(name))
}

fn escaped(text: &str) -> String {
    text.render().into_string()
}

/// Chooses the button or box with this value, or writes the value into an empty field.
fn put(form: &str, name: &str, value: &str) -> String {
    let (name, value) = (name_of(name), format!(" value=\"{}\"", escaped(value)));
    let mut filled = String::with_capacity(form.len() + value.len());
    for (index, part) in form.split("<input ").enumerate() {
        if index > 0 {
            filled.push_str("<input ");
        }
        let (tag, rest) = part.split_once('>').unwrap_or((part, ""));
        let tag = &format!(" {tag}");
        let is_it = index > 0 && tag.contains(&name);
        let is_chosen = tag.contains("type=\"radio\"") || tag.contains("type=\"checkbox\"");
        let more = match is_it {
            true if is_chosen && tag.contains(&value) => " checked",
            true if !is_chosen && !tag.contains(" value=") => &value,
            _ => "",
        };
        filled.push_str(&tag[1..]);
        filled.push_str(more);
        if part.contains('>') {
            filled.push('>');
        }
        filled.push_str(rest);
    }
    filled
}

/// Chooses the option with this value in the list of this name: a form that came back with another
/// choice would do something else when it is sent again.
fn choose(form: &str, name: &str, value: &str) -> String {
    let (name, value) = (name_of(name), format!(" value=\"{}\"", escaped(value)));
    let Some(list) = form.match_indices("<select").map(|(at, _)| at).find(|at| {
        form[*at..].split('>').next().is_some_and(|tag| format!("{tag} ").contains(&name))
    }) else {
        return form.to_string();
    };
    let end = form[list..].find("</select>").map_or(form.len(), |at| list + at);
    let options = form[list..end].replace(" selected", "");
    let tag = format!("<option{value}");
    let options = options.replacen(&tag, &format!("{tag} selected"), 1);
    format!("{}{options}{}", &form[..list], &form[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_the_choice_that_was_sent() {
        let page = "<form action=\"/pause\"><select id=\"s\" name=\"scope\"><option value=\"all\" \
                    selected>All</option><option value=\"type:daily\">Daily</option></select>\
                    <input name=\"reason\"></form>";
        let sent = [("scope", "type:daily"), ("reason", "x")];
        let sent = sent.map(|(name, value)| (name.to_string(), value.to_string()));
        let filled = filled(page, "/pause", &sent);
        assert!(filled.contains("<option value=\"type:daily\" selected>"), "{filled}");
        assert_eq!(filled.matches(" selected").count(), 1, "{filled}");
    }

    #[test]
    fn only_the_form_that_was_sent_is_filled_and_every_value_is_escaped() {
        let page = "<form method=\"post\" action=\"/a\"><input name=\"reason\"></form>\
                    <form method=\"post\" action=\"/a\"><input type=\"hidden\" name=\"mark\" \
                    value=\"m\"><input id=\"at\" name=\"at\"><input name=\"reason\" required>\
                    <input type=\"radio\" name=\"how\" value=\"x\"> <input type=\"radio\" \
                    name=\"how\" value=\"y\"></form>";
        let sent = [("mark", "other"), ("at", "3 pm"), ("reason", "\"><b>"), ("how", "y")];
        let sent = sent.map(|(name, value)| (name.to_string(), value.to_string()));
        let expected = "<form method=\"post\" action=\"/a\"><input name=\"reason\"></form>\
                    <form method=\"post\" action=\"/a\"><input type=\"hidden\" name=\"mark\" \
                    value=\"m\"><input id=\"at\" name=\"at\" value=\"3 pm\"><input name=\"reason\" \
                    required value=\"&quot;&gt;&lt;b&gt;\"><input type=\"radio\" name=\"how\" \
                    value=\"x\"> <input type=\"radio\" name=\"how\" value=\"y\" checked></form>";
        assert_eq!(filled(page, "/a", &sent), expected);
        assert_eq!(filled(page, "/b", &sent), page);
    }
}
