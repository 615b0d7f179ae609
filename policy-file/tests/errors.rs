//! Invalid files: each problem is an error at its line and column.

use tollgate_policy_file::{MAX_BYTES, PolicyFile, PolicyFileError, Problem};

const POLICY: &str = "[[policy]]\nname = \"ip\"\nkey = \"ip\"\nlimit = 5\nwindow = \"1m\"\n";

#[track_caller]
fn rejected(text: &str) -> PolicyFileError {
    let Err(error) = PolicyFile::parse(text) else { panic!("accepted:\n{text}") };
    error
}

/// Checks that the text is rejected at this place with a message that starts with this text. Without a line,
/// the place is empty.
#[track_caller]
fn assert_rejected(text: &str, place: (usize, usize), message: &str) {
    let shown = rejected(text).to_string();
    let expected = match place {
        (0, 0) => message.to_owned(),
        (line, column) => format!("line {line}, column {column}: {message}"),
    };
    assert!(shown.starts_with(&expected), "{shown}\nbut expected\n{expected}\nfor\n{text}");
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(shown.matches("policy \"p\":").count() < 2, "{shown}");
}

/// The text of a policy with these lines after its name, as lines 3 and following.
fn policy(lines: &str) -> String {
    format!("[[policy]]\nname = 'p'\n{lines}\n")
}

/// A policy with a limit and a window, and one more entry in line 5.
fn with(entry: &str) -> String {
    policy(&format!("limit = 5\nwindow = '1m'\n{entry}"))
}

#[test]
fn a_file_that_is_not_a_list_of_policies_is_rejected() {
    for (text, place, message) in [
        ("", (0, 0), "the file has no policy"),
        ("max_keys = 5\n", (0, 0), "the file has no policy"),
        ("policy = []\n", (0, 0), "the file has no policy"),
        ("[[policy]\n", (1, 10), ""),
        ("[[policy]]\nname = 'a'\nname = 'b'\n", (3, 1), "duplicate key"),
        (
            "limit = 1\n",
            (1, 1),
            "unknown entry \"limit\"; valid are [[policy]] tables, and max_keys",
        ),
        ("[policy]\nname = 'a'\n", (1, 2), "\"policy\" must be a list of tables"),
        ("policy = [1]\n", (1, 11), "\"policy\" must be a list of tables"),
    ] {
        assert_rejected(text, place, message);
    }
}

