//! Plays the inputs that are kept, and mutations of them, with any compiler.

use std::sync::Mutex;

use sockeye_fuzz::choices::Sequence;
use sockeye_fuzz::{seeds, Target, TARGETS};

/// Inputs that a target gets.
const INPUTS: usize = 2000;

/// Targets measure memory.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn replay(name: &str) {
    let _turn = ONE_AT_A_TIME.lock();
    let &(_, check): &Target = TARGETS.iter().find(|(target, _)| *target == name).expect("a target");
    let kept = seeds::read(name);
    assert!(kept.len() >= 5, "{} seeds", kept.len());
    kept.iter().for_each(|input| check(input));
    let mut sequence = Sequence::new(1);
    for index in 0..INPUTS.saturating_sub(kept.len()) {
        let (input, other) = (&kept[index % kept.len()], &kept[sequence.below(kept.len())]);
        check(&seeds::mutate(input, other, &mut sequence));
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

replays! { frames inflate operations payloads request_heads socket_io_headers worker }
