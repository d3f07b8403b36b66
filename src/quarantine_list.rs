//! Passes the list of quarantined tenants to the server, as a variable and as a file.

use std::{os::fd::IntoRawFd, path::Path};

use crate::{
    cause::Cause,
    config::{Gate, OnIncomplete},
    failure::Failure,
    files,
};

/// The variable with the tenants' schemas as a JSON list.
const LIST: &str = "PORTCULLIS_QUARANTINED";
/// The variable with the path of a file that contains the same list.
const FILE: &str = "PORTCULLIS_QUARANTINE_FILE";

/// The variables for the server; none unless quarantine is configured. They also exist if no tenant is quarantined, so
/// that the server need not interpret their absence.
pub(crate) async fn variables(gate: &Gate, tenants: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let OnIncomplete::Quarantine { file, .. } = &gate.incomplete else { return Ok(Vec::new()) };
    let list = serde_json::Value::from(tenants).to_string();
    let written = match file {
        Some(path) => {
            files::replace(path, list.clone(), files::TIMEOUT).await.map(|()| path.display().to_string())
        }
        // The file exists as long as the server has it open.
        None => files::in_memory("portcullis-quarantine", &list).map(|file| {
            Path::new("/proc/self/fd").join(file.into_raw_fd().to_string()).display().to_string()
        }),
    };
    let path = written.map_err(|error| Failure::Unproven {
        what: "the server receives the list of quarantined tenants".into(),
        why: Cause::io("cannot write the list", &error),
    })?;
    Ok(vec![(LIST.into(), list), (FILE.into(), path)])
}
