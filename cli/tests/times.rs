//! The times of a CSV log: dates and times in two columns, dates alone, numbers, and logs without a
//! header line.

mod support;

use std::path::Path;
use std::process::Output;
use support::{Folder, decisions, tool};

const ALL: &str = "[[policy]]\nname = 'p'\nkey = '*'\nlimit = 1\nwindow = '1m'\n";

/// Replays a log. Returns the line and the time of each decision.
fn times(log: &str, more: &[&str]) -> Vec<(u64, String)> {
    let folder = Folder::new();
    let rows = decisions(ALL, &folder.file("log", log), more);
    rows.into_iter().map(|row| (row.line, row.time)).collect()
}

fn expected<const N: usize>(times: [(u64, &str); N]) -> Vec<(u64, String)> {
    times.map(|(line, time)| (line, time.to_owned())).to_vec()
}

fn run(policies: &str, log: &str, more: &[&str]) -> Output {
    let folder = Folder::new();
    let (policies, log) = (folder.file("p.toml", policies), folder.file("log.csv", log));
    let mut words = vec![Path::new("replay"), Path::new("--policy"), &policies, &log];
    words.extend(more.iter().map(Path::new));
    tool(&words, b"")
}

/// Replays a log that cannot be read. Returns the error.
fn error(log: &str, more: &[&str]) -> String {
    let output = run(ALL, log, more);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    message
}

