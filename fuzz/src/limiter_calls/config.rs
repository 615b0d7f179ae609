//! Builds what a plan asks for, and judges the limiter's opinion of it.

use super::plan::{self, Config, Kind, Spec};
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
    pub greatest: u64,
    pub stretch: Stretch,
    pub buckets: Option<u32>,
    pub max_keys: usize,
    pub overflow: Overflow,
    unit: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub enum Stretch {
    Window(Duration),
    Calendar { period: Period, offset_s: i32 },
}

/// The policies of a plan in their order.
pub fn settings(config: &Config<'_>) -> Vec<Setting> {
    let copies = config.policies.first().zip(config.copies.0);
    let copies = copies.map_or(Vec::new(), |(first, count)| {
        let plain = Spec { name: plan::Rarely(None), ..first.clone() };
        vec![plain; usize::from(count % 20)]
    });
    let specs = config.policies.iter().chain(&copies);
    specs.enumerate().map(|(place, spec)| setting(config, place, spec)).collect()
}

fn setting(config: &Config<'_>, place: usize, spec: &Spec<'_>) -> Setting {
    let offset_s = spec.offset_s.0.unwrap_or(0);
    let calendar = |period| Stretch::Calendar { period, offset_s };
    let max_keys = spec.max_keys.0.unwrap_or(config.max_keys);
    Setting {
        name: spec.name.0.map_or_else(|| format!("p{place}"), str::to_owned),
        limit: spec.limit.0,
        greatest: spec.max_limit.0.map_or(spec.limit.0, |greatest| greatest.0),
        stretch: match spec.kind {
            Kind::Window(window) => Stretch::Window(window),
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

/// The limiter, or none if it was refused for good reason.
///
/// # Panics
/// If it was refused without one, or not refused in spite of one.
pub fn build(config: &Config<'_>, settings: &[Setting], clock: &ManualClock) -> Option<Limiter> {
    let mut builder = Limiter::builder().clock(clock.clone()).seed([1, 2, 3, 4]);
    builder = builder.max_keys(config.max_keys.0 as usize);
    if let Some(default) = config.overflow {
        builder = builder.overflow(overflow(default));
    }
    builder = settings.iter().map(Setting::policy).fold(builder, Builder::policy);
    let sound = config.max_keys.0 > 0
        && (1..=MAX_CHARGES).contains(&settings.len())
        && settings.iter().all(Setting::is_sound)
        && (1..settings.len()).all(|place| !is_twice(settings, place));
    match builder.build() {
        Ok(limiter) => {
            assert!(sound, "accepted {settings:?}");
            Some(limiter)
        }
        Err(error) => {
            assert!(!sound, "{error} of {settings:?}");
            assert!(is_true(&error, config, settings), "{error:?} of {settings:?}");
            assert!(!error.to_string().contains(char::is_control), "{error}");
            None
        }
    }
}

fn is_twice(settings: &[Setting], place: usize) -> bool {
    settings[..place].iter().any(|earlier| earlier.name == settings[place].name)
}

/// Whether an error tells what is so.
fn is_true(error: &ConfigError, config: &Config<'_>, settings: &[Setting]) -> bool {
    use ConfigError::*;
    let any = |wrong: &dyn Fn(&Setting) -> bool| settings.iter().any(wrong);
    let of = |policy: &String, wrong: &dyn Fn(&Setting) -> bool| {
        settings.iter().any(|setting| setting.name == *policy && wrong(setting))
    };
    match error {
        NoPolicy => settings.is_empty(),
        TooManyPolicies { value } => *value == settings.len() && *value > MAX_CHARGES,
        Name { value } => any(&|one| one.name == *value && !one.has_good_name()),
        DuplicateName { value } => {
            settings.iter().filter(|setting| setting.name == *value).count() > 1
        }
        Limit { policy, value } => of(policy, &|one| one.limit == *value && !one.has_good_limit()),
        MaxLimit { policy, value, limit } => of(policy, &|one| {
            (one.greatest, one.limit) == (*value, *limit) && !one.has_good_greatest()
        }),
        Window { policy, value } => of(policy, &|one| {
            matches!(one.stretch, Stretch::Window(window) if window == *value)
                && !one.has_good_stretch()
        }),
        Buckets { policy, value } => {
            of(policy, &|one| one.buckets == Some(*value) && !one.has_good_buckets())
        }
        Offset { policy, value } => of(policy, &|one| {
            matches!(one.stretch, Stretch::Calendar { offset_s, .. } if offset_s == *value)
                && !one.has_good_stretch()
        }),
        MaxKeys { value: 0 } => config.max_keys.0 == 0 || any(&|one| one.max_keys == 0),
        Allowance { policy, value, limit } => of(policy, &|one| {
            one.allowance() == *value && one.greatest == *limit && !one.has_good_allowance()
        }),
        _ => false,
    }
}

impl Setting {
    fn policy(&self) -> Policy {
        let name = self.name.clone();
        let policy = match self.stretch {
            Stretch::Window(window) => Policy::sliding(name, self.limit, window),
            Stretch::Calendar { period, offset_s } => {
                Policy::calendar(name, self.limit, period).offset_seconds(offset_s)
            }
        };
        let policy = policy.max_limit(self.greatest).max_keys(self.max_keys);
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

    /// What an eviction may forgive a key in a window.
    pub fn allowance(&self) -> u64 {
        match self.overflow {
            Overflow::EvictLightest { allowance } => allowance,
            _ => 0,
        }
    }

    /// Whether the policy promises to decide as a log of all charges would.
    pub fn is_exact(&self) -> bool {
        match self.stretch {
            Stretch::Calendar { .. } => true,
            Stretch::Window(_) => {
                let most = self.buckets.map_or(127, |buckets| {
                    [7, 15, 31, 63].into_iter().find(|words| buckets <= *words).unwrap_or(127)
                });
                self.greatest <= u64::from(most)
            }
        }
    }

    fn is_sound(&self) -> bool {
        self.has_good_name()
            && self.has_good_limit()
            && self.has_good_greatest()
            && self.has_good_stretch()
            && self.has_good_buckets()
            && self.has_good_allowance()
            && self.max_keys > 0
    }

    fn has_good_name(&self) -> bool {
        let printable = |c: char| c.is_ascii_graphic() || c == ' ';
        (1..=64).contains(&self.name.len()) && self.name.chars().all(printable)
    }

    fn has_good_limit(&self) -> bool {
        (1..=MAX_LIMIT).contains(&self.limit)
    }

    fn has_good_greatest(&self) -> bool {
        (self.limit..=MAX_LIMIT).contains(&self.greatest)
    }

    fn has_good_stretch(&self) -> bool {
        match self.stretch {
            Stretch::Window(window) => (MIN_WINDOW..=MAX_WINDOW).contains(&window),
            Stretch::Calendar { offset_s, .. } => (-64_800..=64_800).contains(&offset_s),
        }
    }

    fn has_good_buckets(&self) -> bool {
        let is_calendar = matches!(self.stretch, Stretch::Calendar { .. });
        is_calendar || self.buckets.is_none_or(|buckets| (2..=127).contains(&buckets))
    }

    fn has_good_allowance(&self) -> bool {
        match self.overflow {
            Overflow::EvictLightest { allowance } => (1..=self.greatest).contains(&allowance),
            _ => true,
        }
    }
}

/// The readings that a plan speaks of.
pub fn reading(reading: plan::Reading) -> Now {
    match reading {
        plan::Reading::Usual => Now::new(86_400_000_000_000, 1_700_000_000_000_000_000),
        plan::Reading::Any { monotonic_ns, unix_ns } => Now::new(monotonic_ns.0, unix_ns.0),
    }
}
