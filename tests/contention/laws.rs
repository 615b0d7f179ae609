//! The laws for the charges and denials of one key. They know nothing of rings.
//!
//! # By the caller's clock
//! Each call has an interval: the caller's own clock readings before and after it, widened by the
//! [skew](SKEW) that two cores' clocks may have. A charge counts from some instant of its interval
//! on, whatever the limiter answers.
//!
//! - Surely never over: charges whose intervals lie within one window cost at most the limit.
//! - Possible cause: the charges that may count at some instant of a denial's interval leave no
//!   room for it.
//!
//! # By the limiter's answer
//! An answer that is relative to a known `now` gives the time that a charge was recorded at, to the
//! unit. These laws are sharper, and hold only in addition, since they use the limiter's own times.
//!
//! - Honest: the recorded time lies in the caller's interval.
//! - Never over: charges of one key that are less than a window apart cost at most the limit
//!   together. A bucketed policy cuts clock readings to its unit, so its window is one unit longer
//!   in recorded times: two readings that are less than a window apart are less than that apart
//!   when cut.
//! - Denied with a cause: a denial states when its cost fits. Just before, charges for more than the
//!   limit less its cost count. Each of them lies in the window before (a bucket's charges expire
//!   together, less than its span late) and was recorded when the denial was decided. So an exact
//!   policy was full to the unit. A charge without a recorded time may lie anywhere in its interval.

/// The most that the clock readings of two cores may differ, with the instructions that a processor
/// reorders around a reading. Far more than a machine whose counters are synchronized has.
pub const SKEW: u64 = 10_000;

/// The caller's clock readings before and after a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub before: u64,
    pub after: u64,
}

impl Interval {
    /// The earliest instant of the call, by any core's clock.
    fn start(self) -> u64 {
        self.before.saturating_sub(SKEW)
    }

    /// The latest instant of the call, by any core's clock.
    pub fn end(self) -> u64 {
        self.after + SKEW
    }

    /// The interval of readings that are cut to `unit`.
    pub fn cut(self, unit: u64) -> Self {
        Interval { before: self.before - self.before % unit, ..self }
    }

    /// Checks that some time from `earliest` to `latest` lies in the interval.
    pub fn holds(self, earliest: u64, latest: u64) -> Result<(), String> {
        if latest < self.start() || earliest > self.end() {
            return Err(format!("{earliest} to {latest}, outside of {self:?}"));
        }
        Ok(())
    }
}

/// A charge that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    pub call: Interval,
    pub cost: u64,
    /// The time that the limiter's answer gives, where it gives one.
    pub at: Option<u64>,
}

impl Charge {
    /// The earliest and the latest time that it may have been recorded at.
    fn range(&self) -> (u64, u64) {
        self.at.map_or((self.call.start(), self.call.end()), |at| (at, at))
    }
}

/// A charge that was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    pub call: Interval,
    pub cost: u64,
    /// The time at which the limiter's answer says that it fits, where it gives one.
    pub fits_at: Option<u64>,
}

/// The calls for one key in a round: charges and denials of each thread in their order.
#[derive(Default)]
pub struct Events {
    pub charges: Vec<Charge>,
    pub denials: Vec<Denial>,
}

/// The times that the laws use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Both,
    /// The caller's clock readings only.
    Caller,
    /// The limiter's answers only.
    Answer,
}

/// The rules that one layer is held to.
pub struct Law {
    pub by: By,
    pub limit: u64,
    /// The policy's window.
    pub window: u64,
    /// The policy's resolution.
    pub unit: u64,
    /// How much longer than the window a charge may count: the span of a bucket.
    pub slack: u64,
}

impl Law {
    /// The window in recorded times.
    pub fn recorded_window(&self) -> u64 {
        self.window + if self.unit > 1 { self.unit } else { 0 }
    }

    /// How long a charge may count, in recorded times.
    fn longest(&self) -> u64 {
        self.recorded_window() + self.slack
    }

    /// Checks the new events of a key with those that were kept, and drops what can no longer
    /// matter to calls that begin after `now`.
    pub fn check(&self, events: &mut Events, now: u64) -> Result<(), String> {
        let Events { charges, denials } = events;
        // Stable: each thread's charges are in order already, so this is a merge.
        charges.sort_by_key(|charge| charge.call.before);
        if self.by != By::Answer {
            self.honest(charges)?;
            self.surely_never_over(charges)?;
            self.possible_cause(charges, denials)?;
        }
        if self.by != By::Caller {
            self.never_over(charges)?;
            self.denied_with_a_cause(charges, denials)?;
        }
        denials.clear();
        let newest = charges.iter().filter_map(|charge| charge.at).max().unwrap_or(0);
        let by = newest.min(now.saturating_sub(2 * SKEW));
        charges.retain(|charge| charge.range().1.max(charge.call.end()) + self.longest() > by);
        Ok(())
    }

