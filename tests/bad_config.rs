//! Guarantee H: a bad configuration is a typed error when the limiter is built, and the error names
//! the field and its value.

use std::time::Duration;
use tollgate::{
    ConfigError, Limiter, MAX_CHARGES, MAX_LIMIT, MAX_WINDOW, MIN_WINDOW, Now, Overflow, Period,
    Policy, Verdict,
};

const MINUTE: Duration = Duration::from_secs(60);

fn build(policy: Policy) -> Result<Limiter, ConfigError> {
    Limiter::builder().policy(policy).max_keys(8).build()
}

/// Asserts that building with `policy` fails with `error`, and that its message contains all `parts`.
fn assert_error(policy: Policy, error: ConfigError, parts: &[&str]) {
    let found = build(policy).unwrap_err();
    assert_eq!(found, error);
    let text = found.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} does not contain {part}");
    }
}

/// Guarantee H: limits above `MAX_LIMIT` and a `max_limit` below the limit are errors.
#[test]
fn bad_limits_are_errors() {
    for value in [MAX_LIMIT + 1, u64::MAX] {
        let policy = || "p".to_owned();
        let error = ConfigError::Limit { policy: policy(), value };
        assert_error(
            Policy::sliding("p", value, MINUTE),
            error.clone(),
            &["limit", &value.to_string()],
        );
        assert_error(Policy::calendar("p", value, Period::Day), error, &["\"p\""]);
    }
    for value in [9, MAX_LIMIT + 1] {
        let error = ConfigError::MaxLimit { policy: "p".into(), value, limit: 10 };
        let policy = Policy::sliding("p", 10, MINUTE).max_limit(value);
        assert_error(policy, error, &["max_limit", &value.to_string(), "10"]);
    }
    for limit in [0, 1, 127, 128, MAX_LIMIT] {
        assert!(build(Policy::sliding("p", limit, MINUTE)).is_ok());
        assert!(build(Policy::calendar("p", limit, Period::Month)).is_ok());
    }
}

/// Guarantee H: a new limit above the policy's `max_limit` is an error that names both.
#[test]
fn new_limit_above_max_limit_is_an_error() {
    let limiter = build(Policy::sliding("p", 10, MINUTE).max_limit(100)).unwrap();
    let id = limiter.policy("p").unwrap();
    for value in [101, MAX_LIMIT + 1, u64::MAX] {
        let error = limiter.set_limit(id, value).unwrap_err();
        assert_eq!(error, ConfigError::LimitAboveMax { policy: "p".into(), value, max_limit: 100 });
        let text = format!("policy \"p\": the new limit {value} is above max_limit 100");
        assert_eq!(error.to_string(), text);
        assert_eq!(limiter.limit(id), Ok(10));
    }
    assert_eq!(limiter.set_limit(id, 100), Ok(()));
}

/// Guarantee H: windows outside of `MIN_WINDOW..=MAX_WINDOW` are errors.
#[test]
fn bad_windows_are_errors() {
    let nano = Duration::from_nanos(1);
    for value in [Duration::ZERO, MIN_WINDOW - nano, MAX_WINDOW + nano, Duration::MAX] {
        let error = ConfigError::Window { policy: "p".into(), value };
        assert_error(
            Policy::sliding("p", 1, value),
            error,
            &["window", "\"p\"", &format!("{value:?}")],
        );
    }
    for window in [MIN_WINDOW, MIN_WINDOW + nano, MAX_WINDOW] {
        for limit in [1, 1_000, MAX_LIMIT] {
            assert!(build(Policy::sliding("p", limit, window)).is_ok());
        }
    }
}

/// Guarantee H: bucket counts outside of `2..=127` and offsets beyond 18 hours are errors.
#[test]
fn bad_buckets_and_offsets_are_errors() {
    for value in [0, 1, 128, u32::MAX] {
        let error = ConfigError::Buckets { policy: "p".into(), value };
        let policy = Policy::sliding("p", 1_000, MINUTE).buckets(value);
        assert_error(policy, error, &["buckets", &value.to_string()]);
    }
    for buckets in [2, 7, 8, 16, 64, 127] {
        assert!(build(Policy::sliding("p", 1_000, MINUTE).buckets(buckets)).is_ok());
    }
    for value in [-64_801, 64_801, i32::MIN, i32::MAX] {
        let error = ConfigError::Offset { policy: "p".into(), value };
        let policy = Policy::calendar("p", 1, Period::Hour).offset_seconds(value);
        assert_error(policy, error, &["offset", &value.to_string()]);
    }
    assert!(build(Policy::calendar("p", 1, Period::Hour).offset_seconds(-64_800)).is_ok());
}

