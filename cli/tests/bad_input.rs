//! Bad policy files and logs: each problem is reported, either as an error with exit code 2 or as a
//! skipped line. Every run of the tool also checks that it does not panic.

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

/// Checks that a run failed with exit code 2 and a message that contains each part of `expected`.
#[track_caller]
fn assert_rejected(output: &Output, expected: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("tollgate: "), "{message}");
    for part in expected {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
}

/// Checks that a run succeeded and printed each part of `expected`.
#[track_caller]
fn assert_prints(output: &Output, expected: &[&str]) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in expected {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

/// The tests of the crate `tollgate-policy-file` check each entry. These are one of each kind.
#[test]
fn bad_policy_files_are_rejected_with_line_and_column() {
    let base = "[[policy]]\nname = 'p'\nkey = 'ip'\nlimit = 5\nwindow = '1m'\n";
    let cases: Vec<(String, &str)> = vec![
        ("".into(), ": the file has no policy"),
        ("[[policy]\n".into(), ":1:10: "),
        ("limit = 1\n".into(), ":1:1: unknown entry \"limit\""),
        (base.replace("limit", "limt"), ":4:1: policy \"p\": unknown entry \"limt\""),
        (base.replace("'1m'", "60"), ":5:10: policy \"p\": \"window\" must be a string"),
        (
            format!("{base}max_bytes = 1000\n"),
            ":6:13: policy \"p\": max_bytes 1000 must be at least",
        ),
        (
            format!("{POLICY}{POLICY}"),
            ":7:1: policy \"ip\": \"name\" is already used by the policy in line 1",
        ),
        (
            format!("duration = 'bytes'\n{base}"),
            ":1:1: \"duration\" needs a policy with \"estimate\"",
        ),
    ];
    let folder = Folder::new();
    let log = folder.file("access.log", GOOD);
    for (text, expected) in cases {
        let policy = folder.file("p.toml", &text);
        let expected = format!("tollgate: {}{expected}", policy.display());
        assert_rejected(&replay(&policy, &log, &[]), &[&expected]);
        assert_rejected(&tool(&[Path::new("check"), &policy], b""), &[&expected]);
    }
}

#[test]
fn policies_that_do_not_match_the_log_are_rejected_with_line_and_column() {
    let policy = |entries: &str| {
        format!("[[policy]]\nname = 'p'\nlimit = 5\nwindow = '1m'\nestimate = 2\n{entries}\n")
    };
    let ip = |entries: &str| policy(&format!("key = 'ip'\n{entries}"));
    let cases: Vec<(String, &[&str])> = vec![
        (policy(""), &[":1:1: policy \"p\": \"key\" is missing: a replay needs"]),
        (
            policy("key = 'tenant'"),
            &[":6:7: policy \"p\": \"key\" is \"tenant\"", "ip, user, path, status, bytes"],
        ),
        (
            ip("absent = 'tenant'"),
            &[":7:10: policy \"p\": \"absent\" is \"tenant\", which is not a field of the log"],
        ),
        (
            ip("cost = ['bytes', 'size']"),
            &[":7:8: policy \"p\": \"cost\" is \"size\"", "ip, user, path, status, bytes"],
        ),
        (
            ip("").replace("estimate = 2", "estimate = ['bytes', 'tokens', 7]"),
            &[":5:12: policy \"p\": \"estimate\" is \"tokens\""],
        ),
        (
            format!("duration = 'took'\n{}", ip("")),
            &[":1:12: \"duration\" is \"took\"", "ip, user, path, status, bytes"],
        ),
        (
            format!("duration = {{ field = 'took', unit = '1s' }}\n{}", ip("")),
            &[":1:12: \"duration\" is \"took\""],
        ),
    ];
    let folder = Folder::new();
    let log = folder.file("access.log", GOOD);
    for (text, expected) in cases {
        let policy = folder.file("p.toml", &text);
        let output = replay(&policy, &log, &[]);
        println!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
        assert_rejected(&output, &["p.toml:"]);
        assert_rejected(&output, expected);
        // The file is valid: only this log does not have the fields.
        assert_prints(&tool(&[Path::new("check"), &policy], b""), &["p.toml: 1 policy\n"]);
    }
}

/// Eight policies are allowed if one has an estimate, and nine if none has one.
#[test]
fn as_many_policies_as_a_request_can_charge_are_replayed() {
    let numbered = |number| POLICY.replacen("\"ip\"", &format!("'p{number}'"), 1);
    let many = |count| (0..count).map(numbered).collect::<String>();
    let folder = Folder::new();
    let log = folder.file("access.log", GOOD);
    for text in [many(8) + "estimate = 2\n", many(9), many(16)] {
        assert_prints(&replay(&folder.file("p.toml", text), &log, &[]), &["\nall "]);
    }
    let policy = folder.file("p.toml", many(9) + "estimate = 2\n");
    assert_rejected(
        &replay(&policy, &log, &[]),
        &["\"estimate\" is allowed in files with at most 8"],
    );
}

#[test]
fn unreadable_policy_files_are_rejected() {
    let folder = Folder::new();
    let log = folder.file("access.log", GOOD);
    let binary = folder.file("p.toml", b"a\n\xff\xfe");
    for run in [
        |policy: &Path, log: &Path| replay(policy, log, &[]),
        |policy: &Path, _: &Path| tool(&[Path::new("check"), policy], b""),
    ] {
        assert_rejected(&run(&binary, &log), &["p.toml:2:1: the policy file is not UTF-8"]);
        assert_rejected(&run(&folder.path("none.toml"), &log), &["none.toml: cannot be read"]);
        assert_rejected(&run(&folder.path(""), &log), &["cannot be read"]);
    }
}

#[test]
fn unreadable_logs_are_rejected() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let log = |name: &str, content: &[u8]| replay(&policy, &folder.file(name, content), &[]);
    assert_rejected(
        &replay(&policy, &folder.path("none.log"), &[]),
        &["none.log: cannot be opened"],
    );
    assert_rejected(&replay(&policy, &folder.path(""), &[]), &["is a directory"]);
    assert_rejected(&log("empty.log", b""), &["empty.log: the log is empty"]);
    assert_rejected(&log("blank.log", b"\n\n \n"), &["blank.log: no line could be read"]);
    assert_rejected(
        &log("header.csv", b"time,ip\n"),
        &["header.csv: no line could be read", "no requests"],
    );
    let garbage: Vec<u8> =
        (0..40_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_rejected(
        &log("garbage.log", &garbage),
        &["garbage.log: no line could be read", "line 1: "],
    );
    assert_rejected(&log("steered.log", b"\x1b[2J\x07\n"), &["\\u{1b}[2J\\u{7}"]);
}

#[test]
fn truncated_and_damaged_gzip_is_rejected() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(GOOD.repeat(2_000).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    for length in [2, 9, 15, gzip.len() / 2, gzip.len() - 5, gzip.len() - 1] {
        let log = folder.file("cut.log.gz", &gzip[..length]);
        assert_rejected(&replay(&policy, &log, &[]), &["cut.log.gz: the gzip data is truncated"]);
    }
    let mut damaged = gzip.clone();
    let middle = damaged.len() - 6;
    damaged[middle] ^= 0xff;
    let log = folder.file("damaged.log.gz", &damaged);
    assert_rejected(&replay(&policy, &log, &[]), &["damaged.log.gz: the gzip data cannot be read"]);
}

#[test]
fn a_log_without_read_permission_is_rejected() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let log = folder.file("secret.log", GOOD);
    std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&log).is_ok() {
        println!("skipped: this user can read every file");
        return;
    }
    assert_rejected(&replay(&policy, &log, &[]), &["secret.log: cannot be opened", "ermission"]);
}

