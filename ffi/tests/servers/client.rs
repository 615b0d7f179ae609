//! An HTTP client with a given source address and a persistent connection.

use socket2::{Domain, Socket, Type};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A response, and the times of its request and receipt.
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: String,
    pub sent: Instant,
    pub received: Instant,
}

impl Response {
    /// The value of a field that occurs once.
    pub fn field(&self, name: &str) -> Result<&str, String> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Ok(value),
            _ => Err(format!("expected exactly one {name} in {:?}", self.fields)),
        }
    }

    /// `retry-after`, in seconds.
    pub fn retry_after(&self) -> Result<Duration, String> {
        let value = self.field("retry-after")?;
        value.parse().map(Duration::from_secs).map_err(|_| format!("retry-after: {value}"))
    }
}

/// A client with one connection, which is reopened when the server closes it.
pub struct Client {
    server: SocketAddr,
    from: Ipv4Addr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub fn new(server: SocketAddr, from: Ipv4Addr) -> Self {
        Self { server, from, connection: None }
    }

    /// Sends one request. The server may close the connection after a response, but only if that
    /// response says `connection: close`.
    pub fn get(&mut self, path: &str, user: Option<&str>) -> io::Result<Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(self.connect()?),
        };
        let user = user.map_or(String::new(), |user| format!("x-user: {user}\r\n"));
        let request = format!("GET {path} HTTP/1.1\r\nhost: tollgate\r\n{user}\r\n");
        let sent = Instant::now();
        connection.get_mut().write_all(request.as_bytes())?;
        let response = receive(&mut connection, sent)?;
        if !response.field("connection").is_ok_and(|value| value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((self.from, 0)).into())?;
        socket.connect(&self.server.into())?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(stream)
    }
}

fn receive(connection: &mut BufReader<TcpStream>, sent: Instant) -> io::Result<Response> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| broken(&line))?;
    let mut fields = Vec::new();
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = fields.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.ok_or_else(|| broken("no content-length"))?];
    connection.read_exact(&mut body)?;
    let received = Instant::now();
    let body = String::from_utf8(body).map_err(|_| broken("the body is not UTF-8"))?;
    Ok(Response { status, fields, body, sent, received })
}
