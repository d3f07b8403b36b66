//! Decides which parameters a URL may have: one that is neither used nor harmless is an error, never ignored.

use super::fault::{Fault, unknown};

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
pub(super) fn check(scheme: &str, name: &str, value: &str) -> Result<(), Fault> {
    let known = match scheme {
        // Parameters are part of the request.
        "http" | "https" => return Ok(()),
        "amqp" | "amqps" => AMQP,
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
