//! For tests: how much of what may be given to them properties are tried with.

use proptest::test_runner::Config;

/// So many cases; under Miri, which takes some thousand times as long, a few.
pub fn config(cases: u32) -> Config {
    let cases = if cfg!(miri) { cases.div_ceil(128) } else { cases };
    Config { failure_persistence: None, ..Config::with_cases(cases) }
}
