//! libpq's parameters and their variables, as of version 18. A parameter without effect would be a connection that
//! differs from its description, so it is an error.

use std::collections::BTreeMap;

use crate::config::problem::nearest;

/// Parameters by libpq's names. An absent one and an empty one are the same.
pub(crate) type Parameters = BTreeMap<String, String>;

/// libpq's modes, from the least to the most secure.
pub(in crate::config) const SSL_MODES: [&str; 6] =
    ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

const TLS_VERSIONS: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const SESSIONS: &[&str] = &["any", "read-write", "read-only", "primary", "standby", "prefer-standby"];
const SWITCH: &[&str] = &["0", "1"];

/// One parameter.
pub(in crate::config) struct Parameter {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) variable: Option<&'static str>,
    pub(in crate::config) support: Support,
}

/// The treatment of a parameter.
pub(in crate::config) enum Support {
    /// Any value.
    Honoured,
    Number,
    /// These values; libpq has no others.
    Words(&'static [&'static str]),
    /// Only these of libpq's values; the text names the alternative.
    Only(&'static [&'static str], &'static str),
    /// The text names the alternative.
    Refused(&'static str),
}
use Support::{Honoured, Number, Only, Refused, Words};

const fn parameter(name: &'static str, variable: &'static str, support: Support) -> Parameter {
    Parameter { name, variable: if variable.is_empty() { None } else { Some(variable) }, support }
}

const NO_GSS: &str = "GSSAPI and Kerberos are not supported: give a password or a client certificate";
const NO_OAUTH: &str = "OAuth is not supported: give a password or a client certificate";
const NO_REVOCATION: &str = "revocation lists are not supported: issue short-lived certificates";
const NO_SCRAM_KEYS: &str = "give the password, also as a file";

