//! The laws that hold for every input. `scripts/fuzz` searches for an input that breaks one; the unit tests check them for
//! the kept corpus and for random changes of it.

mod connections;
mod files;
mod input;
mod output;
mod spellings;
mod stream;

/// A law, with its name, which its folder in `fuzz/corpus` also has. A broken law panics.
type Law = (&'static str, fn(&[u8]));

const LAWS: [Law; 14] = [
    ("mask", output::mask),
    ("terminal", output::terminal),
    ("configuration", files::configuration),
    ("manifest", files::manifest),
    ("ledger", files::ledger),
    ("sql", files::sql),
    ("headers", files::headers),
    ("names", files::names),
    ("exports", files::exports),
    ("endpoint", connections::endpoint),
    ("http", connections::http),
    ("redis", connections::redis),
    ("amqp", connections::amqp),
    ("message-lengths", connections::message_lengths),
];

/// Checks the law with this name for one input.
///
/// # Panics
///
/// If the law is broken, or no law has this name.
pub fn check(name: &str, input: &[u8]) {
    let law = LAWS.iter().find(|(law, _)| *law == name);
    assert!(law.is_some(), "no law is named `{name}`");
    if let Some((_, law)) = law {
        law(input);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{fs, path::Path};

    use super::*;

    /// The changed inputs of each kept one.
    const CHANGES: usize = 40;

    #[test]
    fn every_law_holds_for_the_kept_corpus_and_for_changes_of_it() {
        let mut random = fastrand::Rng::with_seed(7);
        for (name, law) in LAWS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
            let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(!files.is_empty(), "{}", folder.display());
            for file in files {
                let kept = fs::read(&file).unwrap();
                law(&kept);
                for _ in 0..CHANGES {
                    law(&changed(&kept, &mut random));
                }
            }
        }
    }

    /// Some bytes are replaced, removed or repeated.
    fn changed(kept: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
        let mut bytes = kept.to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..=bytes.len());
            let end = random.usize(at..=bytes.len().min(at + 8));
            match random.u8(..3) {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.insert(at, random.u8(..)),
                _ => {
                    let part = bytes[at..end].to_vec();
                    let to = random.usize(..=bytes.len());
                    bytes.splice(to..to, part);
                }
            }
        }
        bytes
    }

    #[test]
    #[should_panic(expected = "no law is named")]
    fn an_unknown_law_is_an_error() {
        check("other", b"");
    }
}
