//! Whatever is wrong with a policy file or a log is named, with exit code 2 or in the count of
//! skipped lines. That nothing panics is checked on every run of the tool.

mod support;

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::path::Path;
use std::process::Output;
use support::{Folder, rows, tool};

const POLICY: &str = "[[policy]]\nname = \"ip\"\nkey = \"ip\"\nlimit = 5\nwindow = \"1m\"\n";
const GOOD: &str = "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 12\n";

fn replay(policy: &Path, log: &Path, more: &[&str]) -> Output {
    let mut arguments = vec![Path::new("replay"), Path::new("--policy"), policy, log];
    arguments.extend(more.iter().map(Path::new));
    tool(&arguments, b"")
}

/// Checks that a run failed with exit code 2 and a message that holds all of these.
#[track_caller]
fn refused(output: &Output, wanted: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("tollgate: "), "{message}");
    for part in wanted {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
}

/// Checks that a run went well and printed all of these.
#[track_caller]
fn printed(output: &Output, wanted: &[&str]) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in wanted {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn policy_files() {
    let base = "name = 'p'\nkey = 'ip'\n";
    let numbered = |number| POLICY.replacen("\"ip\"", &format!("'p{number}'"), 1);
    let many: String = (0..17).map(numbered).collect();
    let cases: Vec<(String, &[&str])> = vec![
        ("".into(), &["p.toml: has no [[policy]]"]),
        ("[[policy]\n".into(), &["p.toml:1: "]),
        ("[[policy]]\nname = 'a'\nname = 'b'\n".into(), &["p.toml:3: ", "duplicate key"]),
        ("limit = 1\n".into(), &["p.toml:1: unknown entry \"limit\""]),
        ("[policy]\nname = 'a'\n".into(), &["p.toml:1: ", "[[policy]]"]),
        ("policy = [1]\n".into(), &["p.toml:1: ", "[[policy]]"]),
        (
            format!("[[policy]]\n{base}limt = 5\nwindow = '1m'\n"),
            &[":4: policy \"p\": unknown entry \"limt\""],
        ),
        (
            "\n[[policy]]\nkey = 'ip'\nlimit = 5\nwindow = '1m'\n".into(),
            &[":2: \"name\" is missing"],
        ),
        (
            "[[policy]]\nname = 'p'\nlimit = 5\nwindow = '1m'\n".into(),
            &[":1: policy \"p\": \"key\" is missing"],
        ),
        (format!("[[policy]]\n{base}window = '1m'\n"), &[":1: policy \"p\": \"limit\" is missing"]),
        (
            format!("[[policy]]\n{base}limit = 5\n"),
            &[":1: ", "\"window\" or \"calendar\" is missing"],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '1m'\ncalendar = 'day'\n"),
            &[":6: ", "exclude each other"],
        ),
        (format!("[[policy]]\n{base}limit = 0\nwindow = '1m'\n"), &[":4: ", "\"limit\" is 0"]),
        (format!("[[policy]]\n{base}limit = -3\nwindow = '1m'\n"), &[":4: ", "\"limit\" is -3"]),
        (
            format!("[[policy]]\n{base}limit = 99999999999999999999\nwindow = '1m'\n"),
            &[":4: ", "\"limit\" is 99999999999999999999"],
        ),
        (
            format!("[[policy]]\n{base}limit = 2000000000000\nwindow = '1m'\n"),
            &[":1: policy \"p\": ", "limit 2000000000000"],
        ),
        (
            format!("[[policy]]\n{base}limit = 1.5\nwindow = '1m'\n"),
            &[":4: ", "\"limit\" must be a whole number", "float"],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = 60\n"),
            &[":5: ", "\"window\" must be a text"],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '1 min'\n"),
            &[":5: ", "\"window\" is \"1 min\""],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '0s'\n"),
            &[":5: ", "\"window\" is \"0s\""],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '-1s'\n"),
            &[":5: ", "\"window\" is \"-1s\""],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '401d'\n"),
            &[":1: policy \"p\": ", "window"],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '99999999999999999999d'\n"),
            &[":5: ", "\"window\""],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\ncalendar = 'week'\n"),
            &[":5: ", "\"calendar\" is \"week\""],
        ),
        (
            format!("[[policy]]\n{base}limit = 500\nwindow = '1m'\nbuckets = 128\n"),
            &[":1: policy \"p\": ", "buckets 128"],
        ),
        (
            format!("[[policy]]\n{base}limit = 500\nwindow = '1m'\nbuckets = 0\n"),
            &[":6: ", "\"buckets\" is 0"],
        ),
        (
            format!("[[policy]]\n{base}limit = 500\nwindow = '1m'\nbuckets = 5000000000\n"),
            &[":6: ", "\"buckets\" is 5000000000"],
        ),
        (
            format!("[[policy]]\n{base}limit = 500\ncalendar = 'day'\nbuckets = 15\n"),
            &[":6: ", "\"buckets\""],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '1m'\ncost = 0\n"),
            &[":6: ", "\"cost\" is 0"],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '1m'\ncost = []\n"),
            &[":6: ", "\"cost\" is empty"],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '1m'\ncost = [true]\n"),
            &[":6: ", "\"cost\" must be"],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '1m'\ncost = true\n"),
            &[":6: ", "\"cost\" must be"],
        ),
        (
            format!("[[policy]]\n{base}limit = 5\nwindow = '1m'\ncost = 'size'\n"),
            &[":6: ", "\"cost\" is \"size\"", "ip, user, path, status, bytes"],
        ),
        (
            "[[policy]]\nname = 'p'\nkey = 'tenant'\nlimit = 5\nwindow = '1m'\n".into(),
            &[":3: policy \"p\": \"key\" is \"tenant\"", "ip, user, path, status, bytes"],
        ),
        (
            "[[policy]]\nname = ''\nkey = '*'\nlimit = 5\nwindow = '1m'\n".into(),
            &[":2: ", "\"name\" is empty"],
        ),
        ("[[policy]]\nname = 'ü'\nkey = '*'\nlimit = 5\nwindow = '1m'\n".into(), &[":1: ", "name"]),
        (
            format!("{POLICY}{POLICY}"),
            &[":7: policy \"ip\": \"name\" is taken by the policy in line 1"],
        ),
        (many, &[":81: ", "at most 16"]),
    ];
    let folder = Folder::new();
    let log = folder.file("access.log", GOOD);
    for (text, wanted) in cases {
        let policy = folder.file("p.toml", &text);
        let output = replay(&policy, &log, &[]);
        println!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
        refused(&output, &["p.toml"]);
        refused(&output, wanted);
    }
}

#[test]
fn policy_files_that_reserve() {
    let base = "name = 'p'\nkey = 'ip'\nlimit = 5\nwindow = '1m'\n";
    let estimate = |value: &str| format!("[[policy]]\n{base}estimate = {value}\n");
    let duration = |value: &str| format!("duration = {value}\n{}", estimate("2"));
    let numbered = |number| POLICY.replacen("\"ip\"", &format!("'p{number}'"), 1);
    let nine = |reserved: &str| format!("{}{reserved}", (0..8).map(numbered).collect::<String>());
    let cases: Vec<(String, &[&str])> = vec![
        (estimate("0"), &["p.toml:6: policy \"p\": \"estimate\" is 0"]),
        (estimate("-1"), &[":6: ", "\"estimate\" is -1"]),
        (estimate("1.5"), &[":6: ", "\"estimate\" must be a whole number, a field, or a list"]),
        (estimate("true"), &[":6: ", "\"estimate\" must be", "boolean"]),
        (estimate("''"), &[":6: ", "\"estimate\" is empty"]),
        (estimate("[]"), &[":6: ", "\"estimate\" is empty"]),
        (estimate("['bytes', 0]"), &[":6: ", "\"estimate\" is 0"]),
        (estimate("['bytes', ['bytes']]"), &[":6: ", "\"estimate\" must be", "array"]),
        (
            estimate("[18446744073709551615, 1]"),
            &[":6: ", "\"estimate\" adds up to more than 64 bits hold"],
        ),
        (
            estimate("['bytes', 'tokens', 7]"),
            &[":6: policy \"p\": \"estimate\" is \"tokens\"", "ip, user, path, status, bytes"],
        ),
        (nine(&estimate("2")), &[":46: policy \"p\": \"estimate\" is for files of at most 8 "]),
        (duration("'took'"), &[":1: \"duration\" is \"took\"", "ip, user, path, status, bytes"]),
        (duration("''"), &[":1: \"duration\" is empty"]),
        (duration("3"), &[":1: \"duration\" must be a field, or a table", "integer"]),
        (duration("['bytes']"), &[":1: \"duration\" must be a field, or a table", "array"]),
        (duration("{ unit = '1s' }"), &[":1: \"field\" is missing"]),
        (duration("{ field = 'bytes' }"), &[":1: \"unit\" is missing"]),
        (duration("{ field = 'bytes', unit = 5 }"), &[":1: \"unit\" must be a text"]),
        (duration("{ field = 'bytes', unit = '0ms' }"), &[":1: \"unit\" is \"0ms\"", "20ms"]),
        (duration("{ field = 'bytes', unit = '1.5s' }"), &[":1: \"unit\" is \"1.5s\""]),
        (duration("{ field = 'bytes', ms = 5 }"), &[":1: unknown entry \"ms\"", "field, unit"]),
        (duration("{ field = 'took', unit = '1s' }"), &[":1: \"duration\" is \"took\""]),
        (format!("[duration]\nunit = '1s'\n\n{}", estimate("2")), &["\"field\" is missing"]),
        (
            format!("\nduration = 'bytes'\n{POLICY}"),
            &[":2: \"duration\" is for policies with \"estimate\", and there is none"],
        ),
    ];
    let folder = Folder::new();
    let log = folder.file("access.log", GOOD);
    for (text, wanted) in cases {
        let policy = folder.file("p.toml", &text);
        let output = replay(&policy, &log, &[]);
        println!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
        refused(&output, &["p.toml"]);
        refused(&output, wanted);
    }
    // Eight layers can be reserved, and nine without an estimate charged.
    let eight = (1..8).map(numbered).collect::<String>() + &estimate("2");
    for text in [eight, nine(POLICY)] {
        let output = replay(&folder.file("p.toml", text), &log, &[]);
        printed(&output, &["\nall "]);
    }
}

#[test]
fn policy_files_that_are_no_text() {
    let folder = Folder::new();
    let log = folder.file("access.log", GOOD);
    let binary = folder.file("p.toml", b"a\n\xff\xfe");
    refused(&replay(&binary, &log, &[]), &["p.toml:2: is not UTF-8"]);
    refused(&replay(&folder.path("none.toml"), &log, &[]), &["none.toml: cannot be read"]);
    refused(&replay(&folder.path(""), &log, &[]), &["cannot be read"]);
}

#[test]
fn logs_that_cannot_be_read() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let log = |name: &str, content: &[u8]| replay(&policy, &folder.file(name, content), &[]);
    refused(&replay(&policy, &folder.path("none.log"), &[]), &["none.log: cannot be opened"]);
    refused(&replay(&policy, &folder.path(""), &[]), &["is a directory"]);
    refused(&log("empty.log", b""), &["empty.log: is empty"]);
    refused(&log("blank.log", b"\n\n \n"), &["blank.log: not one line could be read"]);
    refused(
        &log("header.csv", b"time,ip\n"),
        &["header.csv: not one line could be read", "nothing after the header"],
    );
    let garbage: Vec<u8> =
        (0..40_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    refused(
        &log("garbage.log", &garbage),
        &["garbage.log: not one line could be read", "line 1: "],
    );
    refused(&log("steered.log", b"\x1b[2J\x07\n"), &["\\u{1b}[2J\\u{7}"]);
}

#[test]
fn broken_gzip() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(GOOD.repeat(2_000).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    for length in [2, 9, 15, gzip.len() / 2, gzip.len() - 5, gzip.len() - 1] {
        let log = folder.file("cut.log.gz", &gzip[..length]);
        refused(&replay(&policy, &log, &[]), &["cut.log.gz: the gzip data is truncated"]);
    }
    let mut damaged = gzip.clone();
    let middle = damaged.len() - 6;
    damaged[middle] ^= 0xff;
    let log = folder.file("damaged.log.gz", &damaged);
    refused(&replay(&policy, &log, &[]), &["damaged.log.gz: the gzip data cannot be read"]);
}

#[test]
fn no_permission() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let log = folder.file("secret.log", GOOD);
    std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&log).is_ok() {
        println!("skipped: this user may read every file");
        return;
    }
    refused(&replay(&policy, &log, &[]), &["secret.log: cannot be opened", "ermission"]);
}

