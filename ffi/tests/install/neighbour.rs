//! A second Rust library in the same C program.

use std::collections::HashMap;

/// Counts the letters of a word on a new thread.
#[unsafe(no_mangle)]
pub extern "C" fn neighbour_letters() -> usize {
    let count = || "tollgate".chars().fold(HashMap::new(), |mut letters: HashMap<_, u32>, letter| {
        *letters.entry(letter).or_default() += 1;
        letters
    });
    std::thread::spawn(count).join().map_or(0, |letters| letters.len())
}

/// Panics, and returns whether the panic was caught.
#[unsafe(no_mangle)]
pub extern "C" fn neighbour_catches() -> bool {
    std::panic::set_hook(Box::new(|_| {}));
    std::panic::catch_unwind(|| panic!("a panic for a test")).is_err()
}
