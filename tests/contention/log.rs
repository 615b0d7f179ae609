//! The log of the calls of one thread in a round.

use super::laws::{Charge, Denial, Events, Interval, Law};
use tollgate::Verdict;

/// The entry point of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Check,
    CheckAt,
    SessionCheck,
    CheckMany,
    CheckWithStatus,
}

impl Entry {
    const ALL: [Entry; 5] = [
        Entry::Check,
        Entry::CheckAt,
        Entry::SessionCheck,
        Entry::CheckMany,
        Entry::CheckWithStatus,
    ];
    const SEVERAL_CHARGES: [Entry; 3] = [Entry::Check, Entry::CheckAt, Entry::CheckWithStatus];

    /// The entry points for requests of `charges` charges. The first one does not return the limiter's
    /// `now`.
    pub fn all(charges: usize) -> &'static [Entry] {
        if charges == 1 { &Self::ALL } else { &Self::SEVERAL_CHARGES }
    }
}

/// The log of the calls of one thread in a round.
pub struct Log {
    /// The events by policy and key.
    pub events: Vec<Events>,
    /// The latest reading at which the limiter may have decided.
    pub latest_now: u64,
    /// The caller's latest own reading.
    pub latest_reading: u64,
    /// The latest recorded time of a charge.
    pub latest_at: u64,
    /// Decisions and admissions, by entry point.
    pub per_entry: [(u64, u64); Entry::ALL.len()],
    pub fault: Option<String>,
}

impl Log {
    /// Creates an empty log for this number of counters.
    pub fn new(counters: u64) -> Self {
        let events = (0..counters).map(|_| Events::default()).collect();
        let per_entry = [(0, 0); Entry::ALL.len()];
        Log { events, latest_now: 0, latest_reading: 0, latest_at: 0, per_entry, fault: None }
    }

    pub fn clear(&mut self) {
        for events in &mut self.events {
            events.charges.clear();
            events.denials.clear();
        }
        self.per_entry = Default::default();
    }

    /// Adds the decisions of another log.
    pub fn with(mut self, other: &Log) -> Self {
        for (sum, more) in self.per_entry.iter_mut().zip(&other.per_entry) {
            *sum = (sum.0 + more.0, sum.1 + more.1);
        }
        self
    }

    pub fn decided(&self) -> u64 {
        self.per_entry.iter().map(|counts| counts.0).sum()
    }

    pub fn admitted(&self) -> u64 {
        self.per_entry.iter().map(|counts| counts.1).sum()
    }

    pub fn fault(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// Logs a decision, and the limiter's `now` if known.
    pub fn called(&mut self, entry: Entry, verdict: Verdict, call: Interval, now: Option<u64>) {
        let (decided, admitted) = &mut self.per_entry[entry as usize];
        *decided += 1;
        match verdict {
            Verdict::Allowed => *admitted += 1,
            Verdict::Denied => {}
            other => self.fault(format!("{other:?}")),
        }
        self.latest_reading = self.latest_reading.max(call.after);
        // An unknown `now` may be as late as the reading after the call.
        self.latest_now = self.latest_now.max(now.unwrap_or(call.end()));
        if let Some(now) = now
            && let Err(fault) = call.holds(now, now)
        {
            self.fault(format!("the limiter's now: {fault}"));
        }
    }

    /// Logs a charge. It expires `reset_after` after the limiter's `now`, if both are known.
    pub fn charged(
        &mut self,
        law: &Law,
        counter: u64,
        call: Interval,
        cost: u64,
        now: Option<u64>,
        reset_after: Option<u64>,
    ) {
        let at = |now: u64| Some((now + reset_after?).saturating_sub(law.recorded_window()));
        let [earliest, latest] =
            [call.before, call.after].map(|reading| at(now.unwrap_or(reading)));
        if let Some((earliest, latest)) = earliest.zip(latest)
            && let Err(fault) = call.truncated(law.unit).holds(earliest, latest)
        {
            self.fault(format!("a charge: {fault}"));
        }
        let at = now.and_then(at);
        if let Some((at, now)) = at.zip(now) {
            if at < now - now % law.unit {
                self.fault(format!("recorded at {at}, before {now}"));
            }
            self.latest_at = self.latest_at.max(at);
        }
        self.events[counter as usize].charges.push(Charge { call, cost, at });
    }

    /// Logs a denial. Its cost fits at `fits_at`, if known.
    pub fn denied(&mut self, counter: u64, call: Interval, cost: u64, fits_at: Option<u64>) {
        self.events[counter as usize].denials.push(Denial { call, cost, fits_at });
    }
}