#[test]
fn options_that_do_not_go_together() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let log = folder.file("access.log", GOOD);
    let csv = folder.file("access.csv", "at,ip\n2020-01-01 00:00:00,192.0.2.1\n");
    refused(
        &replay(&policy, &csv, &["--time", "when"]),
        &["access.csv: has no column \"when\"", "at, ip"],
    );
    refused(&replay(&policy, &log, &["--time", "at", "--format", "clf"]), &["--time"]);
    refused(
        &replay(&policy, &log, &["--decisions", log.to_str().unwrap()]),
        &["access.log: is one of the inputs"],
    );
    refused(
        &replay(&policy, &log, &["--decisions", "/no/such/folder/d.csv"]),
        &["/no/such/folder/d.csv: cannot be written"],
    );
    refused(
        &replay(&policy, &log, &["--report", "/no/such/folder/r.html"]),
        &["/no/such/folder/r.html: cannot be written"],
    );
    let twice = folder.file("twice.csv", "at,ip,ip\n2020-01-01 00:00:00,a,b\n");
    refused(&replay(&policy, &twice, &[]), &["p.toml:3: ", "more than one column"]);
    let one = folder.path("one");
    let one = one.to_str().unwrap();
    refused(&replay(&policy, &log, &["--decisions", one, "--report", one]), &["cannot hold both"]);
    refused(&tool(&[Path::new("replay"), Path::new("--policy"), &policy], b""), &["<LOG>"]);
    refused(&replay(&policy, &log, &["--sample"]), &["--sample"]);
    refused(&replay(&policy, &log, &["--format", "xml"]), &["xml", "clf, csv"]);
}

