//! One request to a cloud's source of tokens, over HTTP or HTTPS, and its answer as JSON.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::refusal::{permanent, temporary};
use crate::{
    cause::{Cause, Kind, Unavailable},
    config::{environment::Environment, secret::Secret, url::host_and_port},
    deadline::Deadline,
    files,
    net::{http::Request, service::Service, tls::Roots},
    retry::{Pauses, Retry},
    words,
};

/// For one request with all of its attempts.
const TIMEOUT: Duration = Duration::from_secs(5);
const PAUSES: Pauses = Pauses::even(Duration::from_millis(200));
const ATTEMPTS: u32 = 3;

/// Larger files contain no token.
const LARGEST: u64 = 64 * 1024;

/// RFC 3986's unreserved characters are not encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A source of tokens. Messages contain its name and its address, never a header, a query or a body.
pub(super) struct Source<'s> {
    /// For messages: "the instance metadata service".
    pub(super) name: &'static str,
    /// Without a path.
    pub(super) address: &'s str,
    pub(super) env: &'s Environment,
    /// The header that an authentic answer has.
    pub(super) proof: Option<(&'static str, &'static str)>,
    /// Another status with which the source refuses for a moment only.
    pub(super) temporary: Option<u16>,
}

impl<'s> Source<'s> {
    pub(super) fn new(name: &'static str, address: &'s str, env: &'s Environment) -> Self {
        Self { name, address, env, proof: None, temporary: None }
    }

    /// The body of a successful answer. Refusals are permanent; no answer, a busy and a failing source are temporary.
    pub(super) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> Result<String, Unavailable> {
        let deadline = Deadline::after(TIMEOUT);
        let mut retry = Retry::new(PAUSES).until(deadline).at_most(ATTEMPTS);
        loop {
            let request = Request { method, host: "", target, headers, body: body.as_bytes() };
            let attempt = deadline.limit(self.attempt(&request, deadline)).await.unwrap_or_else(|_| {
                let text = format!("{} did not respond within {}", self.called(), words::duration(TIMEOUT));
                Err(Unavailable::Temporary(Cause::new(Kind::Silent, text)))
            });
            match attempt {
                Err(Unavailable::Temporary(_)) if retry.pause().await => {}
                attempt => return attempt,
            }
        }
    }

    /// The same; the body is a JSON object.
    pub(super) async fn json(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> Result<Value, Unavailable> {
        let text = self.send(method, target, headers, body).await?;
        serde_json::from_str(&text).map_err(|_| self.invalid())
    }

    async fn attempt(&self, request: &Request<'_>, deadline: Deadline) -> Result<String, Unavailable> {
        let unusable = || permanent(format!("{} has no valid address", self.called()));
        let (scheme, authority) = self.address.split_once("://").ok_or_else(unusable)?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(unusable()),
        };
        let (host, port) = host_and_port(authority).ok_or_else(unusable)?;
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        let file = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"].iter().find_map(|name| self.env.get(name));
        let roots = secure.then(|| Roots::with_file(file.map(PathBuf::from)));
        let mut service = Service::with_roots(&host, port, roots);
        let mut stream = service.connect(deadline).await.map_err(|why| self.named(why))?;
        let no_answer = |error: std::io::Error| {
            let text = format!("{}: no HTTP answer: {error}", self.called());
            Unavailable::Temporary(Cause::new(Kind::Unreachable, text))
        };
        let answer = Request { host: authority, ..*request }.send(&mut stream).await.map_err(no_answer)?;
        let status = answer.status;
        let is_authentic = self
            .proof
            .is_none_or(|(header, value)| answer.header(header).is_some_and(|found| found == value));
        match status {
            200..300 if !is_authentic => Err(permanent(format!("{} is another service", self.called()))),
            200..300 => {
                let body = answer.body(&mut stream).await.map_err(no_answer)?;
                String::from_utf8(body).map_err(|_| self.invalid())
            }
            status if matches!(status, 408 | 410 | 429 | 500..) || self.temporary == Some(status) => {
                Err(temporary(format!("{} answers {status}", self.called())))
            }
            400 if is_busy(&answer.body(&mut stream).await.map_err(no_answer)?) => {
                Err(temporary(format!("{} answers that it is busy", self.called())))
            }
            _ => Err(permanent(format!("{} refuses the request with {status}", self.called()))),
        }
    }

    fn called(&self) -> String {
        format!("{} at {}", self.name, self.address)
    }

    fn named(&self, why: Unavailable) -> Unavailable {
        let text = |cause: Cause| {
            let text = format!("{}: {cause}", self.called());
            cause.with_text(text)
        };
        match why {
            Unavailable::Temporary(cause) => Unavailable::Temporary(text(cause)),
            Unavailable::Permanent(cause) => Unavailable::Permanent(text(cause)),
        }
    }

    /// The answer is not what the source documents.
    pub(super) fn invalid(&self) -> Unavailable {
        permanent(format!("{} gives an answer that contains no credentials", self.called()))
    }

    /// A token of OAuth, with the time at which it expires.
    pub(super) fn token(&self, answer: &Value) -> Result<(Secret, Option<SystemTime>), Unavailable> {
        let token = answer["access_token"].as_str().filter(|token| !token.is_empty());
        let number = |name: &str| {
            let value = &answer[name];
            let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
            Some(Duration::from_secs(seconds))
        };
        let lasts = number("expires_in").map(|seconds| SystemTime::now() + seconds);
        let expires = lasts.or_else(|| number("expires_on").map(|seconds| SystemTime::UNIX_EPOCH + seconds));
        Ok((Secret::new(token.ok_or_else(|| self.invalid())?), expires))
    }
}

/// The text of a file that the platform renews, without the newline at its end.
pub(super) async fn file(variable: &str, path: &str) -> Result<String, Unavailable> {
    let read = PathBuf::from(path);
    let text = files::within(files::TIMEOUT, move || files::read_text_now(&read, LARGEST)).await;
    let failed = |error| {
        let cause = Cause::io(&format!("cannot read `{path}`, the file of {variable}"), &error);
        Unavailable::Permanent(Cause { kind: Kind::PasswordSource, ..cause })
    };
    text.map(|text| text.trim_end_matches(['\n', '\r']).to_owned()).map_err(failed)
}

/// A value in a query or a form.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The address and the path of a URL.
pub(super) fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    url.split_at(url[host..].find('/').map_or(url.len(), |at| host + at))
}

/// AWS's token service also refuses with 400 what may succeed later.
fn is_busy(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| Some(rest.split_once("</Code>")?.0));
    code.is_some_and(|code| code.starts_with("Throttling") || code == "IDPCommunicationError")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_token_service_refuses_with_400() {
        for (code, busy) in
            [("Throttling", true), ("IDPCommunicationError", true), ("InvalidIdentityToken", false)]
        {
            let body = format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
            assert_eq!(is_busy(body.as_bytes()), busy, "{code}");
        }
        assert!(!is_busy(b"Throttling"));
    }
}
