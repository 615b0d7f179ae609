//! Calendar periods: the hour, day or month of an instant, and its start.
//!
//! Pure integer arithmetic on Unix time, which has no leap seconds: a day has 86 400 s. There is no
//! time zone database. The offset is fixed: in a zone with summer time, the server must choose one
//! of its offsets.

use std::time::Duration;

const NS_PER_S: u64 = 1_000_000_000;
const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 86_400;

/// The calendar period of a budget.
///
/// A period begins with its hour, day or month of the proleptic Gregorian calendar, in UTC or in
/// UTC shifted by a fixed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Period {
    /// From minute 0 to minute 0 of the next hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next: 28 to 31 days.
    Month,
}

impl Period {
    /// Returns the longest length of such a period: an hour, 24 hours or 31 days.
    ///
    /// A client that spreads a budget evenly over this time never exceeds the budget in any period.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tollgate::Period;
    /// assert_eq!(Period::Day.longest(), Duration::from_secs(86_400));
    /// assert_eq!(Period::Month.longest(), 31 * Period::Day.longest());
    /// ```
    pub const fn longest(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => HOUR_S,
            Self::Day => DAY_S,
            Self::Month => 31 * DAY_S,
        })
    }
}

/// A kind of period with its offset from UTC.
///
/// Every `offset_s` works without overflow. The caller restricts it to meaningful offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    period: Period,
    /// Seconds east of UTC.
    offset_s: i32,
}

impl Calendar {
    /// UTC days.
    #[cfg(test)]
    pub(crate) const DAYS: Calendar = Calendar { period: Period::Day, offset_s: 0 };

    pub(crate) const fn new(period: Period, offset_s: i32) -> Self {
        Self { period, offset_s }
    }

    /// The number of bits of the indices that a budget distinguishes. Hours end in 2209, days in 2328 and
    /// months in 2311. All later instants belong to the last period.
    #[inline(always)]
    pub(crate) const fn index_bits(self) -> u32 {
        match self.period {
            Period::Hour => 21,
            Period::Day => 17,
            Period::Month => 12,
        }
    }

    /// Returns the index of the period that contains this instant. It never decreases with time. The
    /// period that contains 1970-01-01T00:00 local time has index 0, and so has every earlier instant.
    pub(crate) fn index(self, unix_ns: u64) -> u64 {
        // Saturates only at 0: u64 nanoseconds are far fewer than u64::MAX seconds.
        let local_s = (unix_ns / NS_PER_S).saturating_add_signed(i64::from(self.offset_s));
        match self.period {
            Period::Hour => local_s / HOUR_S,
            Period::Day => local_s / DAY_S,
            Period::Month => month_of_day(local_s / DAY_S),
        }
    }

    /// Returns the first instant of period `index`, in Unix nanoseconds.
    ///
    /// Saturates at `u64::MAX`, and at 0 for a period that began before 1970 UTC. Period 0 includes
    /// every instant before local 1970, so it always begins at 0.
    pub(crate) fn start_ns(self, index: u64) -> u64 {
        if index == 0 {
            return 0;
        }
        let local_s = match self.period {
            Period::Hour => index.saturating_mul(HOUR_S),
            Period::Day => index.saturating_mul(DAY_S),
            Period::Month => day_of_month(index).saturating_mul(DAY_S),
        };
        local_s.saturating_sub_signed(i64::from(self.offset_s)).saturating_mul(NS_PER_S)
    }
}

// Howard Hinnant's civil_from_days and days_from_civil ("chrono-Compatible Low-Level Date
// Algorithms"), with a running count of months in place of year and month. Years begin in March, so
// that the leap day is the last of a year. An era is 400 such years, and all eras are equal.

const DAYS_PER_ERA: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAY: u64 = 719_468;
/// Months from 0000-03 to 1970-01.
const EPOCH_MONTH: u64 = 1_969 * 12 + 10;

/// Returns the month, counted from 1970-01, of a day, counted from 1970-01-01.
fn month_of_day(day: u64) -> u64 {
    let day = day.saturating_add(EPOCH_DAY);
    let (era, day_of_era) = (day / DAYS_PER_ERA, day % DAYS_PER_ERA);
    // Nothing underflows in the next two lines: each subtracts a small fraction of its first term.
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March to July and August to December both have 153 days: months of 31, 30, 31, 30, 31.
    let month_of_year = (5 * day_of_year + 2) / 153;
    (era * 400 + year_of_era) * 12 + month_of_year - EPOCH_MONTH
}

