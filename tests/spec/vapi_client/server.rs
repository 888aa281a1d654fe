//! A hand-written server on loopback that counts its requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Request line and headers; all but the request line are in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.line().split(' ').next().unwrap_or_default()
    }

    /// Path with query.
    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| line.strip_prefix(&format!("{name}:")).map(str::trim))
    }
}

#[derive(Default)]
struct Counted {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    stopping: AtomicBool,
}

/// Listens until dropped.
pub struct Server {
    address: SocketAddr,
    counted: Arc<Counted>,
    listener: Option<JoinHandle<()>>,
}

type Act = dyn Fn(&mut TcpStream, &dyn Fn(Request)) + Send + Sync;

impl Server {
    /// Reads each request whole, counts it, and writes the bytes of the reply.
    pub fn replying(reply: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Server {
        Server::acting(move |stream, count| {
            let Some(request) = read_request(stream) else { return };
            count(request.clone());
            // The client may have stopped reading.
            let _ = stream.write_all(&reply(&request));
        })
    }

    /// The same bytes for every request.
    pub fn always(reply: Vec<u8>) -> Server {
        Server::replying(move |_| reply.clone())
    }

    /// Does anything with each connection; counts the requests that `act` hands to its second
    /// argument.
    pub fn acting(
        act: impl Fn(&mut TcpStream, &dyn Fn(Request)) + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counted = Arc::new(Counted::default());
        let (shared, act) = (counted.clone(), Arc::new(act) as Arc<Act>);
        let listener = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, act) = (shared.clone(), act.clone());
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                    act(&mut stream, &|request| shared.requests.lock().unwrap().push(request));
                });
            }
        });
        Server { address, counted, listener: Some(listener) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.counted.requests.lock().unwrap().clone()
    }

    /// Stops and returns the number of connections. The listener accepts them in order, so none
    /// that came before this call is missed.
    pub fn connections(mut self) -> usize {
        self.stop();
        self.counted.connections.load(Ordering::SeqCst)
    }

    fn stop(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        self.counted.stopping.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).unwrap();
        listener.join().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A request with its whole body; `None` if the client left before its end.
pub fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = lowered(std::str::from_utf8(&bytes[..end]).ok()?);
            let request = Request { head, body: bytes[end + 4..].to_vec() };
            let length = request.header("content-length").unwrap_or("0").parse::<usize>().ok()?;
            if request.body.len() >= length {
                return Some(request);
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

fn lowered(head: &str) -> String {
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default().to_string();
    let rest = lines.map(|line| match line.split_once(':') {
        Some((name, value)) => format!("\n{}:{value}", name.to_lowercase()),
        None => String::new(),
    });
    first + &rest.collect::<String>()
}

/// A reply with its length.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A refusal in the provider's own form.
pub fn own_form(status: u16, message: &str) -> Vec<u8> {
    let body = serde_json::json!({"message": message, "error": "X", "statusCode": status});
    answer(status, "Content-Type: application/json\r\n", &body.to_string())
}

/// Waits silently until the client disconnects.
pub fn hang(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}