/// Guarantee H: empty, long, non-ASCII and duplicate names, and names with control characters, are
/// errors.
#[test]
fn bad_names_are_errors() {
    let long = "x".repeat(65);
    for value in ["", &long, "naïve", "tab\t", "line\n"] {
        let error = ConfigError::Name { value: value.into() };
        assert_error(Policy::sliding(value, 1, MINUTE), error, &["name", &format!("{value:?}")]);
    }
    assert!(build(Policy::sliding(&long[1..], 1, MINUTE)).is_ok());
    let twice = Limiter::builder()
        .policy(Policy::sliding("p", 1, MINUTE))
        .policy(Policy::calendar("p", 1, Period::Day));
    let error = twice.build().unwrap_err();
    assert_eq!(error, ConfigError::DuplicateName { value: "p".into() });
    assert!(error.to_string().contains("\"p\""));
}

/// Guarantee H: no policy, too many policies and `max_keys` of 0 are errors.
#[test]
fn bad_policy_and_key_counts_are_errors() {
    assert_eq!(Limiter::builder().build().unwrap_err(), ConfigError::NoPolicy);
    let many = |count: usize| {
        let policies = (0..count).map(|n| Policy::sliding(format!("p{n}"), 1, MINUTE));
        policies.fold(Limiter::builder().max_keys(8), |builder, policy| builder.policy(policy))
    };
    assert!(many(MAX_CHARGES).build().is_ok());
    let error = many(MAX_CHARGES + 1).build().unwrap_err();
    assert_eq!(error, ConfigError::TooManyPolicies { value: MAX_CHARGES + 1 });
    let no_keys = Limiter::builder().policy(Policy::sliding("p", 1, MINUTE)).max_keys(0);
    let error = ConfigError::MaxKeys { policy: None, value: 0 };
    assert_eq!(no_keys.build().unwrap_err(), error);
    assert_eq!(error.to_string(), "max_keys 0 must be at least 1");
    let no_keys = Policy::sliding("p", 1, MINUTE).max_keys(0);
    let error = ConfigError::MaxKeys { policy: Some("p".into()), value: 0 };
    assert_error(no_keys, error, &["max_keys", "0", "\"p\""]);
    assert!(!ConfigError::NoPolicy.to_string().is_empty());
}

/// Guarantee H: a number of bytes that is too small for one key in each table is an error, which has the
/// least number that is enough.
#[test]
fn too_few_bytes_are_errors() {
    let policy = |name: &str| Policy::sliding(name, 100, MINUTE);
    let least = |error: &ConfigError| match error {
        ConfigError::MaxBytes { least, .. } => *least,
        other => panic!("{other}"),
    };
    for value in [0, 1, 100_000] {
        let error = build(policy("p").max_bytes(value)).unwrap_err();
        let expected =
            ConfigError::MaxBytes { policy: Some("p".into()), value, least: least(&error) };
        let parts = ["\"p\"", "max_bytes", &value.to_string(), &least(&error).to_string()];
        assert_error(policy("p").max_bytes(value), expected, &parts);
        assert!(build(policy("p").max_bytes(least(&error))).is_ok());
        assert!(build(policy("p").max_bytes(least(&error) - 1)).is_err());

        let both =
            |bytes| Limiter::builder().policy(policy("p")).policy(policy("q")).max_bytes(bytes);
        let error = both(value).build().unwrap_err();
        assert_eq!(both(value).memory_bound(), Err(error.clone()));
        let expected = ConfigError::MaxBytes { policy: None, value, least: least(&error) };
        assert_eq!(error, expected);
        assert!(error.to_string().starts_with(&format!("max_bytes {value} must be at least ")));
        assert!(both(least(&error)).build().is_ok() && both(least(&error) - 1).build().is_err());
    }
    // With the default, any policies fit.
    let many = (0..MAX_CHARGES).map(|n| policy(&n.to_string()).max_limit(127));
    let many = many.fold(Limiter::builder(), |builder, policy| builder.policy(policy));
    assert!(many.memory_bound().unwrap() <= 128 << 20);
    assert!(many.build().is_ok());
}

