//! Hands the list of quarantined tenants to the server: as a variable, and as a file for whoever reads files.

use std::{os::fd::IntoRawFd, path::Path};

use crate::{
    cause::Cause,
    config::{Gate, OnIncomplete},
    failure::Failure,
    files,
};

/// The tenants' schemas, as a JSON list.
const LIST: &str = "PORTCULLIS_QUARANTINED";
/// A file that holds the same.
const FILE: &str = "PORTCULLIS_QUARANTINE_FILE";

/// The variables for the server; none unless the configuration asks for it. They are there also when nobody is
/// quarantined: the server should not have to guess what their absence means.
pub(crate) async fn variables(gate: &Gate, tenants: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let OnIncomplete::Quarantine { file, .. } = &gate.incomplete else { return Ok(Vec::new()) };
    let list = serde_json::Value::from(tenants).to_string();
    let written = match file {
        Some(path) => {
            files::replace(path, list.clone(), files::TIMEOUT).await.map(|()| path.display().to_string())
        }
        // It ends with the last process that has it open, the server.
        None => files::in_memory("portcullis-quarantine", &list).map(|file| {
            Path::new("/proc/self/fd").join(file.into_raw_fd().to_string()).display().to_string()
        }),
    };
    let place = written.map_err(|error| Failure::Unproven {
        what: "the server knows whom to keep out".into(),
        why: Cause::io("cannot write the list", &error),
    })?;
    Ok(vec![(LIST.into(), list), (FILE.into(), place)])
}
