//! A fault behind three bytes: an engine that does not find it finds nothing else either.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));

/// Only the engine has a use for it.
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
fn the_fault_is_there() {
    run(b"bad");
}
