//! Classifies a failed connection: temporary or permanent, and whether libpq would try another way.

use std::{error::Error, io};

use tokio_postgres::error::DbError;
use tokio_rustls::rustls::{self, CertificateError};

use super::{
    super::DatabaseError,
    error::{UNEXPECTED, is_protocol, server_cause},
};
use crate::{
    cause::{Cause, Kind},
    config::libpq::hosts::Host,
};

/// Why one attempt failed.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: DatabaseError,
    pub(super) stage: Stage,
}

/// How far the attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No connection, or the server is starting, stopping or unsuitable: the next host may be usable.
    Unreachable,
    /// The connection cannot be encrypted.
    Handshake,
    /// `pg_hba.conf` has no entry for this connection, with or without encryption.
    NotAllowed,
    /// The login failed.
    Login,
}

impl Refusal {
    pub(super) fn unreachable(error: DatabaseError) -> Self {
        Self { error, stage: Stage::Unreachable }
    }

    /// The server cannot be reached.
    pub(super) fn of_socket(address: &str, error: &io::Error) -> Self {
        let cause = Cause::io(address, error);
        Self::unreachable(if error.kind() == io::ErrorKind::PermissionDenied {
            DatabaseError::Never(cause)
        } else {
            DatabaseError::NotYet(Cause { kind: Kind::Unreachable, ..cause })
        })
    }

    /// The negotiation or the login failed.
    pub(super) fn of_login(host: &Host, no_passfile: Option<&String>, error: tokio_postgres::Error) -> Self {
        if let Some(server) = error.as_db_error() {
            return Self::of_server(server);
        }
        // The driver distinguishes its errors only by their text.
        let text = error.to_string();
        let source = error.into_source();
        let address = host.to_string();
        let of_driver = |kind, why: &str| Cause::new(kind, format!("{address}: {why}"));
        if let Some(bad) = source.as_deref().and_then(|source| tls_error(source)) {
            let why = of_driver(Kind::Certificate, &tls_text(bad, &host.name));
            return Self { error: DatabaseError::Never(why), stage: Stage::Handshake };
        }
        let io_error = source.as_deref().and_then(|source| source.downcast_ref::<io::Error>());
        let is_other_protocol = io_error.is_some_and(is_protocol) || text == UNEXPECTED;
        if is_other_protocol {
            let why = io_error.map_or(text, ToString::to_string);
            let why = of_driver(Kind::Protocol, &why);
            return Self { error: DatabaseError::Never(why), stage: Stage::Login };
        }
        if let Some(error) = io_error {
            let cause = Cause { kind: Kind::Unreachable, ..Cause::io(&address, error) };
            return Self { error: DatabaseError::NotYet(cause), stage: Stage::Handshake };
        }
        let detail = source.map_or_else(|| text.clone(), |source| source.to_string());
        match text.as_str() {
            "error performing TLS handshake" => {
                let why = of_driver(Kind::Certificate, &detail);
                Self { error: DatabaseError::Never(why), stage: Stage::Handshake }
            }
            "authentication error" => {
                let why = of_driver(Kind::Authentication, &detail);
                Self { error: DatabaseError::Never(why), stage: Stage::Login }
            }
            "invalid configuration" => {
                let also = no_passfile.map(|why| format!("; {why}")).unwrap_or_default();
                let why = format!("the server asks for a password, and none is given{also}");
                let why = of_driver(Kind::Authentication, &why);
                Self { error: DatabaseError::Never(why), stage: Stage::Login }
            }
            _ => {
                let why = of_driver(Kind::Unreachable, &detail);
                Self { error: DatabaseError::NotYet(why), stage: Stage::Login }
            }
        }
    }

    fn of_server(server: &DbError) -> Self {
        let (why, code) = (server_cause(server), server.code().code());
        let error = match is_temporary(code, server.message()) {
            true if why.is_connection() => DatabaseError::NotYet(why),
            // The connection ended before the session started.
            true => DatabaseError::NotYet(Cause { kind: Kind::Unreachable, ..why }),
            false if why.kind == Kind::Lost => {
                DatabaseError::Never(Cause { kind: Kind::Authentication, ..why })
            }
            // `options` or a setting of the role, whose SQLSTATE is that of a statement's error.
            false if matches!(why.kind, Kind::Missing | Kind::Rejected) => {
                DatabaseError::Never(Cause::new(Kind::Rejected, why.text))
            }
            false => DatabaseError::Never(why),
        };
        let stage = match code {
            "57P03" => Stage::Unreachable,
            "28000" => Stage::NotAllowed,
            _ => Stage::Login,
        };
        Self { error, stage }
    }
}

/// Whether a rejected login may succeed later. A pooler uses 08P01 for nearly every error, always in English; only for
/// it the message decides.
fn is_temporary(code: &str, message: &str) -> bool {
    match code.get(..2) {
        Some("08") => !["authentication failed", "no such database", "no such user", "unsupported startup"]
            .iter()
            .any(|words| message.contains(words)),
        Some("53" | "57" | "58" | "XX") => true,
        _ => false,
    }
}

/// rustls's certificate errors; an interrupted handshake is none.
fn tls_error<'e>(error: &'e (dyn Error + Send + Sync + 'static)) -> Option<&'e rustls::Error> {
    let error = error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(
        error,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::AlertReceived(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::PeerIncompatible(_)
    )
    .then_some(error)
}

fn tls_text(error: &rustls::Error, host: &str) -> String {
    let certificate = "the server's certificate";
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            format!("{certificate} is not issued by a certificate of `sslrootcert`")
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForName) => {
            format!("{certificate} is not valid for the name `{host}`")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => format!("{certificate} has expired"),
        rustls::Error::InvalidCertificate(other) => format!("{certificate} is not valid: {other}"),
        rustls::Error::AlertReceived(alert) => {
            format!("the server refuses the TLS settings or the client's certificate: {alert:?}")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poolers_credential_error_is_permanent() {
        assert!(!is_temporary("08P01", "password authentication failed"));
        assert!(is_temporary("08P01", "server_login_retry"));
    }

    #[test]
    fn a_starting_or_full_server_is_a_temporary_error() {
        for (code, later) in [
            ("57P03", true),
            ("53300", true),
            ("28P01", false),
            ("28000", false),
            ("3D000", false),
            ("42501", false),
        ] {
            assert_eq!(is_temporary(code, ""), later, "{code}");
        }
    }
}
