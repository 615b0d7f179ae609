//! Builds the limiter of a plan, and checks that it accepts exactly the valid configurations.

use super::plan::{self, Config, Kind, PolicyPlan};
use std::time::Duration;
use tollgate::{
    Builder, ConfigError, Limiter, MAX_CHARGES, MAX_LIMIT, MAX_WINDOW, MIN_WINDOW, ManualClock,
    Now, Overflow, Period, Policy,
};

/// A policy with every default filled in.
#[derive(Clone, Debug)]
pub struct Setting {
    pub name: String,
    pub limit: u64,
    pub max_limit: u64,
    pub interval: Interval,
    pub buckets: Option<u32>,
    pub max_keys: usize,
    pub overflow: Overflow,
    unit: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub enum Interval {
    Window(Duration),
    Calendar { period: Period, offset_s: i32 },
}

/// The settings of the policies of a plan, in order.
pub fn settings(config: &Config<'_>) -> Vec<Setting> {
    let copies = config.policies.first().zip(config.copies.0);
    let copies = copies.map_or(Vec::new(), |(first, count)| {
        let plain = PolicyPlan { name: plan::Rarely(None), ..first.clone() };
        vec![plain; usize::from(count % 20)]
    });
    let specs = config.policies.iter().chain(&copies);
    specs.enumerate().map(|(index, spec)| setting(config, index, spec)).collect()
}

fn setting(config: &Config<'_>, index: usize, spec: &PolicyPlan<'_>) -> Setting {
    let offset_s = spec.offset_s.0.unwrap_or(0);
    let calendar = |period| Interval::Calendar { period, offset_s };
    let max_keys = spec.max_keys.0.unwrap_or(config.max_keys);
    Setting {
        name: spec.name.0.map_or_else(|| format!("p{index}"), str::to_owned),
        limit: spec.limit.0,
        max_limit: spec.max_limit.0.map_or(spec.limit.0, |max_limit| max_limit.0),
        interval: match spec.kind {
            Kind::Window(window) => Interval::Window(window),
            Kind::Hour => calendar(Period::Hour),
            Kind::Day => calendar(Period::Day),
            Kind::Month => calendar(Period::Month),
        },
        buckets: spec.buckets.0.map(|buckets| buckets.0 as u32),
        max_keys: max_keys.0 as usize,
        overflow: spec.overflow.0.or(config.overflow).map_or(Overflow::Deny, overflow),
        unit: spec.unit.0.map(str::to_owned),
    }
}

fn overflow(overflow: plan::Overflow) -> Overflow {
    match overflow {
        plan::Overflow::Deny => Overflow::Deny,
        plan::Overflow::Allow => Overflow::Allow,
        plan::Overflow::EvictLightest(allowance) => {
            Overflow::EvictLightest { allowance: allowance.0 }
        }
    }
}

/// Builds the limiter. Returns `None` if the configuration is invalid and was rejected.
///
/// # Panics
/// If a valid configuration is rejected, an invalid one is accepted, or the error is wrong.
pub fn build(config: &Config<'_>, settings: &[Setting], clock: &ManualClock) -> Option<Limiter> {
    let mut builder = Limiter::builder().clock(clock.clone()).seed([1, 2, 3, 4]);
    builder = builder.max_keys(config.max_keys.0 as usize);
    if let Some(default) = config.overflow {
        builder = builder.overflow(overflow(default));
    }
    builder = settings.iter().map(Setting::policy).fold(builder, Builder::policy);
    let valid = config.max_keys.0 > 0
        && (1..=MAX_CHARGES).contains(&settings.len())
        && settings.iter().all(Setting::is_valid)
        && (1..settings.len()).all(|index| !is_duplicate(settings, index));
    match builder.build() {
        Ok(limiter) => {
            assert!(valid, "accepted {settings:?}");
            Some(limiter)
        }
        Err(error) => {
            assert!(!valid, "{error} of {settings:?}");
            assert!(is_correct(&error, config, settings), "{error:?} of {settings:?}");
            assert!(!error.to_string().contains(char::is_control), "{error}");
            None
        }
    }
}

fn is_duplicate(settings: &[Setting], index: usize) -> bool {
    settings[..index].iter().any(|earlier| earlier.name == settings[index].name)
}

/// Returns whether an error describes an actual problem of the configuration.
fn is_correct(error: &ConfigError, config: &Config<'_>, settings: &[Setting]) -> bool {
    use ConfigError::*;
    let any = |wrong: &dyn Fn(&Setting) -> bool| settings.iter().any(wrong);
    let in_policy = |policy: &String, wrong: &dyn Fn(&Setting) -> bool| {
        settings.iter().any(|setting| setting.name == *policy && wrong(setting))
    };
    match error {
        NoPolicy => settings.is_empty(),
        TooManyPolicies { value } => *value == settings.len() && *value > MAX_CHARGES,
        Name { value } => any(&|one| one.name == *value && !one.has_valid_name()),
        DuplicateName { value } => {
            settings.iter().filter(|setting| setting.name == *value).count() > 1
        }
        Limit { policy, value } => {
            in_policy(policy, &|one| one.limit == *value && !one.has_valid_limit())
        }
        MaxLimit { policy, value, limit } => in_policy(policy, &|one| {
            (one.max_limit, one.limit) == (*value, *limit) && !one.has_valid_max_limit()
        }),
        Window { policy, value } => in_policy(policy, &|one| {
            matches!(one.interval, Interval::Window(window) if window == *value)
                && !one.has_valid_interval()
        }),
        Buckets { policy, value } => {
            in_policy(policy, &|one| one.buckets == Some(*value) && !one.has_valid_buckets())
        }
        Offset { policy, value } => in_policy(policy, &|one| {
            matches!(one.interval, Interval::Calendar { offset_s, .. } if offset_s == *value)
                && !one.has_valid_interval()
        }),
        MaxKeys { policy: None, value: 0 } => config.max_keys.0 == 0,
        MaxKeys { policy: Some(policy), value: 0 } => in_policy(policy, &|one| one.max_keys == 0),
        Allowance { policy, value, limit } => in_policy(policy, &|one| {
            (one.allowance(), one.max_limit.max(1)) == (*value, *limit)
                && !one.has_valid_allowance()
        }),
        _ => false,
    }
}

impl Setting {
    fn policy(&self) -> Policy {
        let name = self.name.clone();
        let policy = match self.interval {
            Interval::Window(window) => Policy::sliding(name, self.limit, window),
            Interval::Calendar { period, offset_s } => {
                Policy::calendar(name, self.limit, period).offset_seconds(offset_s)
            }
        };
        let policy = policy.max_limit(self.max_limit).max_keys(self.max_keys);
        let policy = policy.overflow(self.overflow);
        let policy = match self.buckets {
            Some(buckets) => policy.buckets(buckets),
            None => policy,
        };
        match &self.unit {
            Some(unit) => policy.unit(unit.clone()),
            None => policy,
        }
    }

