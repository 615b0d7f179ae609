//! The keys of requests: whose requests count together, and what happens if a line has no key.

mod support;

use std::path::Path;
use support::{Folder, Row, decisions, replayed, tool};

/// A policy `p` that admits one request a minute for each key.
fn policy(key: &str, more: &str) -> String {
    format!("[[policy]]\nname = 'p'\nkey = '{key}'\n{more}\nlimit = 1\nwindow = '1m'\n")
}

/// An access log with these texts in front of the time. All its requests have the same time.
fn access_log(heads: &[&str]) -> String {
    let line =
        |head: &&str| format!("{head} [10/Oct/2026:13:55:36 +0000] \"GET / HTTP/1.1\" 200 5\n");
    heads.iter().map(line).collect()
}

/// A CSV log with one column beside the time. All its requests have the same time.
fn csv_log(column: &str, values: &[&str]) -> String {
    let line = |value: &&str| format!("2026-10-10T13:55:36Z,{value}\n");
    format!("time,{column}\n{}", values.iter().map(line).collect::<String>())
}

/// Replays a log. Returns whether each request was admitted.
fn admitted(policies: &str, log: impl AsRef<[u8]>) -> Vec<bool> {
    let folder = Folder::new();
    verdicts(&decisions(policies, &folder.file("log", log), &[]))
}

fn verdicts(rows: &[Row]) -> Vec<bool> {
    rows.iter().map(|row| row.verdict == "admit").collect()
}

/// Replays a log. Returns the decisions and the summary.
fn summary(policies: &str, log: impl AsRef<[u8]>) -> (Vec<Row>, String) {
    let folder = Folder::new();
    replayed(policies, &folder.file("log", log), &[])
}

