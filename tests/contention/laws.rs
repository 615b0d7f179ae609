//! The laws for the charges and denials of one key. They share no code with the counters.
//!
//! # By the caller's clock
//! Each call has an interval: the caller's own clock readings before and after it, widened by the
//! [skew](SKEW) of two cores' clocks. A charge counts from some instant of its interval, whatever
//! the limiter answers.
//!
//! - Surely never over: charges whose intervals are within one window cost at most the limit.
//! - Possible cause: the charges that may count at some instant of a denial's interval leave no
//!   room for it.
//!
//! # By the limiter's answer
//! An answer with a known `now` gives the recorded time of a charge, truncated to the policy's
//! resolution (the unit). These laws are sharper, but use the limiter's own times, so they do not
//! replace the laws above.
//!
//! - Recorded within the call: the recorded time is in the caller's interval.
//! - Never over: charges of one key that are less than a window apart cost at most the limit
//!   together. A policy with a unit above 1 ns truncates clock readings, so its window is one unit
//!   longer in recorded times.
//! - Denied with a cause: a denial states the time at which its cost fits. Just before that time, the
//!   charges that count leave no room for this cost. A charge counts there if it was recorded earlier by
//!   at most a window; in a bucketed policy, by at most a window and the span of a bucket. A charge
//!   without a recorded time may be anywhere in its interval.

/// The greatest difference of the clock readings of two cores, in nanoseconds. It includes the effect
/// of instructions that are reordered around a reading. The counters of two cores that are synchronized
/// differ by far less.
pub const SKEW: u64 = 10_000;

/// The caller's clock readings before and after a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub before: u64,
    pub after: u64,
}

impl Interval {
    /// The earliest instant of the call on any core's clock.
    fn start(self) -> u64 {
        self.before.saturating_sub(SKEW)
    }

    /// The latest instant of the call on any core's clock.
    pub fn end(self) -> u64 {
        self.after + SKEW
    }

    /// The interval with its start truncated to `unit`.
    pub fn truncated(self, unit: u64) -> Self {
        Interval { before: self.before - self.before % unit, ..self }
    }

    /// Checks that some time from `earliest` to `latest` is in the interval.
    pub fn holds(self, earliest: u64, latest: u64) -> Result<(), String> {
        if latest < self.start() || earliest > self.end() {
            return Err(format!("{earliest} to {latest}, outside of {self:?}"));
        }
        Ok(())
    }
}

/// An admitted charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    pub call: Interval,
    pub cost: u64,
    /// The recorded time by the limiter's answer, if known.
    pub at: Option<u64>,
}

impl Charge {
    /// The earliest and the latest possible recorded time.
    fn range(&self) -> (u64, u64) {
        self.at.map_or((self.call.start(), self.call.end()), |at| (at, at))
    }
}

/// A denied charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    pub call: Interval,
    pub cost: u64,
    /// The time at which the cost fits by the limiter's answer, if known.
    pub fits_at: Option<u64>,
}

/// The calls for one key in a round, in order for each thread.
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

/// The laws of one policy.
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

    /// The longest time that a charge may count, in recorded times.
    fn longest(&self) -> u64 {
        self.recorded_window() + self.slack
    }

    /// Checks the kept and the new events of a key. Drops those that cannot matter to calls that
    /// begin after `now`.
    pub fn check(&self, events: &mut Events, now: u64) -> Result<(), String> {
        let Events { charges, denials } = events;
        // The charges of each thread are in order already, so this is a merge.
        charges.sort_by_key(|charge| charge.call.before);
        if self.by != By::Answer {
            self.recorded_within_call(charges)?;
            self.surely_never_over(charges)?;
            self.possible_cause(charges, denials)?;
        }
        if self.by != By::Caller {
            self.never_over(charges)?;
            self.denied_with_a_cause(charges, denials)?;
        }
        denials.clear();
        let newest = charges.iter().filter_map(|charge| charge.at).max().unwrap_or(0);
        let horizon = newest.min(now.saturating_sub(2 * SKEW));
        charges.retain(|charge| charge.range().1.max(charge.call.end()) + self.longest() > horizon);
        Ok(())
    }

    fn recorded_within_call(&self, charges: &[Charge]) -> Result<(), String> {
        let recorded = charges.iter().filter_map(|charge| Some((charge.call, charge.at?)));
        for (call, at) in recorded {
            call.truncated(self.unit)
                .holds(at, at)
                .map_err(|violation| format!("recorded at {violation}"))?;
        }
        Ok(())
    }

    fn surely_never_over(&self, charges: &[Charge]) -> Result<(), String> {
        let mut by_end: Vec<_> = (0..charges.len()).collect();
        by_end.sort_by_key(|index| charges[*index].call.after);
        let mut by_end = by_end.into_iter().peekable();
        let mut is_inside = vec![false; charges.len()];
        let mut sum = 0;
        // The window moves from start to start. A call enters when the window reaches its end.
        for (index, first) in charges.iter().enumerate() {
            let end = first.call.start() + self.window;
            while let Some(next) = by_end.next_if(|index| charges[*index].call.end() < end) {
                // A call that began before this window does not count.
                if next >= index {
                    is_inside[next] = true;
                    sum += charges[next].cost;
                }
            }
            if sum > self.limit {
                return Err(format!("surely over: {sum} in the window before {end}"));
            }
            if is_inside[index] {
                sum -= first.cost;
            }
        }
        Ok(())
    }

    fn possible_cause(&self, charges: &[Charge], denials: &[Denial]) -> Result<(), String> {
        let (starts, begun) = sums(charges, |charge| charge.call.start());
        let (ends, gone) = sums(charges, |charge| charge.call.end());
        // Denials are in order for each thread, so the next one is near the previous one.
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
            // Most consecutive denials wait for the same charge.
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

/// Returns the charges' times in order, and the cost of all charges before each.
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

/// Returns how many of `times` are before `time`, searched from `index` in both directions.
fn near(times: &[u64], mut index: usize, time: u64) -> usize {
    while times.get(index).is_some_and(|at| *at < time) {
        index += 1;
    }
    while index > 0 && times[index - 1] >= time {
        index -= 1;
    }
    index
}