    /// The usage of a key that evictions may drop per window.
    pub fn allowance(&self) -> u64 {
        match self.overflow {
            Overflow::EvictLightest { allowance } => allowance,
            _ => 0,
        }
    }

    /// Returns whether the policy must decide as a log of the admitted charges would.
    pub fn is_exact(&self) -> bool {
        match self.interval {
            Interval::Calendar { .. } => true,
            Interval::Window(_) => {
                let max_exact = self.buckets.map_or(127, |buckets| {
                    [7, 15, 23, 31, 47, 63, 95]
                        .into_iter()
                        .find(|words| buckets <= *words)
                        .unwrap_or(127)
                });
                self.max_limit <= u64::from(max_exact)
            }
        }
    }

    fn is_valid(&self) -> bool {
        self.has_valid_name()
            && self.has_valid_limit()
            && self.has_valid_max_limit()
            && self.has_valid_interval()
            && self.has_valid_buckets()
            && self.has_valid_allowance()
            && self.max_keys > 0
    }

    fn has_valid_name(&self) -> bool {
        let printable = |c: char| c.is_ascii_graphic() || c == ' ';
        (1..=64).contains(&self.name.len()) && self.name.chars().all(printable)
    }

    fn has_valid_limit(&self) -> bool {
        self.limit <= MAX_LIMIT
    }

    fn has_valid_max_limit(&self) -> bool {
        (self.limit..=MAX_LIMIT).contains(&self.max_limit)
    }

    fn has_valid_interval(&self) -> bool {
        match self.interval {
            Interval::Window(window) => (MIN_WINDOW..=MAX_WINDOW).contains(&window),
            Interval::Calendar { offset_s, .. } => (-64_800..=64_800).contains(&offset_s),
        }
    }

    fn has_valid_buckets(&self) -> bool {
        let is_calendar = matches!(self.interval, Interval::Calendar { .. });
        is_calendar || self.buckets.is_none_or(|buckets| (2..=127).contains(&buckets))
    }

    fn has_valid_allowance(&self) -> bool {
        match self.overflow {
            Overflow::EvictLightest { allowance } => {
                (1..=self.max_limit.max(1)).contains(&allowance)
            }
            _ => true,
        }
    }
}

/// The clock readings that a plan describes.
pub fn reading(reading: plan::Reading) -> Now {
    match reading {
        plan::Reading::Usual => Now::new(86_400_000_000_000, 1_700_000_000_000_000_000),
        plan::Reading::Any { monotonic_ns, unix_ns } => Now::new(monotonic_ns.0, unix_ns.0),
    }
}
