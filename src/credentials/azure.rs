//! Azure: a token of Microsoft Entra ID for Azure Database for PostgreSQL, in the order of Azure's own libraries:
//! workload identity, App Service and Container Apps, then the instance metadata service.

use std::time::SystemTime;

use super::source::{self, Source, encoded, split};
use crate::{
    cause::Unavailable,
    config::{environment::Environment, secret::Secret},
};

/// The clouds of their own; their databases and their resources have their domain.
const SOVEREIGN: [&str; 2] = ["chinacloudapi.cn", "usgovcloudapi.net"];
/// The metadata service answers 404 while it is updated.
const UPDATING: u16 = 404;
const FEDERATED: &str = "AZURE_FEDERATED_TOKEN_FILE";

pub(super) async fn token(
    env: &Environment,
    client_id: Option<&str>,
    host: &str,
) -> Result<(Secret, Option<SystemTime>), Unavailable> {
    let domain = SOVEREIGN.into_iter().find(|domain| host.ends_with(domain)).unwrap_or("windows.net");
    let resource = encoded(&format!("https://ossrdbms-aad.database.{domain}"));
    let client_id = client_id.or_else(|| env.get("AZURE_CLIENT_ID"));
    if let (Some(file), Some(tenant), Some(client)) =
        (env.get(FEDERATED), env.get("AZURE_TENANT_ID"), client_id)
    {
        let assertion = source::file(FEDERATED, file).await?;
        let authority = env.get("AZURE_AUTHORITY_HOST").unwrap_or("https://login.microsoftonline.com");
        let (address, path) = split(authority);
        let source = Source::new("Microsoft Entra ID", address, env);
        let target = format!("{}/{}/oauth2/v2.0/token", path.trim_end_matches('/'), encoded(tenant));
        let body = format!(
            "client_id={}&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion={}&grant_type=client_credentials&scope={resource}%2F.default",
            encoded(client),
            encoded(&assertion)
        );
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        return source.token(&source.json("POST", &target, headers, &body).await?);
    }
    let identity = client_id.map_or_else(String::new, |id| format!("&client_id={}", encoded(id)));
    if let (Some(endpoint), Some(header)) = (env.get("IDENTITY_ENDPOINT"), env.get("IDENTITY_HEADER")) {
        let (address, path) = split(endpoint);
        let source = Source::new("the identity endpoint", address, env);
        let target = format!("{path}?api-version=2019-08-01&resource={resource}{identity}");
        let headers = format!("X-IDENTITY-HEADER: {header}\r\n");
        return source.token(&source.json("GET", &target, &headers, "").await?);
    }
    let address = env.get("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or("http://169.254.169.254");
    let address = address.trim_end_matches('/');
    let source =
        Source { temporary: Some(UPDATING), ..Source::new("the instance metadata service", address, env) };
    let target =
        format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}{identity}");
    source.token(&source.json("GET", &target, "Metadata: true\r\n", "").await?)
}
