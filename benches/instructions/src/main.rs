//! Repeats one kind of decision for `scripts/instructions.sh` to count its instructions:
//! `instructions KIND TIMES`. `instructions` alone prints the kinds.
//!
//! The count covers the function `counted` and its callees. Keys are hashed with fixed seeds and
//! the caller supplies the time, so that every run takes the same path. The exceptions are `check`,
//! `check_number`, `check_all_live` and `denied_all_live`, which read the clock.

mod work;

use std::process::ExitCode;
use work::KINDS;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        KINDS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let kind = KINDS.iter().find(|(kind, _)| *kind == name);
    let times = args.next().and_then(|times| times.parse().ok());
    let (Some((_, run)), Some(times)) = (kind, times) else {
        eprintln!("usage: instructions [KIND TIMES]");
        return ExitCode::FAILURE;
    };
    run(times);
    ExitCode::SUCCESS
}
