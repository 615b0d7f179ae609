//! Takes the requests of a log on their way to the recording, and looks at each.

use super::civil;
use tollgate_cli::log::{Reason, Request, Sink, time};
use tollgate_cli::recording::{RecordError, Recorder};

/// A request as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub line: u64,
    pub unix_ns: u64,
    pub names: Vec<String>,
    pub values: Vec<Vec<u8>>,
}

pub struct Witness<'p> {
    pub recorder: Recorder<'p>,
    pub seen: Vec<Seen>,
    /// How many of them the recorder had a use for.
    pub recorded: usize,
}

impl<'p> Witness<'p> {
    pub fn new(recorder: Recorder<'p>) -> Self {
        Witness { recorder, seen: Vec::new(), recorded: 0 }
    }
}

impl Sink for Witness<'_> {
    type Error = RecordError;

    fn request(&mut self, request: &Request<'_>) -> Result<Result<(), Reason>, RecordError> {
        let before = self.seen.last().map_or(0, |seen| seen.line);
        assert!(request.line > before, "line {} after {before}", request.line);
        check_time(request.unix_ns);
        let values = (0..request.names.len()).map(|index| request.values.get(index).to_vec());
        self.seen.push(Seen {
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

/// A time is shown as a calendar by hand shows it, and read back as it was.
fn check_time(unix_ns: u64) {
    let shown = time::rfc3339(unix_ns).to_string();
    assert_eq!(shown, civil::to_iso(unix_ns));
    assert_eq!(time::iso(shown.as_bytes()), Ok(unix_ns));
}
