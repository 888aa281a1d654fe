//! The examples of docs/integrating.md, run in a shell against a real service.

use std::process::Command;

use serde_json::json;

use crate::house::{House, Plan, TOKEN};
use crate::left_out;

const PAGE: &str = include_str!("../../docs/integrating.md");

/// One block of commands below a comment such as `<!-- test: 201, 200 -->`.
struct Example {
    /// The expected status of each request; the last one repeats.
    statuses: Vec<u16>,
    /// A field that the problem must name.
    field: Option<String>,
    commands: String,
}

fn examples() -> Vec<Example> {
    let blocks = PAGE.split("<!-- test: ").skip(1);
    blocks
        .map(|block| {
            let (about, rest) = block.split_once(" -->").expect("the comment ends");
            let commands = rest.split("```sh\n").nth(1).and_then(|text| text.split("```").next());
            let words = about.split([',', ' ']).filter(|word| !word.is_empty());
            Example {
                statuses: words.clone().map_while(|word| word.parse().ok()).collect(),
                field: words.clone().find_map(|word| word.strip_prefix("field=").map(String::from)),
                commands: commands.expect("commands below the comment").to_string(),
            }
        })
        .collect()
}

/// Runs the commands as they are written, except that `curl` also prints the status of its answer.
fn run(house: &House, commands: &str) -> Vec<(u16, String)> {
    let script = format!(
        "curl() {{ command curl -w '\\nstatus %{{http_code}}\\n' \"$@\" || true; }}\n\
         AUTH=\"Authorization: Bearer $RINGONCE_API_TOKEN\"\n{}",
        // With `-f`, curl prints no body of a refusal.
        commands.replace("curl -fsS", "curl -sS")
    );
    let run = Command::new("sh")
        .args(["-e", "-c", &script])
        .env("RINGONCE_API_TOKEN", TOKEN)
        .env("URL", format!("http://{}", house.address))
        .env("no_proxy", "127.0.0.1")
        .output()
        .expect("a shell");
    let said = String::from_utf8(run.stdout).expect("text");
    let mut answers = Vec::new();
    let mut body = String::new();
    for line in said.lines() {
        match line.strip_prefix("status ") {
            Some(status) => {
                answers.push((status.parse().expect("a status"), std::mem::take(&mut body)));
            }
            None => body.push_str(line),
        }
    }
    assert!(!answers.is_empty(), "{commands}: {}", String::from_utf8_lossy(&run.stderr));
    answers
}

#[test]
fn every_example_of_the_integration_page_answers_as_the_page_says() {
    if Command::new("curl").arg("--version").output().is_err() {
        return left_out::record("curl");
    }
    let faults = "accept-then-close:first=1 list-lag=100000";
    let house = House::build(&Plan { faults, ..Plan::default() });
    house.wait_until_well();
    house.wait_for("the scan", || house.count("SELECT count(*) FROM call_queue") == 1);
    house.set_clock("2026-11-23T12:00:00Z");
    let doubt = "SELECT id FROM call_attempts WHERE state = 'in_doubt'";
    house.wait_for("the doubt", || house.count(&format!("SELECT count(*) FROM ({doubt})")) == 1);
    // Inside the calling hours of New York.
    house.set_clock("2026-11-23T15:00:00Z");
    let id: String = house.database().query_one(doubt, [], |row| row.get(0)).expect("an id");
    let examples = examples();
    assert!(examples.len() >= 10, "the page has {} tested examples", examples.len());
    for example in &examples {
        if example.commands.contains("/healthz") {
            // The doubt is settled by then. The list does not show the call, so nobody may hear of its
            // end; a person closes it, unless it has ended.
            let why = json!({ "reason": "it is over" });
            let closed = house.api("POST", &format!("/api/attempts/{id}/close"), &why).status;
            assert!(closed == 200 || closed == 409, "{closed}");
            house.wait_until_well();
        }
        let answers = run(&house, &example.commands.replace("/ID/", &format!("/{id}/")));
        for (index, (status, body)) in answers.iter().enumerate() {
            let wanted = example.statuses.get(index).or(example.statuses.last());
            assert_eq!(Some(status), wanted, "{}: {body}", example.commands);
            if let Some(field) = &example.field {
                assert!(body.contains(&format!("\"field\":\"{field}\"")), "{body}");
            }
        }
        assert!(answers.len() >= example.statuses.len(), "{}", example.commands);
    }
}
