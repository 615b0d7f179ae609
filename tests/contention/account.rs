//! The account of one key's charges and denials: it knows nothing of rings.
//!
//! Charges of one key that are less than a window apart cost at most the limit together. A bucketed
//! policy cuts clock readings to its unit, so its window is one unit longer in recorded times: two
//! readings that are less than a window apart are less than that apart when cut.
//!
//! A denial tells when its cost fits. Just before, charges for more than the limit less its cost
//! count. Each of them lies in the window before (a bucket's charges expire together, less than its
//! span late) and was recorded when the denial was decided. So an exact policy was full to the
//! unit.

/// A charge that was admitted, and the time that it was recorded at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    pub at: u64,
    pub cost: u64,
}

/// A charge that was denied, and when it fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Denial {
    pub fits_at: u64,
    pub cost: u64,
}

/// What happened to one key in a round: charges and denials of each thread in their order.
#[derive(Default)]
pub struct Events {
    pub charges: Vec<Charge>,
    pub denials: Vec<Denial>,
}

/// What the account holds one layer to, in recorded times.
pub struct Law {
    pub limit: u64,
    pub window: u64,
    /// How much longer a charge may count than the window.
    pub slack: u64,
}

impl Law {
    /// Checks what has become known of a key, with what was kept of it, and forgets what can no
    /// longer matter.
    pub fn check(&self, events: &mut Events) -> Result<(), String> {
        let Events { charges, denials } = events;
        // Stable: each thread's charges are in order already, which makes it a merge.
        charges.sort_by_key(|charge| charge.at);
        self.never_over(charges)?;
        self.denied_with_a_cause(charges, denials)?;
        denials.clear();
        let newest = charges.last().map_or(0, |charge| charge.at);
        let gone = |charge: &Charge| charge.at + self.window + self.slack <= newest;
        charges.drain(..charges.partition_point(gone));
        Ok(())
    }

    fn never_over(&self, charges: &[Charge]) -> Result<(), String> {
        let (mut oldest, mut sum) = (0, 0);
        for newest in charges {
            sum += newest.cost;
            while newest.at - charges[oldest].at >= self.window {
                sum -= charges[oldest].cost;
                oldest += 1;
            }
            if sum > self.limit {
                return Err(format!("over: {sum} in the window before {}", newest.at));
            }
        }
        Ok(())
    }

    fn denied_with_a_cause(&self, charges: &[Charge], denials: &[Denial]) -> Result<(), String> {
        let mut sums = vec![0];
        sums.extend(charges.iter().scan(0, |sum, charge| {
            *sum += charge.cost;
            Some(*sum)
        }));
        let before = |time: u64| sums[charges.partition_point(|charge| charge.at < time)];
        for denial in denials {
            let counted = denial.fits_at.saturating_sub(self.window + self.slack);
            let used = before(denial.fits_at) - before(counted);
            if used + denial.cost <= self.limit {
                return Err(format!("no cause: {used} used, and denied until {}", denial.fits_at));
            }
        }
        Ok(())
    }
}
