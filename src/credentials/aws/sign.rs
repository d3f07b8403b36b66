//! Signs a token of RDS: a presigned URL of Signature Version 4 without its scheme.

use std::time::{Duration, SystemTime};

use ring::hmac::{HMAC_SHA256, Key, sign};
use sha2::{Digest, Sha256};

use super::keys::Keys;
use crate::{
    config::{libpq::hosts::Host, secret::Secret},
    credentials::source::encoded,
    words::{hex, rfc3339},
};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// RDS accepts a token for this long after the time in it.
const VALID: Duration = Duration::from_mins(15);

/// The time in a token is rounded down to this. Many logins then have the same token, and a fast clock does no harm.
const STEP: u64 = 5 * 60;

/// The token for a login as `user`; it is masked from now on.
pub(crate) fn token(keys: &Keys, region: &str, host: &Host, user: &str, now: SystemTime) -> Secret {
    let time = rounded(now);
    let name = if host.name.is_empty() { host.target() } else { &host.name };
    let (url, signature) = presigned(keys, region, &format!("{name}:{}", host.port), user, time);
    let token = Secret::new(format!("{url}&X-Amz-Signature={signature}"));
    crate::config::secret::learn(&token);
    crate::config::secret::learn(&Secret::new(signature));
    token
}

/// The time at which a token that is made now expires.
pub(crate) fn expiry(now: SystemTime) -> SystemTime {
    rounded(now) + VALID
}

fn rounded(now: SystemTime) -> SystemTime {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since / STEP * STEP)
}

fn presigned(keys: &Keys, region: &str, address: &str, user: &str, time: SystemTime) -> (String, String) {
    // 20261128T014500Z
    let time = rfc3339(time).split('.').next().unwrap_or_default().replace(['-', ':'], "") + "Z";
    let day = time.get(..8).unwrap_or_default();
    let scope = [day, region, "rds-db", "aws4_request"];
    let credential = format!("{}/{}", keys.id, scope.join("/"));
    let valid = VALID.as_secs().to_string();
    let mut parameters = vec![
        ("Action", "connect"),
        ("DBUser", user),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", &credential),
        ("X-Amz-Date", &time),
        ("X-Amz-Expires", &valid),
        ("X-Amz-SignedHeaders", "host"),
    ];
    parameters.extend(keys.session.as_ref().map(|session| ("X-Amz-Security-Token", session.expose())));
    let url = format!("{address}/?{}", query(&parameters));
    parameters.sort_unstable();
    let request = format!(
        "GET\n/\n{}\nhost:{}\n\nhost\n{}",
        query(&parameters),
        address.to_ascii_lowercase(),
        hex(&Sha256::digest(b""))
    );
    (url, signature(keys, &scope, &time, &request))
}

fn query(parameters: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", encoded(value));
    parameters.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn signature(keys: &Keys, scope: &[&str; 4], time: &str, request: &str) -> String {
    let text = format!("{ALGORITHM}\n{time}\n{}\n{}", scope.join("/"), hex(&Sha256::digest(request)));
    let hmac = |key: &[u8], text: &str| sign(&Key::new(HMAC_SHA256, key), text.as_bytes());
    let first = hmac(format!("AWS4{}", keys.secret.expose()).as_bytes(), scope[0]);
    let key = scope[1..].iter().fold(first, |key, part| hmac(key.as_ref(), part));
    hex(hmac(key.as_ref(), &text).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(id: &str, session: Option<&str>) -> Keys {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        Keys { id: id.into(), secret, session: session.map(Secret::new) }
    }

    /// The presigned URL for S3 of "Authenticating Requests: Using Query Parameters" in the documentation of Amazon S3.
    #[test]
    fn a_signature_is_that_of_the_published_example() {
        let keys = Keys {
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ..keys("AKIAIOSFODNN7EXAMPLE", None)
        };
        let request = "GET\n/test.txt\nX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\nhost:examplebucket.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD";
        let scope = ["20130524", "us-east-1", "s3", "aws4_request"];
        assert_eq!(
            signature(&keys, &scope, "20130524T000000Z", request),
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    /// The tokens are those of `generate_db_auth_token` of botocore 1.44.8 at this time.
    #[test]
    fn a_token_equals_that_of_botocore() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_mins(29_930_505);
        for (keys, region, host, port, user, expected) in [
            (
                keys("AKIDEXAMPLE", None),
                "us-east-1",
                "db.abc.us-east-1.rds.amazonaws.com",
                5432,
                "app",
                "db.abc.us-east-1.rds.amazonaws.com:5432/?Action=connect&DBUser=app&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261128%2Fus-east-1%2Frds-db%2Faws4_request&X-Amz-Date=20261128T014500Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=1214c3f8360eeaba433248621fa01b120b72b7b32c1d5aee2a4c05546787668b",
            ),
            (
                keys("ASIAEXAMPLE", Some("FwoGZXIvYXdzE//+=/a b")),
                "eu-central-1",
                "db.abc.eu-central-1.rds.amazonaws.com",
                6543,
                "the app+\u{fc}/~x",
                "db.abc.eu-central-1.rds.amazonaws.com:6543/?Action=connect&DBUser=the%20app%2B%C3%BC%2F~x&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIAEXAMPLE%2F20261128%2Feu-central-1%2Frds-db%2Faws4_request&X-Amz-Date=20261128T014500Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=FwoGZXIvYXdzE%2F%2F%2B%3D%2Fa%20b&X-Amz-Signature=b07657cc8201527395f870c8d6520558f5053ccfc24893ecc74427c767858e7d",
            ),
        ] {
            let host = Host { name: host.into(), address: None, port };
            // Until the next step of time, the token is the same.
            for seconds in [0, 299] {
                let now = time + Duration::from_secs(seconds);
                assert_eq!(token(&keys, region, &host, user, now).expose(), expected);
            }
            assert_ne!(token(&keys, region, &host, user, time + Duration::from_mins(5)).expose(), expected);
        }
    }
}
