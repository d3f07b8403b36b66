//! The tenants that must not be served, from the list that Portcullis writes.

use std::{env, fs, path::PathBuf};

pub struct Quarantine {
    file: Option<PathBuf>,
    /// The list at the start, as JSON.
    list: String,
}

impl Quarantine {
    pub fn of_environment() -> Self {
        Self {
            file: env::var_os("PORTCULLIS_QUARANTINE_FILE").map(PathBuf::from),
            list: env::var("PORTCULLIS_QUARANTINED").unwrap_or_default(),
        }
    }

    /// Reads the file for each request, because `portcullis verify --every` may replace it.
    pub fn has(&self, tenant: &str) -> bool {
        let current = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        let parsed = |text: &str| serde_json::from_str::<Vec<String>>(text).ok();
        let tenants = current.as_deref().and_then(parsed).or_else(|| parsed(&self.list)).unwrap_or_default();
        tenants.iter().any(|quarantined| quarantined == tenant)
    }
}