#[test]
fn each_entry_of_a_policy_is_checked() {
    let p = |message: &str| format!("policy \"p\": {message}");
    for (text, place, message) in [
        (policy("limt = 5"), (3, 1), p("unknown entry \"limt\"; valid entries are name, limit,")),
        (policy("window = '1m'"), (1, 1), p("\"limit\" is missing")),
        (policy("limit = 5"), (1, 1), p("\"window\" or \"calendar\" is missing")),
        (with("calendar = 'day'"), (5, 1), p("\"window\" and \"calendar\" exclude each other")),
        (
            policy("limit = -3\nwindow = '1m'"),
            (3, 9),
            p("\"limit\" is -3, but must be from 0 to 1099511627776"),
        ),
        (
            policy("limit = 99999999999999999999\nwindow = '1m'"),
            (3, 9),
            p("\"limit\" is 99999999999999999999, but must"),
        ),
        (
            policy("limit = 2000000000000\nwindow = '1m'"),
            (3, 9),
            p("\"limit\" is 2000000000000, but must be from 0 to 1099511627776"),
        ),
        (
            policy("limit = 1.5\nwindow = '1m'"),
            (3, 9),
            p("\"limit\" must be a whole number, but its type is float"),
        ),
        (policy("limit = 5\nwindow = 60"), (4, 10), p("\"window\" must be a string")),
        (
            policy("limit = 5\nwindow = '1 min'"),
            (4, 10),
            p("\"window\" is \"1 min\", but must be a"),
        ),
        (policy("limit = 5\nwindow = '0s'"), (4, 10), p("\"window\" is \"0s\"")),
        (policy("limit = 5\nwindow = '-1s'"), (4, 10), p("\"window\" is \"-1s\"")),
        (
            policy("limit = 5\nwindow = '500d'"),
            (4, 10),
            p("\"window\" is \"500d\", but must be from 1ms to 400d"),
        ),
        (policy("limit = 5\nwindow = '99999999999999999999d'"), (4, 10), p("\"window\" is \"9999")),
        (
            policy("limit = 5\ncalendar = 'week'"),
            (4, 12),
            p("\"calendar\" is \"week\", but must be \"hour\", \"day\" or \"month\""),
        ),
        (with("buckets = 128"), (5, 11), p("\"buckets\" is 128, but must be from 2 to 127")),
        (with("buckets = 0"), (5, 11), p("\"buckets\" is 0")),
        (with("buckets = 5000000000"), (5, 11), p("\"buckets\" is 5000000000, but must be from 2")),
        (
            policy("limit = 5\ncalendar = 'day'\nbuckets = 15"),
            (5, 1),
            p("\"buckets\" does not apply to \"calendar\""),
        ),
        (
            with("max_limit = 4"),
            (5, 13),
            p("max_limit 4 must be from the limit 5 to 1099511627776"),
        ),
        (with("max_limit = 'x'"), (5, 13), p("\"max_limit\" must be a whole number")),
        (with("offset_seconds = 60"), (5, 1), p("\"offset_seconds\" does not apply to \"window\"")),
        (
            policy("limit = 5\ncalendar = 'day'\noffset_seconds = -64801"),
            (5, 18),
            p("\"offset_seconds\" is -64801, but must be from -64800 to 64800"),
        ),
        (with("max_keys = 0"), (5, 12), p("\"max_keys\" is 0, but must be from 1")),
        (with("max_bytes = 0"), (5, 13), p("\"max_bytes\" is 0, but must be from 1")),
        (with("max_bytes = 1_000"), (5, 13), p("max_bytes 1000 must be at least ")),
        (
            with("overflow = 'drop'"),
            (5, 12),
            p("\"overflow\" is \"drop\", but must be \"deny\", \"allow\" or \"evict_lightest\""),
        ),
        (with("overflow = 'evict_lightest'"), (1, 1), p("\"allowance\" is missing")),
        (with("allowance = 1"), (5, 1), p("\"allowance\" applies only to overflow")),
        (
            with("allowance = 6\noverflow = 'evict_lightest'"),
            (5, 13),
            p("allowance 6 must be from 1 to 5"),
        ),
        (with("unit = ''"), (5, 8), p("\"unit\" is empty")),
    ] {
        assert_rejected(&text, place, &message);
    }
}

#[test]
fn names_are_checked() {
    let rest = "limit = 5\nwindow = '1m'\n";
    assert_rejected(&format!("\n[[policy]]\n{rest}"), (2, 1), "\"name\" is missing");
    let empty = format!("[[policy]]\nname = ''\n{rest}");
    assert_rejected(&empty, (2, 8), "policy \"\": \"name\" is empty");
    let text = format!("[[policy]]\nname = 'ü'\n{rest}");
    assert_rejected(
        &text,
        (2, 8),
        "policy \"ü\": \"name\" is \"ü\", but must have 1 to 64 characters",
    );
    let taken = "policy \"ip\": \"name\" is already used by the policy in line 1";
    assert_rejected(&format!("{POLICY}{POLICY}"), (7, 1), taken);
}

#[test]
fn the_number_of_policies_is_checked() {
    let numbered = |number| POLICY.replacen("\"ip\"", &format!("'p{number}'"), 1);
    let many = |count| (0..count).map(numbered).collect::<String>();
    assert_rejected(
        &many(17),
        (81, 1),
        "policy \"p16\": too many policies: at most 16 are allowed",
    );
    assert!(PolicyFile::parse(&many(16)).is_ok());
    let reserved = format!("{}estimate = 2\n", many(9));
    let message =
        "policy \"p8\": \"estimate\" is allowed in files with at most 8 policies, but this";
    assert_rejected(&reserved, (46, 12), message);
    assert!(PolicyFile::parse(&format!("{}estimate = 2\n", many(8))).is_ok());
}