    fn honest(&self, charges: &[Charge]) -> Result<(), String> {
        let recorded = charges.iter().filter_map(|charge| Some((charge.call, charge.at?)));
        for (call, at) in recorded {
            call.cut(self.unit).holds(at, at).map_err(|broken| format!("recorded at {broken}"))?;
        }
        Ok(())
    }

    fn surely_never_over(&self, charges: &[Charge]) -> Result<(), String> {
        let mut by_end: Vec<_> = (0..charges.len()).collect();
        by_end.sort_by_key(|place| charges[*place].call.after);
        let mut by_end = by_end.into_iter().peekable();
        let mut is_inside = vec![false; charges.len()];
        let mut sum = 0;
        // The window goes on from start to start. Calls come in as it reaches their end.
        for (place, first) in charges.iter().enumerate() {
            let end = first.call.start() + self.window;
            while let Some(next) = by_end.next_if(|place| charges[*place].call.end() < end) {
                // Unless it began before this window.
                if next >= place {
                    is_inside[next] = true;
                    sum += charges[next].cost;
                }
            }
            if sum > self.limit {
                return Err(format!("surely over: {sum} in the window before {end}"));
            }
            if is_inside[place] {
                sum -= first.cost;
            }
        }
        Ok(())
    }

    fn possible_cause(&self, charges: &[Charge], denials: &[Denial]) -> Result<(), String> {
        let (starts, begun) = sums(charges, |charge| charge.call.start());
        let (ends, gone) = sums(charges, |charge| charge.call.end());
        // Denials are in order for each thread, so the next one is near the one before.
        let (mut start, mut end) = (0, 0);
        for Denial { call, cost, .. } in denials {
            start = near(&starts, start, call.end() + 1);
            end = near(&ends, end, (call.start() + 1).saturating_sub(self.longest()));
            let used = begun[start] - gone[end];
            if used + cost <= self.limit {
                return Err(format!("no possible cause: at most {used} used in {call:?}"));
            }
        }
        Ok(())
    }

    fn never_over(&self, charges: &[Charge]) -> Result<(), String> {
        let mut recorded: Vec<_> =
            charges.iter().filter_map(|charge| Some((charge.at?, charge.cost))).collect();
        recorded.sort();
        let (mut oldest, mut sum) = (0, 0);
        for (newest, cost) in &recorded {
            sum += cost;
            while newest - recorded[oldest].0 >= self.recorded_window() {
                sum -= recorded[oldest].1;
                oldest += 1;
            }
            if sum > self.limit {
                return Err(format!("over: {sum} in the window before {newest}"));
            }
        }
        Ok(())
    }

    fn denied_with_a_cause(&self, charges: &[Charge], denials: &[Denial]) -> Result<(), String> {
        let (earliest, begun) = sums(charges, |charge| charge.range().0);
        let (latest, gone) = sums(charges, |charge| charge.range().1);
        let before = |times: &[u64], time: u64| times.partition_point(|at| *at < time);
        let mut last = None;
        for Denial { cost, fits_at, .. } in denials {
            // Most denials in a row wait for the same charge.
            let Some(fits_at) = *fits_at else { continue };
            if last.replace((fits_at, cost)) == Some((fits_at, cost)) {
                continue;
            }
            let counted = fits_at.saturating_sub(self.longest());
            let used = begun[before(&earliest, fits_at)] - gone[before(&latest, counted)];
            if used + cost <= self.limit {
                return Err(format!("no cause: {used} used, and denied until {fits_at}"));
            }
        }
        Ok(())
    }
}

/// The charges' times in order, and the cost of all before each.
fn sums(charges: &[Charge], time: impl Fn(&Charge) -> u64) -> (Vec<u64>, Vec<u64>) {
    let mut all: Vec<_> = charges.iter().map(|charge| (time(charge), charge.cost)).collect();
    all.sort_by_key(|(time, _)| *time);
    let mut sums = vec![0];
    sums.extend(all.iter().scan(0, |sum, (_, cost)| {
        *sum += cost;
        Some(*sum)
    }));
    (all.into_iter().map(|(time, _)| time).collect(), sums)
}

/// How many of `times` lie before `time`, searched from `place` on in both directions.
fn near(times: &[u64], mut place: usize, time: u64) -> usize {
    while times.get(place).is_some_and(|at| *at < time) {
        place += 1;
    }
    while place > 0 && times[place - 1] >= time {
        place -= 1;
    }
    place
}
