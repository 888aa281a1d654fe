//! A real `run` process with its page, beside a fake provider on the same clock file.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringonce::clock;
use ringonce::demo::fake_vapi::core::{FakeCore, Setup};
use ringonce::demo::fake_vapi::journal::Journal;
use ringonce::demo::fake_vapi::server::FakeVapi;
use ringonce::domain::{Instant, parse_instant};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const TOKEN: &str = "a-token-that-nobody-guesses";
pub const SECRET: &str = "a-secret-of-the-provider";
/// Longer than any step takes; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

const PLACED: &str = "SELECT count(*) FROM call_attempts WHERE state IN ('placed', 'ended')";

/// The settings of a test service.
pub struct Plan {
    pub faults: &'static str,
    /// Another provider address than the fake's.
    pub base_url: Option<String>,
    pub with_token: bool,
    pub with_secret: bool,
    /// More lines of `ringonce.toml`.
    pub config: String,
    /// Lines of `customers.csv` after its header.
    pub customers: Vec<String>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            faults: "",
            base_url: None,
            with_token: true,
            with_secret: true,
            config: String::new(),
            customers: vec![customer(1, "07:00")],
        }
    }
}

/// A welcomed, paying customer in New York, called every day at `call_time`.
pub fn customer(number: u32, call_time: &str) -> String {
    format!(
        "u{number},Person {number},p{number}@example.com,+121255501{number:02},America/New_York,\
         {call_time},Paid,1,2026-02-01T00:00:00Z"
    )
}

pub struct House {
    pub fake: FakeVapi,
    pub folder: TempDir,
    pub address: SocketAddr,
    process: Child,
    log: Arc<Mutex<String>>,
}

impl Drop for House {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl House {
    /// Starts at 2026-11-23 06:45 in New York.
    pub fn build(plan: &Plan) -> House {
        let folder = crate::inner_loop::folder();
        let clock_file = folder.path().join("clock");
        std::fs::write(&clock_file, "2026-11-23T11:45:00Z").expect("the clock");
        let fake_clock = move || read_clock(&clock_file);
        let faults = plan.faults.parse().expect("faults");
        let mix = "answered=1".parse().expect("a mix");
        let setup = Setup { mix, faults, ..Setup::default() };
        let core = FakeCore::new(setup, Journal::default());
        let fake = FakeVapi::on_free_port(core, Arc::new(fake_clock)).expect("a fake");
        let config = format!(
            "[vapi]\nphone_number_id = \"7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22\"\n\
             assistant_id = \"2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11\"\n[reconcile]\npoll_seconds = \
             1\n{}",
            plan.config
        );
        std::fs::write(folder.path().join("ringonce.toml"), config).expect("the configuration");
        let header = "external_id,name,email,phone,timezone,call_time,payment_status,\
                      welcome_call_completed,created_at";
        let file = format!("{header}\n{}\n", plan.customers.join("\n"));
        std::fs::write(folder.path().join("customers.csv"), file).expect("the customers");
        let base_url = plan.base_url.clone().unwrap_or_else(|| fake.base_url());
        let imported = command(&folder, &base_url)
            .args(["customers", "import", "customers.csv"])
            .output()
            .expect("the import runs");
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        let mut run = command(&folder, &base_url);
        run.args(["run", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
        if plan.with_token {
            run.env("RINGONCE_API_TOKEN", TOKEN);
        }
        if plan.with_secret {
            run.env("VAPI_WEBHOOK_SECRET", SECRET);
        }
        let mut process = run.spawn().expect("run starts");
        let log = Arc::default();
        let address = listening_address(&mut process, &log);
        House { fake, folder, address, process, log }
    }

    /// The output of a command that runs beside the service.
    pub fn said(&self, arguments: &[&str]) -> String {
        let run = command(&self.folder, &self.fake.base_url()).args(arguments).output();
        let run = run.expect("the command runs");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).expect("text")
    }

    /// Everything that the service has logged until now.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic").clone()
    }

