//! A client with its own connection, which reads events one by one and hangs up when dropped.

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A response that is read event by event.
pub struct Response {
    response: hyper::Response<Incoming>,
    /// Received bytes that are not a whole event yet.
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
    /// Parses the data of the last event.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("data in JSON")
    }
}

impl Response {
    /// Requests a completion and waits for the response headers.
    pub async fn request(
        server: SocketAddr,
        user: &str,
        prompt: &str,
        max_tokens: u64,
    ) -> Response {
        let stream = TcpStream::connect(server).await.expect("a server that listens");
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        // Ends with the connection. If the connection breaks, the reader of the body gets an error.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let request = Request::post("/complete")
            .header("host", server.to_string())
            .header("content-type", "application/json")
            .header("x-user", user)
            .body(json!({ "prompt": prompt, "max_tokens": max_tokens }).to_string())
            .expect("a whole request");
        let response = sender.send_request(request).await.expect("a response");
        Response { response, rest: String::new(), connection }
    }

    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The value of a header field that occurs at most once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.response.headers().get_all(name).iter();
        let value = values.next().map(|value| value.to_str().expect("a field of ASCII"));
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    /// Reads the next event; `None` at the end of the response.
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
                assert_eq!(self.rest, "", "the response ended within an event");
                return None;
            }
        }
    }

    /// Reads up to the last event, and returns the number of tokens and that event.
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

    /// Reads the body of a response that is not a stream.
    pub async fn body(&mut self) -> Value {
        while self.more().await {}
        serde_json::from_str(&self.rest).expect("a body in JSON")
    }

    async fn more(&mut self) -> bool {
        let Some(frame) = self.response.frame().await else { return false };
        let data = frame.expect("an unbroken response").into_data().expect("no trailers");
        self.rest
            .push_str(std::str::from_utf8(&data).expect("UTF-8, and no character in two parts"));
        true
    }
}

impl Drop for Response {
    /// Closes the socket, even if the response is incomplete.
    fn drop(&mut self) {
        self.connection.abort();
    }
}