/// Returns the first day, counted from 1970-01-01, of a month, counted from 1970-01. Saturates.
fn day_of_month(month: u64) -> u64 {
    let month = month.saturating_add(EPOCH_MONTH);
    let (year, month_of_year) = (month / 12, month % 12);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month_of_year + 2) / 5;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era.saturating_mul(DAYS_PER_ERA).saturating_add(day_of_era).saturating_sub(EPOCH_DAY)
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIODS: [Period; 3] = [Period::Hour, Period::Day, Period::Month];
    /// UTC, Nepal, Newfoundland, and the two extremes that a policy allows.
    const OFFSETS_S: [i32; 5] = [0, 20_700, -12_600, 64_800, -64_800];

    /// Returns the local start, in seconds, of each month from 1970-01 to 2555-01, from the leap
    /// year rules alone.
    fn month_starts_s() -> Vec<u64> {
        let mut starts = vec![0];
        let mut day = 0;
        for year in 1970..=2554 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for month in 1..=12 {
                day += match month {
                    2 if leap => 29,
                    2 => 28,
                    4 | 6 | 9 | 11 => 30,
                    _ => 31,
                };
                starts.push(day * DAY_S);
            }
        }
        starts
    }

    fn to_unix_ns(local_s: u64, offset_s: i32) -> u64 {
        let unix_ns = (i128::from(local_s) - i128::from(offset_s)) * i128::from(NS_PER_S);
        u64::try_from(unix_ns.max(0)).unwrap_or(u64::MAX)
    }

    /// Asserts that `start_ns` is the border between `index - 1` and `index`, to the nanosecond.
    fn assert_border(calendar: Calendar, index: u64, start_ns: u64) {
        assert_eq!(calendar.start_ns(index), start_ns, "{calendar:?} {index}");
        if start_ns == 0 || start_ns == u64::MAX {
            return;
        }
        assert_eq!(calendar.index(start_ns - 1), index - 1, "{calendar:?}");
        assert_eq!(calendar.index(start_ns), index, "{calendar:?}");
        assert_eq!(calendar.index(start_ns + 1), index, "{calendar:?}");
    }

    #[test]
    fn months_start_as_the_leap_year_rules_say() {
        let starts_s = month_starts_s();
        // The months extend beyond u64 nanoseconds, so they cover the whole range.
        assert!(starts_s.last().unwrap() - 64_800 > u64::MAX / NS_PER_S);
        for offset_s in OFFSETS_S {
            let calendar = Calendar::new(Period::Month, offset_s);
            for (index, &start_s) in (0..).zip(&starts_s).skip(1) {
                assert_border(calendar, index, to_unix_ns(start_s, offset_s));
            }
        }
    }

    #[test]
    fn every_day_is_in_its_month() {
        for (month, days) in (0..).zip(month_starts_s().windows(2)) {
            for day in days[0] / DAY_S..days[1] / DAY_S {
                assert_eq!(month_of_day(day), month);
            }
            assert_eq!(day_of_month(month), days[0] / DAY_S);
        }
    }

    #[test]
    fn hours_and_days_start_at_multiples_of_local_time() {
        for offset_s in OFFSETS_S {
            for (period, length_s) in [(Period::Hour, HOUR_S), (Period::Day, DAY_S)] {
                let calendar = Calendar::new(period, offset_s);
                let last = calendar.index(u64::MAX);
                for index in (1..2_000).chain(last - 2_000..=last + 2) {
                    assert_border(calendar, index, to_unix_ns(index * length_s, offset_s));
                }
            }
        }
    }

    #[test]
    fn known_instants() {
        let month = |year: u64, month: u64| (year - 1970) * 12 + month - 1;
        let utc = Calendar::new(Period::Month, 0);
        // 2024-02-29T23:59:59.999999999Z and the instant after it.
        assert_eq!(utc.index(1_709_251_199_999_999_999), month(2024, 2));
        assert_eq!(utc.index(1_709_251_200_000_000_000), month(2024, 3));
        assert_eq!(utc.start_ns(month(2024, 3)), 1_709_251_200_000_000_000);
        // 2000-02-29T00:00Z exists, 2100-02-29 does not: a day after 2100-02-28T00:00Z is March.
        assert_eq!(utc.index(951_782_400_000_000_000), month(2000, 2));
        assert_eq!(utc.index(4_107_456_000_000_000_000), month(2100, 2));
        assert_eq!(utc.index(4_107_542_400_000_000_000), month(2100, 3));
        // The last instant of u64 nanoseconds: 2554-07-21T23:34:33.709551615Z.
        assert_eq!(utc.index(u64::MAX), month(2554, 7));
        assert_eq!(utc.start_ns(month(2554, 8)), u64::MAX);
    }

    #[test]
    fn known_instants_with_offsets() {
        let month = |year: u64, month: u64| (year - 1970) * 12 + month - 1;
        // 2024-03-01T00:00+05:45 is 2024-02-29T18:15Z; 00:00-03:30 is 2024-03-01T03:30Z.
        let nepal = Calendar::new(Period::Month, 20_700);
        assert_border(nepal, month(2024, 3), 1_709_230_500_000_000_000);
        let newfoundland = Calendar::new(Period::Month, -12_600);
        assert_border(newfoundland, month(2024, 3), 1_709_263_800_000_000_000);
        // Midnight and the full hour shift by the whole offset, including its quarter hour.
        let nepal = Calendar::new(Period::Day, 20_700);
        assert_border(nepal, 19_783, 1_709_230_500_000_000_000);
        let nepal = Calendar::new(Period::Hour, 20_700);
        assert_border(nepal, 19_783 * 24, 1_709_230_500_000_000_000);
    }

    /// Tests indices so great that their products, if they wrapped, would be early times.
    #[test]
    fn far_periods_saturate() {
        let far = [
            (Period::Hour, u64::MAX / HOUR_S + 2),
            (Period::Day, u64::MAX / DAY_S + 2),
            (Period::Month, (u64::MAX / DAYS_PER_ERA + 1) * 400 * 12),
        ];
        for (period, index) in far {
            for offset_s in OFFSETS_S {
                let calendar = Calendar::new(period, offset_s);
                assert_eq!(calendar.start_ns(index), u64::MAX);
                assert_eq!(calendar.start_ns(u64::MAX), u64::MAX);
            }
        }
    }

    #[test]
    fn longest_is_the_maximum_of_all_lengths() {
        for period in PERIODS {
            let calendar = Calendar::new(period, 0);
            let length = |index| calendar.start_ns(index + 1) - calendar.start_ns(index);
            let longest = (0..500).map(length).max().map(Duration::from_nanos);
            assert_eq!(longest, Some(period.longest()));
        }
    }

    fn any_calendar() -> impl Strategy<Value = Calendar> {
        let offset_s = prop_oneof![8 => -64_800..=64_800, 1 => any::<i32>()];
        (0..PERIODS.len(), offset_s).prop_map(|(i, offset_s)| Calendar::new(PERIODS[i], offset_s))
    }

    /// Generates instants of the whole range, with more weight on its two ends.
    fn any_instant() -> impl Strategy<Value = u64> {
        const EDGE_NS: u64 = 40 * DAY_S * NS_PER_S;
        prop_oneof![any::<u64>(), 0..EDGE_NS, u64::MAX - EDGE_NS..=u64::MAX]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn an_instant_is_in_its_period(calendar in any_calendar(), now_ns in any_instant()) {
            let index = calendar.index(now_ns);
            let end_ns = calendar.start_ns(index + 1);
            prop_assert!(calendar.start_ns(index) <= now_ns);
            prop_assert!(now_ns < end_ns || end_ns == u64::MAX);
        }

        #[test]
        fn index_is_monotone(
            calendar in any_calendar(),
            one_ns in any_instant(),
            other_ns in any_instant(),
        ) {
            let (before, after) = (one_ns.min(other_ns), one_ns.max(other_ns));
            prop_assert!(calendar.index(before) <= calendar.index(after));
        }

        #[test]
        fn starts_increase_until_they_saturate(
            calendar in any_calendar(),
            index in prop_oneof![0..1_000_u64, 0..6_000_000_u64, any::<u64>()],
        ) {
            let start_ns = calendar.start_ns(index);
            let next_ns = calendar.start_ns(index.saturating_add(1));
            // Periods that ended before 1970 UTC all begin at 0. None of their instants can occur.
            let saturated = next_ns == u64::MAX || next_ns == 0;
            prop_assert!(start_ns < next_ns || (saturated && start_ns == next_ns));
            if next_ns == 0 {
                prop_assert!(index < calendar.index(0));
            }
        }
    }
}