#[test]
fn invalid_options_are_rejected() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let log = folder.file("access.log", GOOD);
    let csv = folder.file("access.csv", "at,ip\n2020-01-01 00:00:00,192.0.2.1\n");
    assert_rejected(
        &replay(&policy, &csv, &["--time", "when"]),
        &["access.csv: has no column \"when\"", "at, ip"],
    );
    assert_rejected(&replay(&policy, &log, &["--time", "at", "--format", "clf"]), &["--time"]);
    assert_rejected(
        &replay(&policy, &log, &["--decisions", log.to_str().unwrap()]),
        &["access.log: is an input"],
    );
    assert_rejected(
        &replay(&policy, &log, &["--decisions", "/no/such/folder/d.csv"]),
        &["/no/such/folder/d.csv: cannot be written"],
    );
    assert_rejected(
        &replay(&policy, &log, &["--report", "/no/such/folder/r.html"]),
        &["/no/such/folder/r.html: cannot be written"],
    );
    let twice = folder.file("twice.csv", "at,ip,ip\n2020-01-01 00:00:00,a,b\n");
    assert_rejected(&replay(&policy, &twice, &[]), &["p.toml:3:7: ", "more than one column"]);
    let one = folder.path("one");
    let one = one.to_str().unwrap();
    assert_rejected(
        &replay(&policy, &log, &["--decisions", one, "--report", one]),
        &["choose two files"],
    );
    assert_rejected(&tool(&[Path::new("replay"), Path::new("--policy"), &policy], b""), &["<LOG>"]);
    assert_rejected(&replay(&policy, &log, &["--sample"]), &["--sample"]);
    assert_rejected(&replay(&policy, &log, &["--format", "xml"]), &["xml", "clf, csv"]);
}