pub(in crate::config) const PARAMETERS: &[Parameter] = &[
    parameter("host", "PGHOST", Honoured),
    parameter("hostaddr", "PGHOSTADDR", Honoured),
    parameter("port", "PGPORT", Honoured),
    parameter("dbname", "PGDATABASE", Honoured),
    parameter("user", "PGUSER", Honoured),
    parameter("password", "PGPASSWORD", Honoured),
    parameter("passfile", "PGPASSFILE", Honoured),
    parameter("service", "PGSERVICE", Honoured),
    parameter("servicefile", "PGSERVICEFILE", Honoured),
    parameter("options", "PGOPTIONS", Honoured),
    parameter("application_name", "PGAPPNAME", Honoured),
    parameter("fallback_application_name", "", Honoured),
    parameter("connect_timeout", "PGCONNECT_TIMEOUT", Number),
    parameter("target_session_attrs", "PGTARGETSESSIONATTRS", Words(SESSIONS)),
    parameter("load_balance_hosts", "PGLOADBALANCEHOSTS", Words(&["disable", "random"])),
    parameter("sslmode", "PGSSLMODE", Words(&SSL_MODES)),
    parameter("sslrootcert", "PGSSLROOTCERT", Honoured),
    parameter("sslcert", "PGSSLCERT", Honoured),
    parameter("sslkey", "PGSSLKEY", Honoured),
    parameter(
        "sslcertmode",
        "PGSSLCERTMODE",
        Only(&["disable", "allow"], "demand the certificate in pg_hba.conf"),
    ),
    parameter("sslsni", "PGSSLSNI", Words(SWITCH)),
    parameter("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Words(TLS_VERSIONS)),
    parameter("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Words(TLS_VERSIONS)),
    parameter("channel_binding", "PGCHANNELBINDING", Words(&["disable", "prefer", "require"])),
    parameter("keepalives", "", Words(SWITCH)),
    parameter("keepalives_idle", "", Number),
    parameter("keepalives_interval", "", Number),
    parameter("keepalives_count", "", Number),
    parameter("tcp_user_timeout", "", Number),
    parameter(
        "client_encoding",
        "PGCLIENTENCODING",
        Only(&["UTF8", "utf8", "UTF-8", "utf-8", "auto"], "text is sent as UTF-8"),
    ),
    parameter("sslcompression", "PGSSLCOMPRESSION", Only(&["0"], "compression makes TLS insecure")),
    parameter("sslnegotiation", "PGSSLNEGOTIATION", Only(&["postgres"], "remove it")),
    parameter(
        "gssencmode",
        "PGGSSENCMODE",
        Only(&["disable", "prefer"], "encrypt with TLS: `sslmode=verify-full`"),
    ),
    parameter("min_protocol_version", "PGMINPROTOCOLVERSION", Only(&["3.0"], "remove it")),
    parameter("max_protocol_version", "PGMAXPROTOCOLVERSION", Only(&["3.0", "3.2", "latest"], "remove it")),
    parameter("require_auth", "PGREQUIREAUTH", Refused("`channel_binding=require` demands SCRAM over TLS")),
    parameter("requirepeer", "PGREQUIREPEER", Refused("restrict the access to the folder of the socket")),
    parameter("requiressl", "PGREQUIRESSL", Refused("`sslmode=require`")),
    parameter("sslcrl", "PGSSLCRL", Refused(NO_REVOCATION)),
    parameter("sslcrldir", "PGSSLCRLDIR", Refused(NO_REVOCATION)),
    parameter("sslpassword", "", Refused("store the key without a password, readable only for its user")),
    parameter("sslkeylogfile", "", Refused("remove it")),
    parameter("replication", "", Refused("remove it")),
    parameter("gssdelegation", "PGGSSDELEGATION", Refused(NO_GSS)),
    parameter("gsslib", "PGGSSLIB", Refused(NO_GSS)),
    parameter("krbsrvname", "PGKRBSRVNAME", Refused(NO_GSS)),
    parameter("scram_client_key", "", Refused(NO_SCRAM_KEYS)),
    parameter("scram_server_key", "", Refused(NO_SCRAM_KEYS)),
    parameter("oauth_client_id", "", Refused(NO_OAUTH)),
    parameter("oauth_client_secret", "", Refused(NO_OAUTH)),
    parameter("oauth_issuer", "", Refused(NO_OAUTH)),
    parameter("oauth_scope", "", Refused(NO_OAUTH)),
];

/// Refuses a value without the promised effect; `place` names its source.
pub(in crate::config) fn check(name: &str, value: &str, place: &str) -> Result<(), String> {
    let Some(known) = PARAMETERS.iter().find(|known| known.name == name) else {
        let names: Vec<_> = PARAMETERS.iter().map(|known| known.name).collect();
        let help = nearest(name, &names).map(|near| format!(": did you mean `{near}`?"));
        return Err(format!("the {place} is unknown{}", help.unwrap_or_default()));
    };
    // libpq compares the versions of TLS without regard to case.
    let is_one_of = |words: &[&str]| match name {
        "ssl_min_protocol_version" | "ssl_max_protocol_version" => {
            words.iter().any(|word| word.eq_ignore_ascii_case(value))
        }
        _ => words.contains(&value),
    };
    match known.support {
        _ if value.is_empty() => Ok(()),
        Refused(instead) => Err(format!("the {place} is not supported; {instead}")),
        Words(words) if !is_one_of(words) => Err(format!("the {place} must be {}", words.join(" or "))),
        Only(words, instead) if !is_one_of(words) => {
            Err(format!("the {place} can only be {}; {instead}", words.join(" or ")))
        }
        Number if value.trim().parse::<i32>().is_err() => Err(format!("the {place} is not a number")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Environment;

    #[test]
    fn a_parameter_without_effect_is_refused_with_the_alternative() {
        let refusal = |name, value| check(name, value, &format!("parameter `{name}`")).err();
        for (name, value, message) in [
            (
                "sslcrl",
                "/crl.pem",
                "the parameter `sslcrl` is not supported; revocation lists are not supported: issue short-lived certificates",
            ),
            (
                "gssencmode",
                "require",
                "the parameter `gssencmode` can only be disable or prefer; encrypt with TLS: `sslmode=verify-full`",
            ),
            (
                "sslmode",
                "sometimes",
                "the parameter `sslmode` must be disable or allow or prefer or require or verify-ca or verify-full",
            ),
            ("connect_timeout", "soon", "the parameter `connect_timeout` is not a number"),
            ("sslmod", "require", "the parameter `sslmod` is unknown: did you mean `sslmode`?"),
        ] {
            assert_eq!(refusal(name, value).as_deref(), Some(message));
        }
        for (name, value) in
            [("sslcrl", ""), ("channel_binding", "require"), ("ssl_min_protocol_version", "tlsv1.3")]
        {
            assert_eq!(refusal(name, value), None, "{name}");
        }
    }

    /// `UPDATE_DOCS=1 cargo test --lib documentation` writes the table.
    #[test]
    fn the_documentation_has_every_parameter() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/postgresql.md");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let (before, rest) = text.split_once("<!-- libpq -->\n").unwrap_or_default();
        let (_, after) = rest.split_once("<!-- end -->").unwrap_or_default();
        let mut table = "\n| parameter | variable | |\n|---|---|---|\n".to_owned();
        for parameter in PARAMETERS {
            let code =
                |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let variable = parameter.variable.map(|variable| format!("`{variable}`")).unwrap_or_default();
            let treatment = match parameter.support {
                Honoured => "honoured".to_owned(),
                Number => "honoured: a number".into(),
                Words(words) => format!("honoured: {}", code(words)),
                Only(words, instead) => format!("only {}; otherwise refused: {instead}", code(words)),
                Refused(instead) => format!("refused: {instead}"),
            };
            table += &format!("| `{}` | {variable} | {treatment} |\n", parameter.name);
        }
        let made = format!("{before}<!-- libpq -->\n{table}\n<!-- end -->{after}");
        if Environment::of_process().get("UPDATE_DOCS").is_some() {
            assert!(std::fs::write(path, made).is_ok());
        } else {
            assert!(text == made, "update docs/postgresql.md: UPDATE_DOCS=1 cargo test --lib documentation");
        }
    }
}
