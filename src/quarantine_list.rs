//! Passes the list of quarantined tenants to the server, as a variable and as a file, and renews the file.

use std::{os::fd::IntoRawFd, path::Path};

use crate::{
    cause::Cause,
    config::{Gate, OnIncomplete},
    failure::Failure,
    files,
    outcome::wording,
    tenants::{gate::Judgement, quarantine},
};

/// The variable with the tenants' schemas as a JSON list.
const LIST: &str = "PORTCULLIS_QUARANTINED";
/// The variable with the path of a file that contains the same list.
const FILE: &str = "PORTCULLIS_QUARANTINE_FILE";

/// The result of renewing the list while the server runs.
pub(crate) enum Renewal {
    Unchanged,
    Written(Vec<String>),
    /// The list stays as it is, and why.
    Refused(String),
}

/// Writes the tenants that a new judgement quarantines to the configured file, if the list differs. None if no file is
/// configured. The rules are those of a start: where a start would be blocked, the list stays unchanged.
pub(crate) async fn renew(gate: &Gate, judged: Result<&Judgement, &str>) -> Option<Renewal> {
    let OnIncomplete::Quarantine { file, at_most } = &gate.incomplete else { return None };
    let Some(path) = file else {
        return Some(Renewal::Refused("it is in memory: set `quarantine_file`".into()));
    };
    let Ok(judgement) = judged else {
        return Some(Renewal::Refused("the database could not be inspected".into()));
    };
    let Some(tenants) = quarantine::quarantine(judgement, *at_most) else {
        let summary = wording::summary(judgement);
        return Some(Renewal::Refused(format!("{summary}; `max_quarantined` is {at_most}")));
    };
    // Another program may have replaced it since the last round: the start of the server does.
    let current = files::read(path, files::TIMEOUT).await.ok();
    if current.and_then(|text| serde_json::from_str::<Vec<String>>(&text).ok()).as_ref() == Some(&tenants) {
        return Some(Renewal::Unchanged);
    }
    let list = serde_json::Value::from(tenants.as_slice()).to_string();
    Some(match files::replace(path, list, files::TIMEOUT).await {
        Ok(()) => Renewal::Written(tenants),
        Err(error) => Renewal::Refused(format!("cannot write `{}`: {error}", path.display())),
    })
}

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
