//! Repeats one kind of decision for `scripts/instructions.sh` to count its instructions:
//! `instructions KIND TIMES`. `instructions` alone prints the kinds.
//!
//! What is counted is the function `counted` and everything it calls. Keys are hashed under fixed
//! seeds and times are the caller's, so that every run takes the same way; but for `one_shot`,
//! which reads the clock.

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