#[test]
fn full_disk() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: no /dev/full");
        return;
    }
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let log = folder.file("access.log", GOOD);
    refused(
        &replay(&policy, &log, &["--decisions", "/dev/full"]),
        &["/dev/full: cannot be written"],
    );
}

#[test]
fn bad_lines_are_counted_and_shown() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let long = format!("192.0.2.9 {}\n", "x".repeat(10_000_000));
    let bad = [
        "a line of prose\n",
        long.as_str(),
        "192.0.2.9 - - [01/Jan/1960:00:00:00 +0000] \"-\" 400 0\n",
        "192.0.2.9 - - [01/Jan/2600:00:00:00 +0000] \"-\" 400 0\n",
        "192.0.2.9 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" OK 12\n",
    ];
    let text = format!("{}{GOOD}{}{GOOD}", bad[0], bad[1..].concat());
    let out = folder.path("d.csv");
    let log = folder.file("mixed.log", text);
    let output = replay(&policy, &log, &["--decisions", out.to_str().unwrap()]);
    printed(
        &output,
        &[
            "skipped   5 of 7 lines could not be read",
            "line 1: there is no ",
            "line 3: line too long: over 1 MiB: 192.0.2.9 xxx",
            "line 4: the time \"01/Jan/1960:00:00:00 +0000\" is before 1970",
            "and 2 more",
        ],
    );
    let lines: Vec<u64> =
        rows(&std::fs::read_to_string(&out).unwrap()).iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 7]);
}

