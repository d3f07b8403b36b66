//! A TERM at many seeded instants: of a start-up before the handover, and of a complete life in supervise mode.
//!
//! `make test` runs fifty of each, `make soak` a thousand. `tenants` sends KILL to creations.

mod lifecycle;
mod tenants;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use lifecycle::{Life, Workspace};

const RUNS: u64 = 50;
const WORKERS: u64 = 4;

#[test]
fn a_term_at_any_instant_of_a_start_up_ends_it() {
    soak(Life::StartUp);
}

#[test]
fn in_supervise_mode_no_term_is_lost_at_any_time() {
    soak(Life::Supervised);
}

fn soak(life: Life) {
    let seed = number("PORTCULLIS_SOAK_SEED").unwrap_or(1);
    let runs = number("PORTCULLIS_SOAK_RUNS").unwrap_or(RUNS);
    let length = Workspace::new(life).length(life);
    let (next, met) = (AtomicU64::new(0), Mutex::new(BTreeMap::<String, u64>::new()));
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let workspace = Workspace::new(life);
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs {
                        return;
                    }
                    let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003) + run);
                    let at = length.mul_f64(random.f64());
                    let during = workspace.term_after(at, run);
                    *met.lock().unwrap().entry(during).or_default() += 1;
                }
            });
        }
    });
    println!("{life:?}, seed {seed}: {runs} TERMs within {length:?}, each ended its run; they came");
    for (during, times) in met.into_inner().unwrap() {
        println!("{times:6} {during}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
