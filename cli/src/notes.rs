//! Notes on the values of a log: absent keys and numbers, and keys that are no addresses.

use crate::recording::{Binding, KeyBinding, Recording};
use crate::text::{excerpt, thousands};
use tollgate_policy_file::{Absent, FieldKey, KeySpec, PolicySpec};

/// The notes on a recording, for the summary and the report.
pub fn notes(recording: &Recording, policies: &[PolicySpec]) -> Vec<String> {
    let requests = thousands(recording.stamps().len() as u64);
    let of = |count| format!("in {} of {requests} requests", thousands(count));
    let mut notes = Vec::new();
    for (spec, binding) in policies.iter().zip(recording.bindings()) {
        for AbsentKey { fields, count, effect } in absent_keys(recording, spec, *binding) {
            let policy = quoted(&spec.name);
            notes.push(format!("{fields} absent {}: {effect} under policy {policy}", of(count)));
        }
    }
    for (field, count) in recording.absent_numbers() {
        notes.push(format!("{} is absent {}: it counts as 0", quoted(field), of(count)));
    }
    for column in recording.key_columns() {
        let Some((count, first)) = column.not_addresses() else { continue };
        let field = recording.names().get(column.field()).map_or("", |name| name);
        let (field, count, first) = (quoted(field), of(count), quoted(first));
        let note = format!("{field} is not an address {count}, but text such as {first}");
        // A field has several columns if policies treat its absent values differently.
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

/// Requests without a key under a policy.
struct AbsentKey {
    /// The fields without a value, and a verb.
    fields: String,
    /// The number of requests.
    count: u64,
    /// What happened to them.
    effect: String,
}

fn absent_keys(recording: &Recording, spec: &PolicySpec, binding: Binding) -> Vec<AbsentKey> {
    let (Some(KeySpec::Field(FieldKey { name, absent, .. })), KeyBinding::Column { first, .. }) =
        (&spec.replay.key, binding.key)
    else {
        return Vec::new();
    };
    let (name, count) = (quoted(name), recording.key_columns()[first].absent());
    let one = |count, effect: String| AbsentKey { fields: format!("{name} is"), count, effect };
    let not_charged = || "not charged".to_owned();
    let found = match absent {
        Absent::Skip => vec![one(count, not_charged())],
        Absent::Share => vec![one(count, "they share one key".to_owned())],
        Absent::Field(other) => {
            let (other, neither) = (quoted(other), recording.uncharged(binding));
            let fields = format!("{name} and {other} are");
            vec![
                one(count - neither, format!("charged by {other}")),
                AbsentKey { fields, count: neither, effect: not_charged() },
            ]
        }
    };
    found.into_iter().filter(|absent| absent.count > 0).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(text.as_bytes()))
}
