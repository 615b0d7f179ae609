//! Valid files: each entry has its effect.

use std::time::Duration;
use tollgate::{Limiter, ManualClock, Overflow, Period, Policy};
use tollgate_policy_file::{
    Absent, CostSpec, DurationSpec, FieldKey, Interval, KeySpec, PolicyFile, Position, Problem,
};

/// A policy without optional entries.
const IP: &str = "[[policy]]\nname = 'ip'\nlimit = 5\nwindow = '1m'\n";
const MINUTE: Duration = Duration::from_secs(60);

#[track_caller]
fn parsed(text: &str) -> PolicyFile {
    PolicyFile::parse(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

fn at(line: usize, column: usize) -> Position {
    let mut position = Position::default();
    (position.line, position.column) = (line, column);
    position
}

#[test]
fn reads_the_entries_of_the_limiter() {
    let file = parsed(
        "[[policy]]\nname = 'a'\nlimit = 1_000\nwindow = '90s'\nbuckets = 31\nmax_limit = 0x1000\n\
         max_keys = 9\nmax_bytes = 0x100_0000\noverflow = 'evict_lightest'\nallowance = 7\nunit = 'tokens'\ndry_run = true\n\
         [[policy]]\nname = 'b'\nlimit = 20\ncalendar = 'month'\noffset_seconds = -3_600\noverflow = 'allow'\n",
    );
    let first = Policy::sliding("a", 1000, Duration::from_secs(90))
        .buckets(31)
        .max_limit(4096)
        .max_keys(9)
        .max_bytes(1 << 24)
        .overflow(Overflow::EvictLightest { allowance: 7 })
        .unit("tokens")
        .dry_run(true);
    let second =
        Policy::calendar("b", 20, Period::Month).offset_seconds(-3600).overflow(Overflow::Allow);
    assert_eq!(file.policies(), [first.clone(), second.clone()]);
    assert_eq!((file.policy("b"), file.policy("c")), (Some(second), None));
    assert_eq!(file.specs[0].rate.text, "90s");
    assert_eq!((file.specs[0].position, file.specs[1].position), (at(1, 1), at(13, 1)));
}

#[test]
fn a_policy_without_optional_entries_is_that_of_its_constructor() {
    assert_eq!(parsed(IP).policies(), [Policy::sliding("ip", 5, MINUTE)]);
    let denied = parsed(&IP.replace("limit = 5", "limit = 0"));
    assert_eq!(denied.policies(), [Policy::sliding("ip", 0, MINUTE)]);
}

#[test]
fn settings_are_the_defaults_of_all_policies() {
    let text = format!(
        "max_keys = 3\noverflow = 'allow'\n{IP}{}max_keys = 2\noverflow = 'deny'\n",
        IP.replace("ip", "own")
    );
    let limiter = parsed(&text).limiter_builder().clock(ManualClock::new()).build().unwrap();
    let [ip, own] = ["ip", "own"].map(|name| limiter.policy(name).unwrap());
    assert_eq!([limiter.max_keys(ip), limiter.max_keys(own)], [Ok(3), Ok(2)]);
    let refused = |policy: tollgate::PolicyId| {
        (0..4_u64).any(|key| !limiter.check(&[policy.charge(key, 1)]).is_allowed())
    };
    assert_eq!([refused(ip), refused(own)], [false, true]);
}

#[test]
fn the_bytes_above_the_policies_are_their_total() {
    let bytes = |top: &str| parsed(&format!("{top}{IP}")).limiter_builder().memory_bound().unwrap();
    assert!((1 << 19..=1 << 20).contains(&bytes("max_bytes = 1_048_576\n")));
    assert!(bytes("") > 1 << 26);
}

/// A setting that the file lacks stays as the host has set it.
#[test]
fn a_host_may_set_what_the_file_does_not() {
    let host = || Limiter::builder().clock(ManualClock::new()).max_keys(3);
    let keys = |text: &str| {
        let limiter = parsed(text).add_to(host()).build().unwrap();
        limiter.max_keys(limiter.policy("ip").unwrap()).unwrap()
    };
    assert_eq!((keys(IP), keys(&format!("max_keys = 7\n{IP}"))), (3, 7));
}

#[test]
fn reads_the_entries_of_a_replay() {
    let file = parsed(
        "duration = 'took'\n\
         [[policy]]\nname = 'a'\nkey = '*'\ncost = ['x', 'y']\nestimate = ['x', 500, 7]\nlimit = 5\nwindow = '1m'\n\
         [[policy]]\nname = 'b'\nkey = 'ip'\ncost = 0x10\nlimit = 20\ncalendar = 'day'\n\
         [[policy]]\nname = 'c'\nlimit = 5\nwindow = '1m'\n",
    );
    let duration =
        DurationSpec { field: "took".into(), unit: Duration::from_secs(1), position: at(1, 12) };
    assert_eq!(file.duration, Some(duration));
    let [a, b, c] = [0, 1, 2].map(|index| file.specs[index].replay.clone());
    assert_eq!(a.cost, CostSpec { fixed: 0, fields: vec!["x".into(), "y".into()] });
    assert_eq!(a.estimate, Some(CostSpec { fixed: 507, fields: vec!["x".into()] }));
    assert_eq!((a.key, a.key_position), (Some(KeySpec::Shared), at(4, 7)));
    assert_eq!((a.cost_position, a.estimate_position), (at(5, 8), at(6, 12)));
    let ip = FieldKey { name: "ip".into(), address: None, absent: Absent::Skip };
    assert_eq!((b.key, b.key_position), (Some(KeySpec::Field(ip)), at(11, 7)));
    assert_eq!(b.cost, CostSpec { fixed: 16, fields: Vec::new() });
    assert_eq!((b.estimate, b.estimate_position), (None, at(9, 1)));
    assert_eq!(file.specs[1].rate.interval, Interval::Calendar(Period::Day));
    assert_eq!((c.key, c.cost.fixed), (None, 1));
}

#[test]
fn a_duration_may_set_its_unit() {
    let policy = "\n[[policy]]\nname = 'a'\nkey = '*'\nestimate = 'x'\nlimit = 5\nwindow = '1m'\n";
    for (text, unit, position) in [
        ("duration = { field = 'took', unit = '20ms' }", Duration::from_millis(20), at(1, 12)),
        ("[duration]\nunit = '1us'\nfield = 'took'", Duration::from_micros(1), at(1, 1)),
    ] {
        let spec = parsed(&format!("{text}{policy}")).duration;
        assert_eq!(spec, Some(DurationSpec { field: "took".into(), unit, position }));
    }
}

#[test]
fn a_key_may_be_an_address_and_may_be_absent() {
    let key = |text: &str| {
        let file = parsed(&format!(
            "[[policy]]\nname = 'a'\nkey = 'x'\n{text}\nlimit = 5\nwindow = '1m'\n"
        ));
        let replay = &file.specs[0].replay;
        let position = if text.contains("absent") { at(4, 10) } else { at(1, 1) };
        assert_eq!(replay.absent_position, position);
        let Some(KeySpec::Field(key)) = replay.key.clone() else { panic!("{:?}", replay.key) };
        (key.address, key.absent)
    };
    assert_eq!(key("address = true"), (Some(true), Absent::Skip));
    assert_eq!(key("absent = 'share'"), (None, Absent::Share));
    assert_eq!(key("absent = 'y'"), (None, Absent::Field("y".into())));
}

/// The errors about unknown entries list the valid ones. The documentation has a row for each.
#[test]
fn every_entry_is_documented() {
    let page = include_str!("../../docs/policy-file.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let mut entries = 0;
    for text in ["x = 1\n", "[[policy]]\nx = 1\n"] {
        let error = PolicyFile::parse(text).unwrap_err();
        let (Problem::UnknownTop { known, .. } | Problem::Unknown { known, .. }) = *error.problem
        else {
            panic!("{error}");
        };
        for entry in known {
            assert!(rows.iter().any(|row| row.contains(&format!("`{entry}`"))), "{entry}");
            entries += 1;
        }
    }
    assert!(entries > 20);
}

#[test]
fn a_byte_order_mark_is_ignored() {
    let file = PolicyFile::from_bytes(format!("\u{feff}{IP}").as_bytes()).unwrap();
    assert_eq!(file, parsed(IP));
}

/// The same text gives the same policies from memory and from a file.
#[test]
fn a_file_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policies");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = PolicyFile::read(&path).unwrap();
        assert_eq!(file, parsed(&std::fs::read_to_string(&path).unwrap()));
        let limiter = file.build().unwrap();
        let names: Vec<_> = limiter.policies().map(|policy| policy.name().to_owned()).collect();
        assert_eq!(names, file.specs.iter().map(|spec| spec.name.clone()).collect::<Vec<_>>());
        files += 1;
    }
    assert!(files >= 3);
}