/// Replays a log that cannot be used. Returns the error.
fn error(policies: &str, log: &str) -> String {
    let folder = Folder::new();
    let (policies, log) = (folder.file("p.toml", policies), folder.file("log", log));
    let output = tool(&[Path::new("replay"), Path::new("--policy"), &policies, &log], b"");
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_virtual_host_in_front_is_not_the_client() {
    let heads = [
        "shop.example:443 203.0.113.1 - -",
        "shop.example:443 203.0.113.2 - -",
        "shop.example:443 203.0.113.3 - jo",
        "shop.example 203.0.113.4 - -",
        "shop.example:443 2001:db8::1 - -",
        "shop.example:443 [2001:db8:0:1::1]:443 - jo doe",
        "shop.example:443 client.example - -",
        "shop.example:443 203.0.113.5 -",
        "203.0.113.6 - -",
    ];
    assert_eq!(admitted(&policy("ip", ""), access_log(&heads)), [true; 9]);
    let again = [heads[0], "blog.example:80 203.0.113.1 - -", "203.0.113.1 - -"];
    assert_eq!(admitted(&policy("ip", ""), access_log(&again)), [true, false, false]);
}

#[test]
fn the_user_follows_the_virtual_host_and_the_client() {
    let heads = [
        "shop.example:443 203.0.113.1 - jo doe",
        "203.0.113.2 - jo doe",
        "shop.example:443 203.0.113.3 - jo",
        "203.0.113.4 ident jo",
        "shop.example 203.0.113.5 ident jo",
    ];
    let expected = [true, false, true, false, false];
    assert_eq!(admitted(&policy("user", ""), access_log(&heads)), expected);
}

#[test]
fn the_client_is_the_first_of_a_list_of_addresses() {
    let heads = [
        "203.0.113.1 - -",
        "203.0.113.1, 192.0.2.1 - -",
        "203.0.113.1, 192.0.2.1, 192.0.2.2 - -",
        "shop.example:443 203.0.113.1, 192.0.2.1 - -",
        "203.0.113.2, 192.0.2.1 - -",
    ];
    let expected = [true, false, false, false, true];
    assert_eq!(admitted(&policy("ip", ""), access_log(&heads)), expected);
    let values = ["203.0.113.1", "\"203.0.113.1, 192.0.2.1\"", "\"203.0.113.1:9,192.0.2.1\""];
    assert_eq!(admitted(&policy("ip", ""), csv_log("ip", &values)), [true, false, false]);
}

#[test]
fn a_line_with_two_addresses_in_front_is_reported() {
    let heads = ["203.0.113.1 192.0.2.1 - -", "203.0.113.1 - -"];
    let (rows, summary) = summary(&policy("ip", ""), access_log(&heads));
    assert_eq!(rows.len(), 1);
    let expected = "line 1: the host and the ident are addresses, \"203.0.113.1\" and \
                    \"192.0.2.1\", and either may be the client: ";
    assert!(summary.contains(expected), "{summary}");
}

/// Spellings of three clients: whether each is the first of its client.
const SPELLINGS: [(&str, bool); 13] = [
    ("203.0.113.7", true),
    ("203.0.113.7:50001", false),
    ("203.0.113.7:50002", false),
    ("::ffff:203.0.113.7", false),
    ("[::ffff:203.0.113.7]:80", false),
    ("2001:db8::1", true),
    ("2001:DB8::2", false),
    ("[2001:db8::3]", false),
    ("[2001:db8::4]:50001", false),
    ("2001:db8::5%eth0", false),
    ("[2001:db8::6%25eth0]:443", false),
    ("2001:db8::7:50001", false),
    ("2001:db8:0:1::1", true),
];

#[test]
fn a_port_brackets_or_a_zone_never_split_a_client() {
    let values = SPELLINGS.map(|(value, _)| value);
    let expected = SPELLINGS.map(|(_, first)| first);
    assert_eq!(admitted(&policy("ip", ""), csv_log("ip", &values)), expected);
    let heads = values.map(|value| format!("{value} - -"));
    let heads = heads.each_ref().map(String::as_str);
    assert_eq!(admitted(&policy("ip", ""), access_log(&heads)), expected);
    let named = policy("client", "address = true");
    assert_eq!(admitted(&named, csv_log("client", &values)), expected);
    assert_eq!(admitted(&policy("ip", "address = false"), csv_log("ip", &values)), [true; 13]);
}

#[test]
fn an_address_in_any_key_field_is_counted_by_its_network() {
    let values = ["2001:db8::1", "2001:db8::2", "203.0.113.1", "::ffff:203.0.113.1", "jo", "12:3"];
    let log = csv_log("client_ip", &values);
    assert_eq!(admitted(&policy("client_ip", ""), &log), [true, false, true, false, true, true]);
    let text = policy("client_ip", "address = false");
    assert_eq!(admitted(&text, &log), [true; 6]);
}

#[test]
fn an_address_with_a_port_needs_a_decision() {
    for value in ["203.0.113.7:50001", "[2001:db8::1]:443", "[2001:db8::1]", "fe80::1%eth0"] {
        let log = csv_log("peer", &["jo", value]);
        let message = error(&policy("peer", ""), &log);
        let expected = format!(
            "p.toml:3:7: policy \"p\": \"key\" is \"peer\", which is {value:?} in line 3 of the log; add address = \
             true to count by address, or address = false to count by text\n"
        );
        assert!(message.ends_with(&expected), "{message}");
        for address in ["address = true", "address = false"] {
            assert_eq!(admitted(&policy("peer", address), &log), [true, true]);
        }
    }
}

#[test]
fn the_path_of_a_connect_request_is_text() {
    let log = access_log(&["203.0.113.1 - -", "203.0.113.2 - -"]);
    let log = log.replace("GET /", "CONNECT 192.0.2.1:443") + &log;
    assert_eq!(admitted(&policy("path", ""), log), [true, false, true, false]);
}

#[test]
fn the_summary_counts_the_keys_that_are_no_addresses() {
    let log = csv_log("client", &["203.0.113.1", "host.example", "host.example", "-"]);
    let (rows, text) = summary(&policy("client", "address = true"), &log);
    assert_eq!(rows.len(), 4);
    let expected = "note      \"client\" is not an address in 2 of 4 requests, but text such as \
                    \"host.example\"\n";
    assert!(text.contains(expected), "{text}");
    let (_, text) = summary(&policy("client", ""), &log);
    assert!(!text.contains("\nnote      \"client\" is not"), "{text}");
}

#[test]
fn keys_are_trimmed() {
    let log = "time, k\n2026-10-10T13:55:36Z, a\n2026-10-10T13:55:36Z,a\n2026-10-10T13:55:36Z,\ta \n\
               2026-10-10T13:55:36Z, \"a\"\n2026-10-10T13:55:36Z,a b\n";
    assert_eq!(admitted(&policy("k", ""), log), [true, false, false, false, true]);
    let log = "time, ip\n2026-10-10T13:55:36Z, 2001:db8::1\n2026-10-10T13:55:36Z, \"2001:db8::2\"\n\
               2026-10-10T13:55:36Z,2001:db8::3 \n";
    assert_eq!(admitted(&policy("ip", ""), log), [true, false, false]);
}

/// A log in which five of seven requests have no user. All requests have the same time.
const ANONYMOUS: &str = "\
time,user,ip
2026-10-10T13:55:36Z,jo,192.0.2.1
2026-10-10T13:55:36Z,-,192.0.2.2
2026-10-10T13:55:36Z,,192.0.2.2
2026-10-10T13:55:36Z, ,192.0.2.3
2026-10-10T13:55:36Z,jo,192.0.2.4
2026-10-10T13:55:36Z,NULL,192.0.2.5
2026-10-10T13:55:36Z,\\N,-
";

#[test]
fn a_request_without_a_key_is_not_charged() {
    for more in ["", "absent = 'skip'"] {
        let (rows, text) = summary(&policy("user", more), ANONYMOUS);
        assert_eq!(verdicts(&rows), [true, true, true, true, false, true, true]);
        let expected = "\
policy   limit  requests  admitted  denied   share
p       1 / 1m         2         1       1  50.0 %
all                    7         6       1  14.3 %

most denied under  key  denied  requests
p                  jo        1         2
";
        assert!(text.starts_with(expected), "{text}");
        let expected =
            "note      \"user\" is absent in 5 of 7 requests: not charged under policy \"p\"\n";
        assert!(text.contains(expected), "{text}");
    }
    let log = access_log(&["203.0.113.1 - -", "203.0.113.2 - -", "203.0.113.3 - \"\"", "- - jo"]);
    assert_eq!(admitted(&policy("user", ""), &log), [true; 4]);
    let (_, text) = summary(&policy("ip", ""), &log);
    let expected =
        "note      \"ip\" is absent in 1 of 4 requests: not charged under policy \"p\"\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn requests_without_a_key_may_share_one() {
    let (rows, text) = summary(&policy("user", "absent = 'share'"), ANONYMOUS);
    assert_eq!(verdicts(&rows), [true, true, false, false, false, false, false]);
    assert!(text.contains("\np                  -         4         5\n"), "{text}");
    let expected =
        "note      \"user\" is absent in 5 of 7 requests: they share one key under policy \"p\"\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn another_field_may_replace_an_absent_key() {
    let (rows, text) = summary(&policy("user", "absent = 'ip'"), ANONYMOUS);
    assert_eq!(verdicts(&rows), [true, true, false, true, false, true, true]);
    assert!(text.contains("\np                  192.0.2.2       1         2\n"), "{text}");
    let expected = "note      \"user\" is absent in 4 of 7 requests: charged by \"ip\" under policy \"p\"\n\
                    note      \"user\" and \"ip\" are absent in 1 of 7 requests: not charged under policy \"p\"\n";
    assert!(text.contains(expected), "{text}");
    // A user with the name of an address is not that address.
    let log = "time,user,ip\n2026-10-10T13:55:36Z,7,a\n2026-10-10T13:55:36Z,-,7\n";
    let text = policy("user", "absent = 'ip'\naddress = false");
    assert_eq!(admitted(&text, log), [true, true]);
}

#[test]
fn a_request_without_a_key_is_charged_under_the_other_policies() {
    let all = "[[policy]]\nname = 'all'\nkey = '*'\nlimit = 3\nwindow = '1m'\n";
    let (rows, text) = summary(&format!("{}{all}", policy("user", "")), ANONYMOUS);
    let policies: Vec<&str> = rows.iter().map(|row| row.policy.as_str()).collect();
    assert_eq!(policies, ["", "", "", "all", "p", "all", "all"]);
    let expected = "\
policy   limit  requests  admitted  denied   share
p       1 / 1m         2         1       1  50.0 %
all     3 / 1m         6         3       3  50.0 %
all                    7         3       4  57.1 %
";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_reservation_leaves_out_the_policies_without_a_key() {
    let log = "time,user,estimate,cost\n2026-10-10T13:55:36Z,-,6,2\n2026-10-10T13:55:37Z,jo,6,9\n\
               2026-10-10T13:55:38Z,-,6,2\n2026-10-10T13:55:39Z,jo,6,1\n";
    let policies = "[[policy]]\nname = 'user'\nkey = 'user'\nestimate = 'estimate'\ncost = 'cost'\nlimit = 10\n\
                    window = '1m'\n[[policy]]\nname = 'all'\nkey = '*'\nestimate = 'estimate'\ncost = 'cost'\n\
                    limit = 100\ncalendar = 'day'\n";
    let (rows, text) = summary(policies, log);
    let denied: Vec<&str> = rows.iter().map(|row| row.policy.as_str()).collect();
    assert_eq!(denied, ["", "", "", "user"]);
    let expected = "\
reserved under  estimated  used  unused   share  excess
user                    6     9       0   0.0 %       3
all                    18    13       8  44.4 %       3
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn the_report_shows_the_absent_keys() {
    let folder = Folder::new();
    let (policies, log) = (policy("<user>", ""), ANONYMOUS.replacen("user", "<user>", 1));
    let (policies, log) = (folder.file("p.toml", policies), folder.file("log", log));
    let report = folder.path("r.html");
    let words = ["replay", "--policy"].map(Path::new);
    let more = [&policies, &log, Path::new("--report"), &report];
    assert!(tool(&[&words[..], &more].concat(), b"").status.success());
    let page = std::fs::read_to_string(&report).unwrap();
    let expected = "&quot;&lt;user&gt;&quot; is absent in 5 of 7 requests: not charged under policy \
                    &quot;p&quot;";
    assert!(page.contains(expected));
    assert!(page.contains("<p>Denied 1 of 2 requests: 50.0 %.</p>"));
}

#[test]
fn control_characters_of_keys_are_escaped() {
    let folder = Folder::new();
    let log = csv_log("<k>", &["a\u{1b}[31m", "a\u{1b}[31m", "<b>", "<b>", "-"]);
    let policies = folder.file("p.toml", policy("<k>", "address = true"));
    let (log, report) = (folder.file("log", log), folder.path("r.html"));
    let words = ["replay", "--policy"].map(Path::new);
    let more = [&policies, &log, Path::new("--report"), &report];
    let output = tool(&[&words[..], &more].concat(), b"");
    let text = String::from_utf8(output.stdout).unwrap();
    let page = std::fs::read_to_string(&report).unwrap();
    let note = "\"<k>\" is not an address in 4 of 5 requests, but text such as \"a\\u{1b}[31m\"\n";
    assert!(text.contains(note), "{text}");
    let forbidden = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(forbidden) && !page.contains(forbidden));
    assert!(page.contains("<li>&quot;&lt;k&gt;&quot; is not an address"));
    assert!(!page.contains("<k>") && !page.contains("<b>"));
}