/// Replays a log. Returns the summary.
fn summary(log: &str, more: &[&str]) -> String {
    let output = run(ALL, log, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_date_column_and_a_time_column_are_joined() {
    let read = expected([(2, "2026-10-10T00:01:00Z"), (3, "2026-10-10T13:55:36.500Z")]);
    let log = "date,time,ip\n2026-10-10,00:01:00,a\n2026-10-10,13:55:36.5,a\n";
    assert_eq!(times(log, &[]), read);
    assert_eq!(times(log, &["--time", "time"]), read);
    assert_eq!(times(log, &["--time", "date"]), read);
    assert_eq!(times(&log.replace("date,time", "Date, TIME "), &[]), read);
    let log = "ip,time,date\na,00:01:00,2026-10-10\na,13:55:36.5,2026-10-10\n";
    assert_eq!(times(log, &["--time", "time"]), read);
    let log = "day,clock\n2026-10-10,00:01\n20261010,15:55:36.5+02:00\n";
    assert_eq!(times(log, &["--date", "day", "--time", "clock"]), read);
    let log = "a,day,time\nx, 2026-10-10, 00:01:00\nx,2026-10-10,13:55:36.5Z\n";
    assert_eq!(times(log, &["--date", "day"]), read);
}

#[test]
fn a_whole_time_is_not_joined() {
    let read = expected([(2, "2026-10-10T00:01:00Z")]);
    let log = "date,time\n2026-10-10T00:01:00Z,13:55:36\n";
    assert_eq!(times(log, &[]), read);
    // The time column holds what the request took.
    let log = "date,time\n2026-10-10T00:01:00Z,0.012\n";
    assert_eq!(times(log, &[]), read);
    let log = "time,date\n2026-10-10T00:01:00Z,2026-10-11\n";
    assert_eq!(times(log, &[]), read);
}

#[test]
fn a_date_with_a_time_of_zero_is_joined() {
    let log = "date,time\n2026-10-10 00:00:00.000,13:55:36\n2026-10-10T00:00:00Z,13:55:37\n\
               2026-10-10T00:00:00+02:00,15:55:38\n2026-10-10 00:00:00,0.012\n";
    let read = expected([
        (5, "2026-10-10T00:00:00Z"),
        (2, "2026-10-10T13:55:36Z"),
        (3, "2026-10-10T13:55:37Z"),
        (4, "2026-10-10T13:55:38Z"),
    ]);
    assert_eq!(times(log, &[]), read);
}

#[test]
fn a_date_is_joined_only_with_a_time_of_day() {
    for time in ["12", "1355", "135536", "0.012", "soon", "", "-"] {
        let message = error(&format!("date,time\n2026-10-10,{time}\n"), &[]);
        assert!(message.contains("line 2: the time \"2026-10-10\" is a date without"), "{message}");
    }
    for (date, time) in [("2026-10-10", "13:99:00"), ("soon", "13:55:36"), ("-", "13:55:36")] {
        let message = error(&format!("date,time\n{date},{time}\n"), &[]);
        let expected = format!("line 2: the time \"{date} {time}\" cannot be read");
        assert!(message.contains(&expected), "{message}");
    }
    let message = error("time,day\n13:55:36,2026-10-10\n", &[]);
    let expected = "line 2: the time \"13:55:36\" has no date; name the date's column with --date";
    assert!(message.contains(expected), "{message}");
    let message = error("a,b\n2026-10-10,x\n", &["--date", "a"]);
    assert!(
        message.contains("has no column \"time\"; set --time to one of its columns: a, b"),
        "{message}"
    );
    let message = error("a,time\n2026-10-10,x\n", &["--date", "day"]);
    assert!(
        message.contains("has no column \"day\"; set --date to one of its columns: a, time"),
        "{message}"
    );
}

#[test]
fn a_date_alone_is_not_a_time() {
    let log = "day,ip\n2026-10-10,a\n2026-10-11,a\n";
    let message = error(log, &[]);
    let hint = "line 2: the time \"2026-10-10\" is a date without a time of day; name the columns of the \
                date and the time with --date and --time, or read dates as midnight (UTC) with --midnight";
    assert!(message.contains(hint), "{message}");
    let read = expected([(2, "2026-10-10T00:00:00Z"), (3, "2026-10-11T00:00:00Z")]);
    assert_eq!(times(log, &["--midnight"]), read);
    let log = "time\n2026-10-10T13:55:36Z\n2026-10-10\n";
    assert!(summary(log, &[]).contains("skipped   1 of 2 lines could not be read"));
    let read = expected([(3, "2026-10-10T00:00:00Z"), (2, "2026-10-10T13:55:36Z")]);
    assert_eq!(times(log, &["--midnight"]), read);
}

#[test]
fn a_number_is_never_a_date() {
    let numbers =
        ["20261010", "19810101", "24991231", "2874", "1791640536", "1791640536.25", "-5", "1e9"];
    for number in numbers {
        for more in [&[][..], &["--midnight"]] {
            let message = error(&format!("time,n\n{number},1\n"), more);
            let expected = format!(
                "line 2: the time {number:?} is a number; give its unit with --time-unit, or choose another \
                 column with --time"
            );
            assert!(message.contains(&expected), "{message}");
        }
    }
    let log = "time,n\n2026-10-10T13:55:36Z,1\n20261010,1\n";
    assert!(summary(log, &[]).contains("skipped   1 of 2 lines could not be read"));
}

#[test]
fn numbers_are_times_in_a_given_unit() {
    let log = "n,at\n1,90000.5\n1,0\n1,20261010\n";
    let read = |unit| times(log, &["--time-unit", unit, "--time", "at"]);
    assert_eq!(
        read("s"),
        expected([
            (3, "1970-01-01T00:00:00Z"),
            (2, "1970-01-02T01:00:00.500Z"),
            (4, "1970-08-23T12:03:30Z")
        ])
    );
    assert_eq!(
        read("ms"),
        expected([
            (3, "1970-01-01T00:00:00Z"),
            (2, "1970-01-01T00:01:30.000500Z"),
            (4, "1970-01-01T05:37:41.010Z")
        ])
    );
    assert_eq!(
        read("us")[1..],
        expected([(2, "1970-01-01T00:00:00.090000500Z"), (4, "1970-01-01T00:00:20.261010Z")])
    );
    assert_eq!(read("ns")[2..], expected([(4, "1970-01-01T00:00:00.020261010Z")]));
    let log = "at\n1791640536250\n";
    assert_eq!(times(log, &["--time-unit", "ms"]), expected([(2, "2026-10-10T13:55:36.250Z")]));
    // A unit that is too large gives times far in the future.
    let message = error(log, &["--time-unit", "s"]);
    assert!(message.contains("line 2: the time \"1791640536250\" is after 2500"), "{message}");
}

#[test]
fn with_a_unit_every_time_is_a_number() {
    for time in ["2026-10-10T13:55:36Z", "2026-10-10", "-5", "1,5", "", "soon"] {
        let message =
            error(&format!("n,at\n1,\"{time}\"\n"), &["--time-unit", "ms", "--time", "at"]);
        let expected = format!(
            "line 2: the time {time:?} is not a plain number such as 12.5, which --time-unit requires"
        );
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn a_first_line_that_is_no_header_is_an_error() {
    for first in [
        "2026-10-10T13:55:36Z,203.0.113.7",
        "2026-10-10,x",
        "x,2026-10-10 13:55:36",
        "10,x",
        "x,203.0.113.7",
        "x,[2001:db8::1]:443",
        "13:55:36,x",
    ] {
        for more in [&[][..], &["--time", "when"]] {
            let log = format!("{first}\n2026-10-10T13:55:37Z,203.0.113.7\n");
            let message = error(&log, more);
            let expected = format!(
                "line 1: the first line looks like a request, not like a header; if so, add --no-header, which \
                 names the columns 1, 2, 3 and so on: {first}\n"
            );
            assert!(message.contains(&expected), "{message}");
        }
    }
    // A column that is named on the command line shows that the first line is a header.
    let log = "203.0.113.7,when\n1,2026-10-10T13:55:37Z\n";
    assert_eq!(times(log, &["--time", "when"]), expected([(2, "2026-10-10T13:55:37Z")]));
    let log = "2026-10-10 13:55:37\n203.0.113.7 - - [10/Oct/2026:13:55:37 +0000] \"-\" 400 0\n";
    assert_eq!(times(log, &[]), expected([(2, "2026-10-10T13:55:37Z")]));
}

#[test]
fn without_a_header_columns_are_named_by_position() {
    let log = "203.0.113.7,2026-10-10T13:55:36Z,3\n203.0.113.7,2026-10-10T13:55:37Z,2\n\
               203.0.113.8,2026-10-10T13:55:38Z,5\n203.0.113.8,2026-10-10T13:55:39Z,5,6\n";
    let policies = "[[policy]]\nname = 'p'\nkey = '1'\ncost = '3'\nlimit = 4\nwindow = '1m'\n";
    let folder = Folder::new();
    let path = folder.file("log", log);
    let rows = decisions(policies, &path, &["--no-header", "--time", "2"]);
    let rows: Vec<(u64, i64)> = rows.iter().map(|row| (row.line, row.retry_after_ms)).collect();
    assert_eq!(rows, [(1, 0), (2, 59_000), (3, -1)]);
    let text = summary(log, &["--no-header", "--time", "2"]);
    let expected =
        "line 4: 4 fields, but the first line has 3: 203.0.113.8,2026-10-10T13:55:39Z,5,6\n";
    assert!(text.contains(expected), "{text}");
    let log = "2874,421\n3855,9823\n";
    let read = self::expected([(1, "1970-01-01T00:00:02.874Z"), (2, "1970-01-01T00:00:03.855Z")]);
    assert_eq!(times(log, &["--no-header", "--time-unit", "ms"]), read);
    let output = run(policies, log, &["--no-header", "--time-unit", "ms"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("\"cost\" is \"3\", which is not a field of the log; its fields are 1, 2"),
        "{message}"
    );
    let message = error(log, &["--no-header", "--time", "at"]);
    assert!(
        message.contains("has no column \"at\"; set --time to one of its columns: 1, 2"),
        "{message}"
    );
}

#[test]
fn options_for_csv_are_rejected_with_another_format() {
    let log = "203.0.113.7 - - [10/Oct/2026:13:55:37 +0000] \"-\" 400 0\n";
    for (option, more) in [
        ("--time", &["--time", "at"][..]),
        ("--date", &["--date", "at"]),
        ("--time-unit", &["--time-unit", "ms"]),
        ("--midnight", &["--midnight"]),
        ("--no-header", &["--no-header"]),
    ] {
        let message = error(log, &[&["--format", "clf"], more].concat());
        let expected = format!("{option} applies only to CSV; remove it, or use --format csv");
        assert!(message.contains(&expected), "{message}");
        // Without a format, the option implies CSV.
        assert!(!error(log, more).contains("Common Log Format"));
    }
    assert!(error(log, &["--time-unit", "ms", "--midnight"]).contains("cannot be used with"));
    assert!(error(log, &["--time-unit", "ms", "--date", "x"]).contains("cannot be used with"));
    assert!(error(log, &["--time-unit", "m"]).contains("s, ms, us, ns"));
}
