//! `tollgate check`: describes a valid policy file in words. The tests in `bad_input` have invalid files.

mod support;

use std::path::Path;
use support::{Folder, tool};

/// Runs `tollgate check` on a file with this text. Returns the output without its first line.
#[track_caller]
fn checked(text: &str) -> String {
    let folder = Folder::new();
    let file = folder.file("p.toml", text);
    let output = tool(&[Path::new("check"), &file], b"");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    let (head, rest) = output.split_once('\n').unwrap();
    let policies = text.matches("[[policy]]").count();
    let count = if policies == 1 { "1 policy".into() } else { format!("{policies} policies") };
    assert_eq!(head, format!("{}: {count}", file.display()));
    rest.to_owned()
}

#[test]
fn each_policy_is_described() {
    let text = "max_bytes = 16_777_216\n\
         [[policy]]\nname = 'user'\nlimit = 20\nwindow = '90s'\n\
         key = 'user'\nabsent = 'ip'\n\
         [[policy]]\nname = 'tokens'\nlimit = 100_000\nmax_limit = 1_000_000\nwindow = '1m'\nunit = 'tokens'\ndry_run = true\n\
         max_keys = 4_000\noverflow = 'evict_lightest'\nallowance = 5_000\n\
         [[policy]]\nname = 'day'\nlimit = 0\ncalendar = 'day'\noffset_seconds = -19_800\noverflow = 'allow'\n\
         key = '*'\ncost = ['in', 'out', 7]\n";
    let shown = checked(text);
    let (policies, total) = shown.rsplit_once("\n\n").unwrap();
    let expected = [
        "",
        "user",
        "  limit    20 per key in any 90s",
        "  counted  exactly",
        "  memory   # MiB at most, for # keys",
        "  if full  refuses new keys",
        "  replay   key \"user\", or else \"ip\", cost 1",
        "",
        "tokens",
        "  limit    100,000 tokens per key in any 1m; can be raised to 1,000,000; a dry run, which denies nothing",
        "  counted  in 15 buckets: never admits more than the limit, may deny for longer",
        "  memory   # MiB at most, for 4,000 keys",
        "  if full  evicts the keys with the least usage, and forgives a key at most 5,000",
        "  replay   not possible: the policy has no key",
        "",
        "day",
        "  limit    0 per key in each day (UTC-05:30); denies every request",
        "  counted  exactly",
        "  memory   # MiB at most, for # keys",
        "  if full  allows new keys, and does not count them",
        "  replay   one key for all requests, cost \"in\" + \"out\" + 7",
    ];
    let lines: Vec<&str> = policies.split('\n').collect();
    assert_eq!(lines.len(), expected.len(), "{shown}");
    let mut mib = 0.0;
    for (line, expected) in lines.iter().zip(expected) {
        match expected.split_once('#') {
            None => assert_eq!(*line, expected),
            Some((before, _)) => {
                let (number, rest) = line[before.len()..].split_once(' ').unwrap();
                mib += number.parse::<f64>().unwrap();
                let keys = rest
                    .strip_prefix("MiB at most, for ")
                    .and_then(|rest| rest.strip_suffix(" keys"));
                let keys: u64 =
                    keys.unwrap_or_else(|| panic!("{line}")).replace(',', "").parse().unwrap();
                assert_eq!(keys == 4_000, expected.contains("4,000"), "{line}");
            }
        }
    }
    // The tables together take at most the bytes of the file, and use most of them.
    assert!((12.0..=16.2).contains(&mib), "{mib} in {shown}");
    let total = total.trim_end().strip_prefix("memory     ").unwrap();
    let total: f64 = total.strip_suffix(" MiB at most in total").unwrap().parse().unwrap();
    assert!((total - mib).abs() < 0.2 && total <= 16.0, "{total} {mib}");
}

#[test]
fn a_duration_is_described() {
    let policy = "[[policy]]\nname = 'p'\nlimit = 5\nwindow = '1m'\n\
                  key = 'ip'\naddress = true\nestimate = 200\ncost = 'n'\n";
    for (duration, expected) in [
        ("'took'", "duration   \"took\" in seconds, in a replay\n"),
        ("{ field = 'n', unit = '20ms' }", "duration   \"n\" times 20ms, in a replay\n"),
    ] {
        let shown = checked(&format!("duration = {duration}\n{policy}"));
        assert!(shown.ends_with(expected), "{shown}");
        assert!(shown.contains("  replay   key \"ip\" as an address, estimate 200, cost \"n\"\n"));
    }
}

#[test]
fn the_examples_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policies");
    for name in ["llm.toml", "llm_reserved.toml", "site.toml"] {
        let output = tool(&[Path::new("check"), &folder.join(name)], b"");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Text of the file cannot change the state of a terminal.
#[test]
fn control_characters_are_escaped() {
    let shown = checked(
        "[[policy]]\nname = 'p'\nkey = \"\\u001b[2J\"\nunit = \"\\u0007\"\nlimit = 5\nwindow = '1m'\n",
    );
    assert!(!shown.replace('\n', "").contains(char::is_control), "{shown:?}");
    assert!(shown.contains("key \"\\u{1b}[2J\"") && shown.contains("5 \\u{7} per key"), "{shown}");
}