#[test]
fn each_entry_above_the_policies_is_checked() {
    for (entry, column, message) in [
        ("max_keys = 0", 12, "\"max_keys\" is 0, but must be from 1"),
        ("max_bytes = true", 13, "\"max_bytes\" must be a whole number, but its type is boolean"),
        ("max_bytes = 1_000", 13, "max_bytes 1000 must be at least "),
        ("overflow = 'evict'", 12, "\"overflow\" is \"evict\", but must be \"deny\""),
        ("allowance = 2", 1, "\"allowance\" applies only to overflow"),
        (
            "overflow = 'evict_lightest'\nallowance = 6",
            13,
            "policy \"ip\": allowance 6 must be from 1",
        ),
    ] {
        let line = entry.lines().count();
        assert_rejected(&format!("{entry}\n{POLICY}"), (line, column), message);
    }
}

#[test]
fn each_entry_of_a_replay_is_checked() {
    let p = |message: &str| format!("policy \"p\": {message}");
    for (text, place, message) in [
        (with("cost = 0"), (5, 8), p("\"cost\" is 0")),
        (with("cost = []"), (5, 8), p("\"cost\" is empty")),
        (
            with("cost = [\n  'x',\n  true\n]"),
            (7, 3),
            p("\"cost\" must be a whole number, a field,"),
        ),
        (with("cost = true"), (5, 8), p("\"cost\" must be a whole number, a field, or a list")),
        (with("estimate = 0"), (5, 12), p("\"estimate\" is 0")),
        (with("estimate = -1"), (5, 12), p("\"estimate\" is -1")),
        (with("estimate = 1.5"), (5, 12), p("\"estimate\" must be a whole number, a field, or a")),
        (with("estimate = ''"), (5, 12), p("\"estimate\" is empty")),
        (with("estimate = []"), (5, 12), p("\"estimate\" is empty")),
        (with("estimate = ['bytes', 0]"), (5, 22), p("\"estimate\" is 0")),
        (
            with("estimate = ['b', ['b']]"),
            (5, 18),
            p("\"estimate\" must be a whole number, a field"),
        ),
        (
            with("estimate = [18446744073709551615, 1]"),
            (5, 35),
            p("the sum of the numbers in \"estimate\" exceeds 64 bits"),
        ),
        (
            with("key = 'ip'\naddress = 'yes'"),
            (6, 11),
            p("\"address\" must be true or false, but its type is string"),
        ),
        (with("key = 'ip'\nabsent = true"), (6, 10), p("\"absent\" must be a string, but its")),
        (with("key = 'ip'\nabsent = ''"), (6, 10), p("\"absent\" is empty")),
        (with("key = '*'\naddress = true"), (6, 1), p("\"address\" applies only if \"key\" is a")),
        (with("key = '*'\nabsent = 'ip'"), (6, 1), p("\"absent\" applies only if \"key\" is a")),
        (with("absent = 'ip'"), (5, 1), p("\"absent\" applies only if \"key\" is a field")),
    ] {
        assert_rejected(&text, place, &message);
    }
}

#[test]
fn each_entry_of_a_duration_is_checked() {
    let duration = |value: &str| format!("duration = {value}\n{}", with("estimate = 2"));
    for (value, column, message) in [
        ("''", 12, "\"duration\" is empty"),
        ("3", 12, "\"duration\" must be a field, or a table with \"field\" and \"unit\", but its"),
        ("['bytes']", 12, "\"duration\" must be a field, or a table"),
        ("{ unit = '1s' }", 12, "\"field\" is missing"),
        ("{ field = 'bytes' }", 12, "\"unit\" is missing"),
        ("{ field = 'b', unit = 5 }", 34, "\"unit\" must be a string"),
        (
            "{ field = 'b', unit = '0ms' }",
            34,
            "\"unit\" is \"0ms\", but must be a whole number with",
        ),
        ("{ field = 'b', unit = '1.5s' }", 34, "\"unit\" is \"1.5s\""),
        ("{ field = 'b', ms = 5 }", 27, "unknown entry \"ms\"; valid entries are field, unit"),
    ] {
        assert_rejected(&duration(value), (1, column), message);
    }
    let alone = format!("\nduration = 'bytes'\n{POLICY}");
    assert_rejected(&alone, (2, 1), "\"duration\" needs a policy with \"estimate\"");
}

