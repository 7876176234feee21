//! `cargo demo`: the whole product on this machine, without an AWS account.

use std::process::ExitCode;

fn main() -> ExitCode {
    e2e::demo::run(std::env::args().skip(1))
}
