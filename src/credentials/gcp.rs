//! Google Cloud: an access token of the container's service account, from the metadata server.

use std::time::SystemTime;

use super::source::Source;
use crate::{
    cause::Unavailable,
    config::{environment::Environment, secret::Secret},
};

const TARGET: &str = "/computeMetadata/v1/instance/service-accounts/default/token?scopes=https://www.googleapis.com/auth/sqlservice.login";

pub(super) async fn token(env: &Environment) -> Result<(Secret, Option<SystemTime>), Unavailable> {
    let host = env.get("GCE_METADATA_HOST").unwrap_or("metadata.google.internal");
    let address = format!("http://{host}");
    let proof = Some(("Metadata-Flavor", "Google"));
    let source = Source { proof, ..Source::new("the metadata server", &address, env) };
    let answer = source.json("GET", TARGET, "Metadata-Flavor: Google\r\n", "").await?;
    source.token(&answer)
}