#[test]
fn text_that_is_not_a_policy_file_is_rejected() {
    let error = PolicyFile::from_bytes(b"# \xc3\xa9\nab\xff\xfe").unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 3: the policy file is not UTF-8");
    for control in ["\0", "limit = 15_00\u{10}0_000\n", "name = \"\u{1b}\"\n"] {
        assert_rejected(&format!("[[policy]]\n{control}"), (0, 0), "");
    }
    for deep in ["[", "{a=", "[[a.", "a."] {
        let text = format!("x = {}", deep.repeat(200_000 / deep.len()));
        assert!(matches!(*rejected(&text).problem, Problem::Syntax(_)), "{deep}");
        assert_rejected(&deep.repeat(200_000 / deep.len()), (0, 0), "");
    }
}

#[test]
fn a_long_text_is_rejected_before_it_is_parsed() {
    let long = |length: usize| format!("{POLICY}#{}", "x".repeat(length - POLICY.len() - 1));
    assert!(PolicyFile::parse(&long(MAX_BYTES)).is_ok());
    let message = "the policy file has more than 1048576 bytes";
    assert_rejected(&long(MAX_BYTES + 1), (0, 0), message);
    let mut bytes = long(MAX_BYTES + 1).into_bytes();
    bytes[MAX_BYTES] = 0xff;
    assert_eq!(PolicyFile::from_bytes(&bytes).unwrap_err().to_string(), message);
}

#[test]
fn an_error_of_a_file_starts_with_its_path() {
    let missing = PolicyFile::read("no/such/file.toml").unwrap_err();
    assert!(missing.to_string().starts_with("no/such/file.toml: cannot be read: "), "{missing}");
    assert!(matches!(*missing.problem, Problem::Read(_)));
    // A file of the system that has no end.
    #[cfg(unix)]
    assert!(matches!(*PolicyFile::read("/dev/zero").unwrap_err().problem, Problem::TooLong));
    let error = rejected("limit = 1\n").in_file("p.toml");
    assert!(error.to_string().starts_with("p.toml:1:1: unknown entry \"limit\""), "{error}");
}

/// A program can act on the parts of an error without parsing its text.
#[test]
fn an_error_has_the_policy_the_entry_and_the_value() {
    let parts = |text: &str| {
        let error = rejected(text);
        let owned = |text: Option<&str>| text.unwrap_or("-").to_owned();
        [owned(error.location.policy.as_deref()), owned(error.entry()), owned(error.value())]
    };
    for (text, expected) in [
        (with("buckets = 0x80"), ["p", "buckets", "0x80"]),
        (with("overflow = 'drop'"), ["p", "overflow", "drop"]),
        (with("max_limit = 4"), ["p", "max_limit", "-"]),
        (with("windw = 4"), ["p", "windw", "-"]),
        (policy("limit = 5\nwindow = '500d'"), ["p", "window", "500d"]),
        (policy("limit = 5\nwindow = '5'"), ["p", "window", "5"]),
        (policy("limit = 5"), ["p", "window", "-"]),
        (format!("{POLICY}{POLICY}"), ["ip", "name", "ip"]),
        (format!("x = 1\n{POLICY}"), ["-", "x", "-"]),
        (format!("overflow = 'evict_lightest'\nallowance = 6\n{POLICY}"), ["ip", "allowance", "-"]),
    ] {
        assert_eq!(parts(&text), expected, "{text}");
    }
}
