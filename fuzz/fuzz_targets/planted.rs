//! A planted fault that needs three specific bytes.
//!
//! `scripts/fuzz.sh` checks that the fuzzing engine finds it. If not, the results of the targets mean
//! nothing.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// Does nothing: only a fuzzing build uses this program.
#[cfg(not(fuzzing))]
fn main() {
    run(b"");
}

fn run(data: &[u8]) {
    if let [b'b', rest @ ..] = data
        && let [b'a', rest @ ..] = rest
        && let [b'd', ..] = rest
    {
        panic!("the planted fault");
    }
}

#[cfg(test)]
#[test]
#[should_panic(expected = "the planted fault")]
fn the_planted_fault_panics() {
    run(b"bad");
}