/// Guarantee F: `max_keys` is an upper bound, and no memory is allocated for it in advance.
#[test]
fn any_max_keys_is_accepted_and_allocates_little() {
    for max_keys in [1, 1 << 30, usize::MAX / 64, usize::MAX] {
        let limiter = build(Policy::sliding("p", 100, MINUTE).max_keys(max_keys)).unwrap();
        let id = limiter.policy("p").unwrap();
        assert!(limiter.check(&[id.charge("k", 1)]).is_allowed());
        assert!(limiter.stats(id).unwrap().bytes < 1 << 20);
        assert_eq!(limiter.max_keys(id), Ok(max_keys));
        assert!(limiter.memory_bound(id).unwrap() >= max_keys);
    }
}

/// Guarantee H: an eviction allowance of 0 or above the policy's `max_limit` is an error.
#[test]
fn bad_allowances_are_errors() {
    let policy = |allowance| {
        Policy::sliding("p", 10, MINUTE).overflow(Overflow::EvictLightest { allowance })
    };
    for value in [0, 11, u64::MAX] {
        let error = ConfigError::Allowance { policy: "p".into(), value, limit: 10 };
        assert_error(policy(value), error, &["allowance", &value.to_string(), "10"]);
    }
    assert!(build(policy(10)).is_ok());
    assert!(build(policy(20).max_limit(20)).is_ok());
    // The builder's overflow mode applies to policies without their own.
    let overflow = Overflow::EvictLightest { allowance: 11 };
    let builder = Limiter::builder().overflow(overflow).policy(Policy::sliding("p", 10, MINUTE));
    let error = ConfigError::Allowance { policy: "p".into(), value: 11, limit: 10 };
    assert_eq!(builder.build().unwrap_err(), error);
    let policy = Policy::sliding("p", 10, MINUTE).overflow(Overflow::Deny);
    assert!(Limiter::builder().overflow(overflow).policy(policy).build().is_ok());
}

/// Guarantee H: costs up to `u64::MAX` neither panic nor wrap.
#[test]
fn greatest_costs_do_not_wrap() {
    let limiter = build(Policy::sliding("p", MAX_LIMIT, MINUTE)).unwrap();
    let id = limiter.policy("p").unwrap();
    let session = limiter.session_at(Now::from_unix_nanos(1));
    for cost in [MAX_LIMIT + 1, u64::MAX] {
        assert_eq!(session.check(&[id.charge("k", cost)]).verdict, Verdict::Impossible);
        let twice = [id.charge("k", cost), id.charge("k", cost)];
        assert_eq!(session.check(&twice).verdict, Verdict::Impossible);
    }
    assert!(session.check(&[id.charge("k", MAX_LIMIT)]).is_allowed());
    assert!(session.force_charge(&[id.charge("k", u64::MAX)]).is_allowed());
    // A saturated debt may be greater than recorded, so a refund returns nothing.
    assert_eq!(session.refund(&id.charge("k", u64::MAX)), Ok(0));
    assert_eq!(session.check(&[id.charge("k", 1)]).retry_after().unwrap().as_secs(), 60);
}

/// An error returns the name of its policy, if it is about one.
#[test]
fn errors_return_the_name_of_their_policy() {
    let name = |policy: Policy| build(policy).unwrap_err().policy().map(str::to_owned);
    let sliding = |limit| Policy::sliding("p", limit, MINUTE);
    let evicting = Overflow::EvictLightest { allowance: 0 };
    let faults = [
        sliding(MAX_LIMIT + 1),
        sliding(2).max_limit(1),
        Policy::sliding("p", 1, Duration::ZERO),
        sliding(200).buckets(1),
        Policy::calendar("p", 1, Period::Day).offset_seconds(i32::MAX),
        sliding(1).max_keys(0),
        sliding(1).overflow(evicting),
    ];
    for policy in faults {
        assert_eq!(name(policy).as_deref(), Some("p"));
    }
    assert_eq!(name(Policy::sliding("tab\t", 1, MINUTE)).as_deref(), Some("tab\t"));
    let twice = Limiter::builder().policy(sliding(1)).policy(sliding(2)).build().unwrap_err();
    assert_eq!(twice.policy(), Some("p"));
    let limiter = build(sliding(1)).unwrap();
    let above = limiter.set_limit(limiter.policy("p").unwrap(), 2).unwrap_err();
    assert_eq!(above.policy(), Some("p"));
    assert_eq!(ConfigError::OutOfMemory { policy: "p".into() }.policy(), Some("p"));
    assert_eq!(Limiter::builder().build().unwrap_err().policy(), None);
    let no_keys = Limiter::builder().policy(sliding(1)).max_keys(0).build().unwrap_err();
    assert_eq!(no_keys.policy(), None);
}
