//! A sink that checks and keeps each request of a log, and passes it on to the recorder.

use super::civil;
use tollgate_cli::log::{Reason, Request, Sink, time};
use tollgate_cli::recording::{RecordError, Recorder};

/// A request as the tool read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    pub line: u64,
    pub unix_ns: u64,
    pub names: Vec<String>,
    pub values: Vec<Vec<u8>>,
}

/// The sink.
pub struct CheckingSink<'p> {
    pub recorder: Recorder<'p>,
    pub requests: Vec<ReadRequest>,
    /// The number of requests that the recorder accepted.
    pub recorded: usize,
}

impl<'p> CheckingSink<'p> {
    pub fn new(recorder: Recorder<'p>) -> Self {
        CheckingSink { recorder, requests: Vec::new(), recorded: 0 }
    }
}

impl Sink for CheckingSink<'_> {
    type Error = RecordError;

    fn request(&mut self, request: &Request<'_>) -> Result<Result<(), Reason>, RecordError> {
        let before = self.requests.last().map_or(0, |request| request.line);
        assert!(request.line > before, "line {} after {before}", request.line);
        check_time(request.unix_ns);
        let values = (0..request.names.len()).map(|index| request.values.get(index).to_vec());
        self.requests.push(ReadRequest {
            line: request.line,
            unix_ns: request.unix_ns,
            names: request.names.to_vec(),
            values: values.collect(),
        });
        let recorded = self.recorder.request(request)?;
        self.recorded += usize::from(recorded.is_ok());
        Ok(recorded)
    }
}

/// Checks that the tool formats a time like the independent calendar, and parses it back unchanged.
fn check_time(unix_ns: u64) {
    let shown = time::rfc3339(unix_ns).to_string();
    assert_eq!(shown, civil::to_iso(unix_ns));
    assert_eq!(time::iso(shown.as_bytes()), Ok(unix_ns));
}
