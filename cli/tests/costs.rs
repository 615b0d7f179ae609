//! The costs of requests: absent costs, and the spellings of whole numbers.

mod support;

use support::{Folder, replayed};

/// Three requests a minute and 1,000 tokens a minute for each key.
const REQUESTS_AND_TOKENS: &str = "\
[[policy]]
name = 'requests'
key = 'key'
limit = 3
window = '1m'
[[policy]]
name = 'tokens'
key = 'key'
cost = ['prompt', 'completion']
limit = 1000
window = '1m'
buckets = 127
";

/// A log of one key with these prompt and completion tokens.
fn log(tokens: &[&str]) -> String {
    let line =
        |(second, tokens): (usize, &&str)| format!("2026-10-10T13:55:{second:02}Z,jo,{tokens}\n");
    let lines: String = tokens.iter().enumerate().map(line).collect();
    format!("time,key,prompt,completion\n{lines}")
}

/// Replays a log. Returns the denying policy of each request, and the summary.
fn denials(policies: &str, log: &str) -> (Vec<String>, String) {
    let folder = Folder::new();
    let (rows, summary) = replayed(policies, &folder.file("log.csv", log), &[]);
    (rows.into_iter().map(|row| row.policy).collect(), summary)
}

#[test]
fn a_request_with_an_absent_cost_is_charged_under_the_other_policies() {
    let log = log(&["100,", "100,", ",", "100,50", "100,50", "100,50"]);
    let (denied, summary) = denials(REQUESTS_AND_TOKENS, &log);
    assert_eq!(denied, ["", "", "", "requests", "requests", "requests"]);
    let expected = "\
note      \"prompt\" is absent in 1 of 6 requests: it counts as 0
note      \"completion\" is absent in 3 of 6 requests: it counts as 0
";
    assert!(summary.contains(expected), "{summary}");
    assert!(!summary.contains("skipped"), "{summary}");
}

#[test]
fn every_spelling_of_an_absent_number_is_zero() {
    let absent = ["", " ", "-", "null", "NULL", "\\N", "NaN", "nan", "None", "\"\""];
    let lines = absent.map(|value| format!("600,{value}"));
    let (denied, summary) = denials(
        &REQUESTS_AND_TOKENS.replace("limit = 3", "limit = 30"),
        &log(&lines.each_ref().map(String::as_str)),
    );
    // The first request leaves 400, so that each of the others is denied.
    assert_eq!(denied[0], "");
    assert!(denied[1..].iter().all(|policy| policy == "tokens"), "{denied:?}");
    assert!(
        summary.contains("note      \"completion\" is absent in 10 of 10 requests"),
        "{summary}"
    );
}

#[test]
fn a_whole_number_may_have_a_sign_and_a_zero_fraction() {
    // The sum of the costs is the limit, and the last request does not fit.
    let log = log(&["100.0,50.00", "+50,0.0", " 100 , \"700\"", "1,0"]);
    let (denied, summary) = denials(&REQUESTS_AND_TOKENS.replace("limit = 3", "limit = 30"), &log);
    assert_eq!(denied, ["", "", "", "tokens"]);
    assert!(!summary.contains("note") && !summary.contains("skipped"), "{summary}");
}

#[test]
fn a_cost_that_is_no_whole_number_is_reported() {
    for wrong in
        ["-5", "\"1,000\"", "0.5", "100.01", "1e3", "x", "0x10", "1.0.0", ".", "++1", "--", "5 0"]
    {
        let (denied, summary) = denials(REQUESTS_AND_TOKENS, &log(&["1,1", &format!("1,{wrong}")]));
        assert_eq!(denied, [""], "{wrong}");
        let value = wrong.trim_matches('"');
        let expected = format!(
            "skipped   1 of 2 lines could not be read\n    line 3: the cost \"completion\" is not a whole number: {value:?}: 2026-10-10T13:55:01Z,jo,1,{wrong}\n"
        );
        assert!(summary.contains(&expected), "{summary}");
    }
}

#[test]
fn absent_estimates_and_durations_are_zero() {
    let policies = "duration = 'took'\n[[policy]]\nname = 'p'\nkey = '*'\nestimate = 'estimate'\ncost = 'cost'\n\
                    limit = 10\nwindow = '1m'\n";
    let log = "time,estimate,cost,took\n2026-10-10T13:55:00Z,,8,\n2026-10-10T13:55:01Z,3,3,null\n\
               2026-10-10T13:55:01Z,2,,\n2026-10-10T13:55:02Z,2,2,1\n2026-10-10T13:55:03Z,1,1,\n";
    let (denied, summary) = denials(policies, log);
    assert_eq!(denied, ["", "p", "", "", "p"]);
    let expected = "\
note      \"cost\" is absent in 1 of 5 requests: it counts as 0
note      \"estimate\" is absent in 1 of 5 requests: it counts as 0
note      \"took\" is absent in 4 of 5 requests: it counts as 0
";
    assert!(summary.contains(expected), "{summary}");
}