    /// Limits the length of every file that the service writes, as a full disk does. `None`: none.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = libc::rlimit {
            rlim_cur: bytes.unwrap_or(libc::RLIM_INFINITY),
            rlim_max: libc::RLIM_INFINITY,
        };
        let process = libc::pid_t::try_from(self.process.id()).expect("an id");
        // SAFETY: reads the limit, and changes one of our own child process.
        let set = unsafe {
            libc::prlimit(process, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut())
        };
        assert_eq!(set, 0, "the limit is set");
    }

    /// Moves the clock that all sides share.
    pub fn set_clock(&self, text: &str) {
        let next = self.folder.path().join("clock.next");
        std::fs::write(&next, text).expect("the next clock");
        std::fs::rename(next, self.folder.path().join("clock")).expect("the clock");
    }

    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("ringonce.db")).expect("the database")
    }

    /// Holds dialing, as the program does when it finds a cause.
    pub fn hold(&self, kind: &str) {
        let hold = format!(
            "{{\"kind\":\"{kind}\",\"why\":\"the cause of {kind}\",\"since\":\"{}\"}}",
            "2026-11-23T11:00:00.000Z"
        );
        let written = "INSERT INTO meta VALUES (?1, ?2)";
        self.database().execute(written, [format!("hold:{kind}"), hold]).expect("a hold");
    }

    pub fn count(&self, sql: &str) -> i64 {
        self.database().query_one(sql, [], |row| row.get(0)).expect("a count")
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        exchange(self.address, head.as_bytes())
    }

    /// Asks the API with the token.
    pub fn api(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let bearer = format!("Bearer {TOKEN}");
        self.ask(method, path, &[("Authorization", &bearer)], &body)
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = self.api("GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// Waits until the health check is green.
    pub fn wait_until_well(&self) {
        let until = clock::elapsed() + PATIENCE;
        loop {
            let answer = self.ask("GET", "/healthz", &[], "");
            if answer.status == 200 {
                return;
            }
            assert!(clock::elapsed() < until, "the health check stays red: {}", answer.body);
            clock::pause(Duration::from_millis(20));
        }
    }

    pub fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let until = clock::elapsed() + PATIENCE;
        while !is_so() {
            assert!(clock::elapsed() < until, "waited in vain for {what}");
            clock::pause(Duration::from_millis(20));
        }
    }

    /// Places the calls of 07:00 and waits until their replies are recorded. If the clock moved
    /// between the ring and its record, the first poll would move too.
    pub fn place_calls(&self, calls: usize) {
        self.wait_until_well();
        self.wait_for("the scan", || self.get("/api/queue")["items"][calls - 1].is_object());
        self.set_clock("2026-11-23T12:00:00Z");
        self.wait_for("the calls", || self.count(PLACED) == calls as i64);
        assert_eq!(self.fake.rings().len(), calls);
    }
}

fn read_clock(file: &PathBuf) -> Instant {
    let text = std::fs::read_to_string(file).expect("the clock");
    parse_instant(&text).expect("an instant")
}

fn command(folder: &TempDir, base_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringonce"));
    command
        .current_dir(folder.path())
        .env_clear()
        .env("VAPI_API_KEY", "key")
        .env("VAPI_BASE_URL", base_url)
        .env("RINGONCE_TEST_CLOCK", folder.path().join("clock"));
    command
}

/// Reads the log until it names the address, then keeps reading so that the process never blocks.
fn listening_address(process: &mut Child, kept: &Arc<Mutex<String>>) -> SocketAddr {
    let log = BufReader::new(process.stderr.take().expect("a pipe"));
    let (tell, told) = channel();
    let kept = Arc::clone(kept);
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            kept.lock().expect("no panic").push_str(&format!("{line}\n"));
            if let Some((_, address)) = line.split_once("listening on http://") {
                // The receiver is gone when the test is over.
                let _ = tell.send(address.trim().parse::<SocketAddr>().expect("an address"));
            } else if line.contains("ERROR") {
                eprintln!("{line}");
            }
        }
    });
    told.recv_timeout(PATIENCE).expect("the service listens")
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| json!(self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the listener accepts");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    stream.write_all(bytes).expect("the listener reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_string(), body: body.to_string() }
}
