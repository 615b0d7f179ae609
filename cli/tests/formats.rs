//! Every format and every source of a log gives the same requests.

mod support;

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Folder, Row, decisions, rows, tool};

fn policy(key: &str) -> String {
    format!("[[policy]]\nname = 'p'\nkey = '{key}'\nlimit = 1\nwindow = '1m'\n")
}

fn row(line: u64, time: &str, wait_ms: i64) -> Row {
    let (verdict, policy) = if wait_ms == 0 { ("admit", "") } else { ("deny", "p") };
    Row {
        line,
        time: time.to_owned(),
        verdict: verdict.to_owned(),
        policy: policy.to_owned(),
        retry_after_ms: wait_ms,
        dry_run: String::new(),
    }
}

fn replayed(log: impl AsRef<[u8]>, key: &str, more: &[&str]) -> Vec<Row> {
    let folder = Folder::new();
    decisions(&policy(key), &folder.file("log", log), more)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

const COMMON: &str = "\
192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 2326
192.0.2.1 - - [10/Oct/2000:22:55:50 +0200] \"GET /b HTTP/1.0\" 200 -
192.0.2.2 - frank [10/Oct/2000:20:55:00 +0000] \"GET /a?x=1 HTTP/1.0\" 304 - \"-\" \"agent\"
";

/// The decisions on COMMON with one key per address. The third line is the earliest.
fn common_rows() -> Vec<Row> {
    vec![
        row(3, "2000-10-10T20:55:00Z", 0),
        row(1, "2000-10-10T20:55:36Z", 0),
        row(2, "2000-10-10T20:55:50Z", 46_000),
    ]
}

#[test]
fn clf_lines_are_ordered_by_utc_time() {
    assert_eq!(replayed(COMMON, "ip", &[]), common_rows());
    assert_eq!(replayed(COMMON, "ip", &["--format", "clf"]), common_rows());
    assert_eq!(replayed(COMMON.replace('\n', "\r\n"), "ip", &[]), common_rows());
    assert_eq!(replayed(COMMON.trim_end(), "ip", &[]), common_rows());
}

#[test]
fn the_path_excludes_the_query() {
    let waits: Vec<i64> =
        replayed(COMMON, "path", &[]).iter().map(|row| row.retry_after_ms).collect();
    assert_eq!(waits, [0, 24_000, 0]);
}

#[test]
fn lines_with_equal_times_keep_their_order() {
    let line = "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"-\" 400 0\n";
    let lines: Vec<u64> = replayed(line.repeat(300), "*", &[]).iter().map(|row| row.line).collect();
    assert_eq!(lines, (1..=300).collect::<Vec<u64>>());
}

#[test]
fn equal_addresses_and_ipv6_networks_are_one_key() {
    let ips = [
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8:0:1::1",
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "host.example",
    ];
    let line = |ip: &&str| format!("{ip} - - [10/Oct/2000:13:55:36 +0000] \"-\" 400 0\n");
    let log: String = ips.iter().map(line).collect();
    let waits: Vec<i64> = replayed(log, "ip", &[]).iter().map(|row| row.retry_after_ms).collect();
    assert_eq!(waits, [0, 60_000, 0, 0, 60_000, 0]);
}

#[test]
fn gzip_with_one_or_more_members_is_read() {
    let (first, second) = COMMON.as_bytes().split_at(100);
    assert_eq!(replayed(gzip(COMMON.as_bytes()), "ip", &[]), common_rows());
    assert_eq!(replayed([gzip(first), gzip(second)].concat(), "ip", &[]), common_rows());
}

#[test]
fn standard_input_is_read_plain_and_gzip() {
    let folder = Folder::new();
    let (policy, out) = (folder.file("p.toml", policy("ip")), folder.path("d.csv"));
    for input in [COMMON.as_bytes().to_vec(), gzip(COMMON.as_bytes())] {
        let arguments = ["replay", "-", "--policy"].map(Path::new);
        let more = [&policy, Path::new("--decisions"), &out];
        let output = tool(&[&arguments[..], &more].concat(), &input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(rows(&std::fs::read_to_string(&out).unwrap()), common_rows());
    }
}

#[test]
fn csv_may_have_a_byte_order_mark_and_times_of_any_precision() {
    let log = "\u{feff}time,k\n2023-11-16 18:17:03.9799600,a\n2023-11-16 18:17:04,a\n2023-11-16 18:17:03.5,a\n";
    let expected = vec![
        row(4, "2023-11-16T18:17:03.500Z", 0),
        row(2, "2023-11-16T18:17:03.979960Z", 59_521),
        row(3, "2023-11-16T18:17:04Z", 59_500),
    ];
    assert_eq!(replayed(log, "k", &[]), expected);
    assert_eq!(replayed(log, "k", &["--format", "csv"]), expected);
    assert_eq!(replayed(log, "k", &["--time", "time"]), expected);
}

#[test]
fn any_csv_column_may_hold_the_time() {
    let log = "k,at\na,2024-01-01T00:00:00.000000001Z\na,2024-01-01T01:59:59+02:00\n";
    let expected =
        vec![row(3, "2023-12-31T23:59:59Z", 0), row(2, "2024-01-01T00:00:00.000000001Z", 59_000)];
    assert_eq!(replayed(log, "k", &["--time", "at"]), expected);
}

#[test]
fn csv_records_may_span_lines() {
    let log = "time,k\n2024-01-01 00:00:00,\"a\nb\"\n\n2024-01-01 00:00:01,\"a\r\nb\"\n2024-01-01 00:00:02,a\n";
    let expected = vec![
        row(2, "2024-01-01T00:00:00Z", 0),
        row(5, "2024-01-01T00:00:01Z", 59_000),
        row(7, "2024-01-01T00:00:02Z", 0),
    ];
    assert_eq!(replayed(log, "k", &[]), expected);
}

#[test]
fn the_format_is_detected_after_unreadable_lines() {
    let noise = "starting, up\n\u{1}\u{2}\n";
    let expected: Vec<Row> =
        common_rows().into_iter().map(|row| Row { line: row.line + 2, ..row }).collect();
    assert_eq!(replayed(format!("{noise}{COMMON}"), "ip", &[]), expected);
    let log = "time,k\nnot a time,a\n2024-01-01 00:00:00,a\n";
    assert_eq!(replayed(log, "k", &[]), [row(3, "2024-01-01T00:00:00Z", 0)]);
}

#[test]
fn a_cost_above_the_limit_is_never_admitted() {
    let folder = Folder::new();
    let policies = "[[policy]]\nname = 'p'\nkey = '*'\ncost = 'n'\nlimit = 5\nwindow = '1m'\n";
    let log = folder.file(
        "log",
        "time,n\n2024-01-01 00:00:00,6\n2024-01-01 00:00:01,5\n2024-01-01 00:00:02,-\n",
    );
    let expected = [
        row(2, "2024-01-01T00:00:00Z", -1),
        row(3, "2024-01-01T00:00:01Z", 0),
        row(4, "2024-01-01T00:00:02Z", 0),
    ];
    assert_eq!(decisions(policies, &log, &[]), expected);
}

#[test]
fn the_summary_and_the_report_show_the_denied_requests() {
    let folder = Folder::new();
    let policy = folder.file("p.toml", policy("path"));
    let hostile = COMMON.replace("/a", "/<script>alert(1)</script>&");
    let (log, report) = (folder.file("access.log", hostile), folder.path("r.html"));
    let words =
        [Path::new("replay"), Path::new("--policy"), &policy, &log, Path::new("--report"), &report];
    let output = tool(&words, b"");
    let summary = String::from_utf8(output.stdout).unwrap();
    let expected = "\
policy   limit  requests  admitted  denied   share
p       1 / 1m         3         2       1  33.3 %
all                    3         2       1  33.3 %

most denied under  key                          denied  requests
p                  /<script>alert(1)</script>&       1         2

time      2000-10-10T20:55:00Z to 2000-10-10T20:55:50Z (50s)
";
    assert!(summary.starts_with(expected), "{summary}");
    assert!(summary.contains("memory    20 bytes per line"), "{summary}");
    let page = std::fs::read_to_string(&report).unwrap();
    assert!(page.contains("/&lt;script&gt;alert(1)&lt;/script&gt;&amp;"));
    assert!(
        !page.contains("<script") && !page.contains("http"),
        "the page must not load or run anything"
    );
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(page.contains("Total: 2 admitted, 1 denied by this policy."));
}

#[test]
fn a_seed_always_gives_the_same_sample() {
    for format in ["clf", "csv"] {
        let (one, other) = (support::sample(format, 5), support::sample(format, 6));
        assert_eq!(one, support::sample(format, 5));
        assert_ne!(one, other);
        let header = usize::from(format == "csv");
        assert_eq!(one.iter().filter(|byte| **byte == b'\n').count(), 5_000 + header);
    }
}

#[test]
fn every_example_policy_denies_some_sample_requests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policies");
    for (policy, format, names) in [
        ("site.toml", "clf", ["ip", "site", "bytes"]),
        ("llm.toml", "csv", ["tenant", "service", "budget"]),
        ("llm_reserved.toml", "csv", ["tenant", "service", "budget"]),
    ] {
        let out = Folder::new();
        let (policy, decided) = (folder.join(policy), out.path("d.csv"));
        let words = ["replay", "--sample", "--format", format, "--policy"].map(Path::new);
        let more = [&policy, Path::new("--decisions"), &decided];
        let output = tool(&[&words[..], &more].concat(), b"");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rows = rows(&std::fs::read_to_string(&decided).unwrap());
        assert_eq!(rows.len(), 5_000);
        for name in names {
            assert!(rows.iter().any(|row| row.policy == name), "{name} denies nothing");
        }
    }
}

#[test]
fn closing_standard_output_early_is_not_an_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["sample", "--lines", "100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