#[test]
fn bad_records_are_counted_and_shown() {
    let folder = Folder::new();
    let text = "[[policy]]\nname = 'p'\nkey = '*'\ncost = ['a', 'b']\nlimit = 5\nwindow = '1m'\n";
    let policy = folder.file("p.toml", text);
    let head = "time,a,b\n2020-01-01 00:00:00,1,-\n";
    let cases = [
        ("2020-01-01 00:00:00,1\n", "line 3: 2 fields, where the header has 3"),
        ("2020-01-01 00:00:00,1,2,3\n", "line 3: 4 fields, where the header has 3"),
        (
            "2020-01-01 00:00:00,x,2\n",
            "line 3: the cost \"a\" is not a whole number: \"x\": 2020-01-01 00:00:00 x 2",
        ),
        ("2020-01-01 00:00:00,1,-2\n", "line 3: the cost \"b\" is not a whole number: \"-2\""),
        ("2020-01-01 00:00:00,1,\n", "line 3: the cost \"b\" is not a whole number: \"\""),
        ("2020-01-01 00:00:00,1,99999999999999999999\n", "line 3: the cost \"b\" is not"),
        ("2020-01-01 00:00:00,1,18446744073709551615\n", "line 3: the costs add up to more"),
        ("2501-01-01 00:00:00,1,1\n", "line 3: the time \"2501-01-01 00:00:00\" is after 2500"),
        ("soon,1,1\n", "line 3: the time \"soon\" cannot be read"),
        ("2020-01-01 00:00:00,1,\"open\n2020-01-01 00:00:00,1,1\n", "line 3: a quote is open"),
    ];
    for (line, wanted) in cases {
        let log = folder.file("log.csv", format!("{head}{line}"));
        printed(&replay(&policy, &log, &[]), &["skipped   1 of 2 lines could not be read", wanted]);
    }
    let text = "duration = 'took'\n[[policy]]\nname = 'p'\nkey = '*'\ncost = 'a'\nestimate = ['b', 2]\nlimit = 5\nwindow = '1m'\n";
    let reserving = folder.file("reserving.toml", text);
    let head = "time,a,b,took\n2020-01-01 00:00:00,1,-,-\n";
    let cases = [
        ("1,x,1", "line 3: the estimate \"b\" is not a whole number: \"x\""),
        ("x,1,1", "line 3: the cost \"a\" is not a whole number: \"x\""),
        ("1,18446744073709551614,1", "line 3: the estimates add up to more"),
        ("1,1,soon", "line 3: the duration \"took\" is not a decimal number: \"soon\""),
        ("1,1,-1", "line 3: the duration \"took\" is not a decimal number: \"-1\""),
        ("1,1,", "line 3: the duration \"took\" is not a decimal number: \"\""),
    ];
    for (fields, wanted) in cases {
        let log = folder.file("log.csv", format!("{head}2020-01-01 00:00:00,{fields}\n"));
        let skipped = "skipped   1 of 2 lines could not be read";
        printed(&replay(&reserving, &log, &[]), &[skipped, wanted]);
    }
    // Not numbers at all: nothing can be decided.
    let log = folder.file("log.csv", "time,a,b\n2020-01-01 00:00:00,x,y\n");
    refused(&replay(&policy, &log, &[]), &["not one line could be read", "the cost \"a\""]);
}

#[test]
fn a_log_of_nothing_but_noise_between_good_lines() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let mut log = GOOD.as_bytes().to_vec();
    let mut state = 1_u64;
    for _ in 0..200_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        log.push((state >> 33) as u8);
    }
    log.extend(b"\n\xff\xfe - \xff [10/Oct/2000:13:55:36 -0700] \"\xff\xff\" 200 12\n");
    let log = folder.file("noise.log", log);
    printed(
        &replay(&policy, &log, &[]),
        &["of 771 lines could not be read", "\nall                    2 "],
    );
}
