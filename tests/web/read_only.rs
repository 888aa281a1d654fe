//! `web` and `demo --listen`: the page of a file that this process never dials from. It shows
//! everything, says that it is read-only, and refuses every act.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::house::{Answer, House, Plan, TOKEN, customer, exchange};

const BANNER: &str = "read-only: this file does not dial";

/// A process that serves a page, killed at the end of its test.
struct Page {
    process: Child,
    address: SocketAddr,
    token: String,
}

impl Drop for Page {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts the program and reads from its output where the page is and how to sign in.
fn start(folder: &Path, arguments: &[&str], token: Option<&str>) -> Page {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringonce"));
    command.current_dir(folder).env_clear().args(arguments).env("TMPDIR", folder);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(token) = token {
        command.env("RINGONCE_API_TOKEN", token);
    }
    let mut process = command.spawn().expect("it starts");
    let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let (mut address, mut made) = (None, token.map(str::to_string));
    for line in lines.map_while(Result::ok) {
        if let Some((_, at)) = line.split_once("read-only: http://") {
            address = Some(at.trim_end_matches('/').parse().expect("an address"));
        }
        if let Some((_, token)) = line.split_once("with the token ") {
            made = Some(token.to_string());
        }
        if line.starts_with("sign in") {
            break;
        }
    }
    let (address, token) = (address.expect("an address"), made.expect("a token"));
    Page { process, address, token }
}

impl Page {
    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer \
             {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        exchange(self.address, head.as_bytes())
    }

    fn assert_shows_everything(&self) {
        for path in ["/", "/customers", "/queue", "/calls", "/reports", "/do-not-call", "/journal"]
        {
            let page = self.ask("GET", path, "");
            assert_eq!(page.status, 200, "{path}: {}", page.body);
            assert!(page.body.contains(BANNER), "{path}");
            let forms = page.body.matches("method=\"post\"").count();
            assert_eq!(forms, 0, "{path} offers an act: {}", page.body);
        }
        assert_eq!(self.ask("GET", "/api/customers", "").status, 200);
    }
}

/// A snapshot, a backup and a plain copy of a file with one customer, and the house that has it.
fn copies() -> House {
    let house = House::build(&Plan { customers: vec![customer(1, "07:00")], ..Plan::default() });
    house.said(&["snapshot", "snapshot.db"]);
    house.said(&["backup", "backup.db"]);
    house
}

#[test]
fn the_page_of_a_snapshot_and_of_a_backup_shows_everything_and_changes_nothing() {
    let house = copies();
    for name in ["snapshot.db", "backup.db"] {
        let path = house.folder.path().join(name);
        let before = std::fs::read(&path).unwrap();
        let page = start(
            house.folder.path(),
            &["web", "--db", name, "--listen", "127.0.0.1:0"],
            Some(TOKEN),
        );
        page.assert_shows_everything();
        let shown = page.ask("GET", "/customers/id:1", "");
        assert!(shown.status == 200 && shown.body.contains(BANNER), "{}", shown.body);
        for (method, path) in [
            ("POST", "/pause"),
            ("POST", "/customers/id:1/edit"),
            ("POST", "/customers/id:1/call"),
            ("POST", "/customers/id:1/erase"),
            ("POST", "/do-not-call"),
            ("POST", "/api/pause"),
            ("POST", "/api/customers"),
            ("DELETE", "/api/customers/1"),
            ("POST", "/webhooks/vapi"),
        ] {
            let refused = page.ask(method, path, "{}");
            assert_eq!(refused.status, 403, "{method} {path}: {}", refused.body);
            let body = refused.body.to_lowercase();
            assert!(body.contains(BANNER), "{method} {path}: {body}");
        }
        drop(page);
        assert!(before == std::fs::read(&path).unwrap(), "{name} was changed");
    }
}

#[test]
fn the_page_of_a_file_that_may_dial_says_that_another_process_changes_it() {
    let house = copies();
    let page = start(house.folder.path(), &["web", "--listen", "127.0.0.1:0"], None);
    let today = page.ask("GET", "/", "");
    assert_eq!(today.status, 200);
    assert!(today.body.contains("only the page of `ringonce run` changes it"), "{}", today.body);
    assert_eq!(page.ask("POST", "/api/pause", "{}").status, 403);
}

#[test]
fn nobody_sees_the_page_without_the_token_that_was_printed() {
    let house = copies();
    let arguments = ["web", "--db", "backup.db", "--listen", "127.0.0.1:0"];
    let mut page = start(house.folder.path(), &arguments, None);
    assert!(page.token.len() >= 32);
    assert_eq!(page.ask("GET", "/", "").status, 200);
    page.token = "another-token-of-somebody".to_string();
    assert_eq!(page.ask("GET", "/customers", "").status, 401);
}

#[test]
fn the_demo_serves_the_page_of_its_three_days() {
    let folder = tempfile::tempdir().unwrap();
    let page = start(folder.path(), &["demo", "--listen", "127.0.0.1:0"], None);
    page.assert_shows_everything();
    let calls = page.ask("GET", "/api/attempts?limit=1000", "");
    assert!(calls.json()["attempts"].as_array().is_some_and(|rows| rows.len() > 50));
    let customer = page.ask("GET", "/customers/id:1", "");
    assert_eq!(customer.status, 200, "{}", customer.body);
}
