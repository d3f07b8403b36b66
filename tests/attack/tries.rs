//! The tries of one kind: which of them run, their failures, and the row of each kind in the table of `make attack`.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use fastrand::Rng;

/// Makes the tries in a seeded order: in `make test` the first `few`, in `make attack` as many as the time allows. A try panics
/// if it fails. The name of a try is its row in the table.
#[track_caller]
pub fn attack<T>(
    area: &str,
    few: usize,
    mut tries: Vec<(String, T)>,
    mut run: impl FnMut(&str, &T, &mut Rng),
) {
    let seed = seed();
    let only = number("PORTCULLIS_ATTACK_TRY");
    let end = seconds().map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let all = tries.len();
    Rng::with_seed(seed).shuffle(&mut tries);
    let mut rows = BTreeMap::<&str, (usize, usize)>::new();
    let mut failures = Vec::new();
    for (number, (name, value)) in (0_u64..).zip(&tries) {
        if only.is_some_and(|only| only != number) {
            continue;
        }
        let enough = end.map_or(number >= few as u64, |end| Instant::now() > end);
        if enough && only.is_none() {
            break;
        }
        let mut random = Rng::with_seed(seed.wrapping_mul(1_000_003) + number);
        let row = rows.entry(name).or_default();
        row.0 += 1;
        if catch_unwind(AssertUnwindSafe(|| run(name, value, &mut random))).is_err() {
            row.1 += 1;
            failures.push(format!("{name}: PORTCULLIS_ATTACK_SEED={seed} PORTCULLIS_ATTACK_TRY={number}"));
        }
    }
    let made: usize = rows.values().map(|(tries, _)| tries).sum();
    println!("{area}: {made} of {all} tries, seed {seed}");
    let mut table = String::new();
    for (name, (tries, failures)) in rows {
        table += &format!("| {area} | {name} | {tries} | {failures} |\n");
    }
    print!("{table}");
    if let Ok(path) = std::env::var("PORTCULLIS_ATTACK_TABLE") {
        let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
        file.write_all(table.as_bytes()).unwrap();
    }
    assert!(
        failures.is_empty(),
        "{area}: {} of {made} tries failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// The time of each kind in `make attack`.
pub fn seconds() -> Option<u64> {
    number("PORTCULLIS_ATTACK_SECONDS")
}

pub fn seed() -> u64 {
    number("PORTCULLIS_ATTACK_SEED").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
