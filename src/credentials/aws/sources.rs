//! Finds AWS credentials in the order of AWS's own libraries: variables, web identity, container, instance. Files with
//! profiles are not read.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::keys::Keys;
use crate::{
    cause::Unavailable,
    config::{environment::Environment, secret::Secret, url::host_and_port},
    credentials::{
        refusal::permanent,
        source::{self, Source, encoded, split},
    },
    words::parse_rfc3339,
};

const CONTAINER: &str = "http://169.254.170.2";
/// The addresses without TLS that a container's credentials may come from, besides those of this machine.
const CONTAINERS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const AUTHORIZATION_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

type Found = (Keys, Option<SystemTime>);

pub(crate) async fn keys(env: &Environment, region: Option<&str>) -> Result<Found, Unavailable> {
    if let (Some(id), Some(secret)) = (env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")) {
        let session = env.get("AWS_SESSION_TOKEN").map(Secret::new);
        return Ok((Keys { id: id.to_owned(), secret: Secret::new(secret), session }, None));
    }
    if let (Some(file), Some(role)) = (env.get(TOKEN_FILE), env.get("AWS_ROLE_ARN")) {
        return web_identity(env, file, role, region).await;
    }
    if let Some(path) = env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        return container(env, CONTAINER, path).await;
    }
    if let Some(url) = env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
        let (address, path) = split(url);
        if !is_allowed(address) {
            return Err(permanent(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI has an address without TLS that is neither this machine's nor that of ECS or EKS",
            ));
        }
        return container(env, address, path).await;
    }
    if env.get("AWS_EC2_METADATA_DISABLED").is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
        return Err(permanent(
            "no AWS credentials: neither variables, nor a web identity, nor a container's, and AWS_EC2_METADATA_DISABLED is set",
        ));
    }
    instance(env).await
}

/// STS gives the credentials of the role for the token of a service account.
async fn web_identity(
    env: &Environment,
    file: &str,
    role: &str,
    region: Option<&str>,
) -> Result<Found, Unavailable> {
    let token = source::file(TOKEN_FILE, file).await?;
    let domain = if region.is_some_and(|region| region.starts_with("cn-")) { ".cn" } else { "" };
    let regional = region.map_or_else(
        || "https://sts.amazonaws.com".to_owned(),
        |region| format!("https://sts.{region}.amazonaws.com{domain}"),
    );
    let (address, path) = split(env.get("AWS_ENDPOINT_URL_STS").unwrap_or(&regional));
    let source = Source::new("AWS STS", address, env);
    let body = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
        encoded(role),
        encoded(env.get("AWS_ROLE_SESSION_NAME").unwrap_or("portcullis")),
        encoded(&token)
    );
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    let answer = source.send("POST", if path.is_empty() { "/" } else { path }, headers, &body).await?;
    let element = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text.trim())
    };
    let found = (element("AccessKeyId"), element("SecretAccessKey"), element("SessionToken"));
    found_keys(&source, found, element("Expiration"))
}

async fn container(env: &Environment, address: &str, path: &str) -> Result<Found, Unavailable> {
    let authorization = match env.get(AUTHORIZATION_FILE) {
        Some(path) => Some(source::file(AUTHORIZATION_FILE, path).await?),
        None => env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
    };
    if authorization.as_ref().is_some_and(|text| text.contains(['\r', '\n'])) {
        return Err(permanent("the authorization token of the container's credentials has several lines"));
    }
    let header = authorization.map_or_else(String::new, |text| format!("Authorization: {text}\r\n"));
    let source = Source::new("the container's credentials", address, env);
    let path = if path.is_empty() { "/" } else { path };
    of_json(&source, &source.json("GET", path, &header, "").await?)
}

fn is_allowed(address: &str) -> bool {
    let host = address.strip_prefix("http://").and_then(host_and_port).map(|(host, _)| host);
    address.starts_with("https://")
        || host.is_some_and(|host| {
            let is_local = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
            is_local || host == "localhost" || CONTAINERS.contains(&host.as_str())
        })
}

/// IMDSv2: a session's token first, then the name of the role, then its credentials.
async fn instance(env: &Environment) -> Result<Found, Unavailable> {
    let is_ipv6 = env
        .get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")
        .is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let default = if is_ipv6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" };
    let address = env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(default).trim_end_matches('/');
    let source = Source::new("the instance metadata service", address, env);
    let lifetime = "X-aws-ec2-metadata-token-ttl-seconds: 300\r\n";
    let session = source.send("PUT", "/latest/api/token", lifetime, "").await?;
    if session.contains(|c: char| c.is_control()) {
        return Err(source.invalid());
    }
    let header = format!("X-aws-ec2-metadata-token: {session}\r\n");
    let roles = source.send("GET", ROLES, &header, "").await?;
    let role = roles.lines().next().unwrap_or_default().trim();
    of_json(&source, &source.json("GET", &format!("{ROLES}{role}"), &header, "").await?)
}

fn of_json(source: &Source<'_>, answer: &Value) -> Result<Found, Unavailable> {
    let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty());
    let found = (text("AccessKeyId"), text("SecretAccessKey"), text("Token"));
    found_keys(source, found, text("Expiration"))
}

fn found_keys(
    source: &Source<'_>,
    found: (Option<&str>, Option<&str>, Option<&str>),
    expires: Option<&str>,
) -> Result<Found, Unavailable> {
    let (Some(id), Some(secret), session) = found else { return Err(source.invalid()) };
    let keys = Keys { id: id.to_owned(), secret: Secret::new(secret), session: session.map(Secret::new) };
    let expires = expires.map(|time| parse_rfc3339(time).ok_or_else(|| source.invalid())).transpose()?;
    Ok((keys, expires.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_without_tls_only_from_this_machine_and_from_the_platform() {
        for (address, allowed) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://[::1]:80", true),
            ("http://169.254.170.2", true),
            ("http://169.254.170.23", true),
            ("http://[fd00:ec2::23]", true),
            ("https://example.org", true),
            ("http://example.org", false),
            ("http://127.0.0.1.example.org", false),
            ("http://169.254.169.254", false),
            ("ftp://localhost", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(address), allowed, "{address}");
        }
    }
}
