//! Decides which names belong to a secret: one list for variables, keys of the file and parameters of URLs.

/// A name that contains one of these belongs to a secret.
const KEYWORDS: [&str; 6] = ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL"];
/// A name with a word that ends in one of these does, too: `DB_PASS`, `API_KEY`, `REDIS_AUTH`.
const ENDINGS: [&str; 4] = ["PASS", "PWD", "KEY", "AUTH"];
/// Names of locations, which are not secret.
const PLACES: [&str; 4] = ["FILE", "PATH", "DIR", "SOCK"];

/// Whether the value of a variable, key or parameter with this name is a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // The working directory, as shells export it.
    if name == "PWD" || name == "OLDPWD" {
        return false;
    }
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    if words().next_back().is_some_and(|last| PLACES.contains(&last)) {
        return false;
    }
    KEYWORDS.iter().any(|word| name.contains(word))
        || words().any(|word| ENDINGS.iter().any(|ending| word.ends_with(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_determines_whether_its_value_is_a_secret() {
        for name in [
            "DB_PASSWORD",
            "api_token",
            "API_KEY",
            "PGPASSWORD",
            "DB_PASS",
            "my-secret",
            "REDIS_AUTH",
            "dbpwd",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in
            ["DB_PASSWORD_FILE", "DB_HOST", "PWD", "OLDPWD", "SSH_AUTH_SOCK", "PASSTHROUGH", "KEYBOARD"]
        {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
