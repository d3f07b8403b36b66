//! Decides which parameters a URL may have: one that is neither used nor harmless is an error, never ignored.

use super::fault::{Fault, unknown};

/// libpq's modes, from the least to the most secure.
pub(in crate::config) const SSL_MODES: [&str; 6] =
    ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The treatment of a parameter.
enum Support {
    Honoured,
    /// It tunes the application's own connections, and has no effect on a short one.
    Harmless,
    /// These values match the fixed behaviour; others are refused.
    Only(&'static [&'static str]),
    Refused,
}
use Support::{Harmless, Honoured, Only, Refused};

type Parameters = &'static [(&'static str, Support)];

/// libpq's parameters, as of version 18.
const POSTGRES: Parameters = &[
    ("host", Honoured),
    ("port", Honoured),
    ("dbname", Honoured),
    ("user", Honoured),
    ("password", Honoured),
    ("sslmode", Only(&SSL_MODES)),
    ("sslrootcert", Honoured),
    ("sslcert", Honoured),
    ("sslkey", Honoured),
    ("application_name", Honoured),
    ("options", Honoured),
    ("connect_timeout", Harmless),
    ("keepalives", Harmless),
    ("keepalives_idle", Harmless),
    ("keepalives_interval", Harmless),
    ("keepalives_count", Harmless),
    ("tcp_user_timeout", Harmless),
    ("fallback_application_name", Harmless),
    ("channel_binding", Only(&["disable", "prefer"])),
    ("gssencmode", Only(&["disable", "prefer"])),
    ("target_session_attrs", Only(&["any"])),
    ("load_balance_hosts", Only(&["disable"])),
    ("client_encoding", Only(&["UTF8", "utf8", "UTF-8", "utf-8"])),
    ("sslcompression", Only(&["0"])),
    ("sslsni", Only(&["1"])),
    ("sslnegotiation", Only(&["postgres"])),
    ("hostaddr", Refused),
    ("passfile", Refused),
    ("require_auth", Refused),
    ("requirepeer", Refused),
    ("requiressl", Refused),
    ("sslcertmode", Refused),
    ("sslcrl", Refused),
    ("sslcrldir", Refused),
    ("sslkeylogfile", Refused),
    ("sslpassword", Refused),
    ("ssl_min_protocol_version", Refused),
    ("ssl_max_protocol_version", Refused),
    ("min_protocol_version", Refused),
    ("max_protocol_version", Refused),
    ("gssdelegation", Refused),
    ("gsslib", Refused),
    ("krbsrvname", Refused),
    ("replication", Refused),
    ("scram_client_key", Refused),
    ("scram_server_key", Refused),
    ("service", Refused),
    ("servicefile", Refused),
    ("oauth_client_id", Refused),
    ("oauth_issuer", Refused),
];

/// The parameters of redis-py, which Celery and Django pass on, and of the socket form.
const REDIS: Parameters = &[
    ("db", Honoured),
    ("user", Honoured),
    ("username", Honoured),
    ("pass", Honoured),
    ("password", Honoured),
    ("protocol", Only(&["2", "3", "resp2", "resp3"])),
    ("ssl_cert_reqs", Only(&["required", "CERT_REQUIRED"])),
    ("ssl_check_hostname", Only(&["true", "True", "1"])),
    ("client_name", Harmless),
    ("health_check_interval", Harmless),
    ("max_connections", Harmless),
    ("retry_on_timeout", Harmless),
    ("socket_connect_timeout", Harmless),
    ("socket_keepalive", Harmless),
    ("socket_timeout", Harmless),
    ("timeout", Harmless),
    ("ssl_ca_certs", Refused),
    ("ssl_certfile", Refused),
    ("ssl_keyfile", Refused),
];

/// The parameters of RabbitMQ's clients and of Pika.
const AMQP: Parameters = &[
    ("auth_mechanism", Only(&["plain", "PLAIN"])),
    ("verify", Only(&["verify_peer"])),
    ("blocked_connection_timeout", Harmless),
    ("channel_max", Harmless),
    ("connection_attempts", Harmless),
    ("connection_timeout", Harmless),
    ("frame_max", Harmless),
    ("heartbeat", Harmless),
    ("retry_delay", Harmless),
    ("socket_timeout", Harmless),
    ("cacertfile", Refused),
    ("certfile", Refused),
    ("fail_if_no_peer_cert", Refused),
    ("keyfile", Refused),
    ("ssl_options", Refused),
];

/// Refuses a parameter that would be ignored.
pub(in crate::config) fn check(scheme: &str, name: &str, value: &str) -> Result<(), Fault> {
    let known = match scheme {
        // Parameters are part of the request.
        "http" | "https" => return Ok(()),
        "amqp" | "amqps" => AMQP,
        "postgres" | "postgresql" => POSTGRES,
        _ => REDIS,
    };
    let Some((name, support)) = known.iter().find(|(known, _)| *known == name) else {
        let accepted = known.iter().filter(|(_, support)| !matches!(support, Refused));
        return Err(unknown(name, &accepted.map(|(name, _)| *name).collect::<Vec<_>>()));
    };
    let message = match support {
        Honoured | Harmless => return Ok(()),
        Only(values) if value.is_empty() || values.contains(&value) => return Ok(()),
        Only(values) => format!("the parameter `{name}` of the URL can only be {}", values.join(" or ")),
        Refused => format!("the parameter `{name}` of the URL is not supported"),
    };
    let help = "remove it: without the parameter, the connection would differ from the URL";
    Err(Fault { help: Some(help.into()), ..Fault::from(message.as_str()) })
}