#[test]
fn a_full_disk_is_reported() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: no /dev/full");
        return;
    }
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let log = folder.file("access.log", GOOD);
    assert_rejected(
        &replay(&policy, &log, &["--decisions", "/dev/full"]),
        &["/dev/full: cannot be written"],
    );
}

#[test]
fn bad_lines_are_counted_and_reported() {
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
    assert_prints(
        &output,
        &[
            "skipped   5 of 7 lines could not be read",
            "line 1: the [time] is missing",
            "line 3: the line is longer than 1 MiB: 192.0.2.9 xxx",
            "line 4: the time \"01/Jan/1960:00:00:00 +0000\" is before 1970",
            "and 2 more",
        ],
    );
    let lines: Vec<u64> =
        rows(&std::fs::read_to_string(&out).unwrap()).iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 7]);
}

#[test]
fn unusual_access_log_lines_are_read_or_reported() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", POLICY);
    let read = [
        "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] \"\\x16\\x03\\x01\" 400 157 \"-\" \"-\"",
        "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] \"\" 400 0",
        "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /a HTTP/1.1\" - -",
        "- - - [10/Oct/2026:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 12",
        "192.0.2.1 - a@b.example [10/Oct/2026:13:55:36 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"[x]\"",
        "2001:db8::1 - - [31/Dec/2016:23:59:60 +0000] \"GET /a HTTP/1.1\" 200 12",
    ];
    let reported = [
        "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /?a=\"b\" HTTP/1.1\" 200 12",
        "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000]  \"GET /a HTTP/1.1\" 200 12",
        " 192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 12",
        "192.0.2.1 - jo [x] [10/Oct/2026:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 12",
        "192.0.2.1 - - [10/Okt/2026:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 12",
        "192.0.2.1 - - [10/Oct/2026:13:55:36 GMT] \"GET /a HTTP/1.1\" 200 12",
        "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] \"GET /a HTTP/1.1\" 200 12,5",
    ];
    let log = [&read[..], &reported].concat().join("\n");
    let output = replay(&policy, &folder.file("odd.log", log), &[]);
    assert_prints(&output, &["skipped   7 of 13 lines could not be read", "line 7: the status"]);
    let ragged = "time,ip,agent\n2026-10-10T13:55:36Z,192.0.2.1,a (b, c)\n2026-10-10T13:55:37Z,192.0.2.1,x\n";
    let output = replay(&policy, &folder.file("ragged.csv", ragged), &[]);
    assert_prints(
        &output,
        &["line 2: 4 fields, but the header has 3: 2026-10-10T13:55:36Z,192.0.2.1,a (b, c)\n"],
    );
}

