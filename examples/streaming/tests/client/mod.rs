//! A client on a connection of its own: it reads events one by one, and hangs up when dropped.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One answer, as far as it has been read.
pub struct Answer {
    response: Response<Incoming>,
    /// What was received and is not a whole event yet.
    rest: String,
    connection: JoinHandle<()>,
}

/// One server-sent event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub data: String,
}

impl Event {
    /// The data of a last event, or of a problem.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("data in JSON")
    }
}

impl Answer {
    /// Asks for a completion and waits for the head of the answer.
    pub async fn ask(server: SocketAddr, user: &str, prompt: &str, max_tokens: u64) -> Answer {
        let stream = TcpStream::connect(server).await.expect("a server that listens");
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        // Ends with the connection, also when that breaks: the reader of the body is told.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let request = Request::post("/complete")
            .header("host", server.to_string())
            .header("content-type", "application/json")
            .header("x-user", user)
            .body(json!({ "prompt": prompt, "max_tokens": max_tokens }).to_string())
            .expect("a whole request");
        let response = sender.send_request(request).await.expect("an answer");
        Answer { response, rest: String::new(), connection }
    }

    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The value of a field that is there at most once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.response.headers().get_all(name).iter();
        let value = values.next().map(|value| value.to_str().expect("a field of ASCII"));
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    /// The next event; `None` when the answer has ended as it should.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let line = |name| event.lines().find_map(|line| line.strip_prefix(name));
                let [name, data] =
                    ["event: ", "data: "].map(|name| line(name).expect("a whole event").to_owned());
                self.rest = rest.to_owned();
                return Some(Event { name, data });
            }
            if !self.more().await {
                assert_eq!(self.rest, "", "the answer ended within an event");
                return None;
            }
        }
    }

    /// All that comes now until the last event, as the number of tokens and that event.
    pub async fn finish(&mut self, mut on_token: impl FnMut()) -> (u64, Event) {
        let mut tokens = 0;
        loop {
            let event = self.event().await.expect("a last event");
            if event.name != "token" {
                assert_eq!(self.event().await, None, "something came after the last event");
                return (tokens, event);
            }
            tokens += 1;
            on_token();
        }
    }

    /// The body of an answer that is no stream.
    pub async fn body(&mut self) -> Value {
        while self.more().await {}
        serde_json::from_str(&self.rest).expect("a body in JSON")
    }

    async fn more(&mut self) -> bool {
        let Some(frame) = self.response.frame().await else { return false };
        let data = frame.expect("an unbroken answer").into_data().expect("no trailers");
        self.rest
            .push_str(std::str::from_utf8(&data).expect("UTF-8, and no character in two parts"));
        true
    }
}

impl Drop for Answer {
    /// Closes the socket, whatever of the answer is still under way.
    fn drop(&mut self) {
        self.connection.abort();
    }
}