#[test]
fn bad_csv_records_are_counted_and_reported() {
    let folder = Folder::new();
    let text = "[[policy]]\nname = 'p'\nkey = '*'\ncost = ['a', 'b']\nlimit = 5\nwindow = '1m'\n";
    let policy = folder.file("p.toml", text);
    let head = "time,a,b\n2020-01-01 00:00:00,1,-\n";
    let cases = [
        (
            "2020-01-01 00:00:00,\"1\"\n",
            "line 3: 2 fields, but the header has 3: 2020-01-01 00:00:00,1\n",
        ),
        ("2020-01-01 00:00:00,1,2,3\n", "line 3: 4 fields, but the header has 3"),
        (
            "2020-01-01 00:00:00,x,2\n",
            "line 3: the cost \"a\" is not a whole number: \"x\": 2020-01-01 00:00:00,x,2\n",
        ),
        ("2020-01-01 00:00:00,1,-2\n", "line 3: the cost \"b\" is not a whole number: \"-2\""),
        ("2020-01-01 00:00:00,1,0.5\n", "line 3: the cost \"b\" is not a whole number: \"0.5\""),
        ("2020-01-01 00:00:00,1,99999999999999999999\n", "line 3: the cost \"b\" is not"),
        (
            "2020-01-01 00:00:00,1,18446744073709551615\n",
            "line 3: the sum of the costs exceeds 64 bits",
        ),
        ("2501-01-01 00:00:00,1,1\n", "line 3: the time \"2501-01-01 00:00:00\" is after 2500"),
        ("soon,1,1\n", "line 3: the time \"soon\" cannot be read: soon,1,1\n"),
        (
            "2020-01-01 00:00:00,1,\"open\n2020-01-01 00:00:00,1,1\n",
            "line 3: a quote is not closed before the end of the log: 2020-01-01 00:00:00,1,\"open\\n2020-01-01 00:00:00,1,1\\n\n",
        ),
    ];
    for (line, expected) in cases {
        let log = folder.file("log.csv", format!("{head}{line}"));
        assert_prints(
            &replay(&policy, &log, &[]),
            &["skipped   1 of 2 lines could not be read", expected],
        );
    }
    let text = "duration = 'took'\n[[policy]]\nname = 'p'\nkey = '*'\ncost = 'a'\nestimate = ['b', 2]\nlimit = 5\nwindow = '1m'\n";
    let reserving = folder.file("reserving.toml", text);
    let head = "time,a,b,took\n2020-01-01 00:00:00,1,-,-\n";
    let cases = [
        ("1,x,1", "line 3: the estimate \"b\" is not a whole number: \"x\""),
        ("x,1,1", "line 3: the cost \"a\" is not a whole number: \"x\""),
        ("1,18446744073709551614,1", "line 3: the sum of the estimates exceeds 64 bits"),
        ("1,1,soon", "line 3: the duration \"took\" is not a decimal number: \"soon\""),
        ("1,1,-1", "line 3: the duration \"took\" is not a decimal number: \"-1\""),
        ("1,1,1 s", "line 3: the duration \"took\" is not a decimal number: \"1 s\""),
    ];
    for (fields, expected) in cases {
        let log = folder.file("log.csv", format!("{head}2020-01-01 00:00:00,{fields}\n"));
        let skipped = "skipped   1 of 2 lines could not be read";
        assert_prints(&replay(&reserving, &log, &[]), &[skipped, expected]);
    }
    // No line has a valid cost, so there is nothing to decide.
    let log = folder.file("log.csv", "time,a,b\n2020-01-01 00:00:00,x,y\n");
    assert_rejected(&replay(&policy, &log, &[]), &["no line could be read", "the cost \"a\""]);
}

#[test]
fn noise_between_good_lines_is_skipped() {
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
    assert_prints(
        &replay(&policy, &log, &[]),
        &["of 771 lines could not be read", "\nall                    2 "],
    );
}
