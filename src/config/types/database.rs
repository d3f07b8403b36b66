//! The location of the database and of its list of tenants.

use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{
    libpq::{Parameters, hosts::Host},
    secret::Secret,
    tenant_database::TenantDatabase,
};

use super::password::Password;

/// The location of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    Postgres(Box<Postgres>),
    Sqlite(Sqlite),
}

/// The parts of a PostgreSQL connection, as given; never parsed as a URL again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Postgres {
    /// Tried in this order.
    pub(crate) hosts: Vec<Host>,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) password: Password,
    /// libpq's other parameters (`sslmode`, `sslrootcert`, `options`, ...), from the URL, the service file and variables.
    pub(crate) parameters: Parameters,
    /// The schema that all tenants share.
    pub(crate) shared_schema: String,
    /// Bypasses a pooler, for the lock, migrations and provisioning.
    pub(crate) direct: Option<Box<Postgres>>,
    /// A role that may only SELECT, for the gate.
    pub(crate) reader: Option<Box<Postgres>>,
}

impl Postgres {
    /// Every server, for messages.
    pub(crate) fn address(&self) -> String {
        self.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// The connection string for a program with libpq, without the password.
    pub(crate) fn conninfo(&self) -> String {
        let list = |part: &dyn Fn(&Host) -> String| self.hosts.iter().map(part).collect::<Vec<_>>().join(",");
        let own = [
            ("host", list(&|host| host.name.clone())),
            ("hostaddr", list(&|host| host.address.clone().unwrap_or_default())),
            ("port", list(&|host| host.port.to_string())),
            ("dbname", self.name.clone()),
            ("user", self.user.clone()),
        ];
        let others = self.parameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let others = others.filter(|(name, _)| !matches!(*name, "service" | "servicefile"));
        let given = own.into_iter().chain(others).filter(|(_, value)| !value.is_empty());
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        given.map(|(name, value)| format!("{name}='{}'", quoted(&value))).collect::<Vec<_>>().join(" ")
    }
}

impl Postgres {
    /// The URL for a program, with the current password.
    pub(crate) fn url(&self, password: Option<&Secret>) -> Secret {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        let mut hosts = Vec::new();
        for host in &self.hosts {
            // Few clients read a socket's folder in the place of the host.
            if host.is_socket() {
                parameters.push(("host", &host.name));
                hosts.push(format!("localhost:{}", host.port));
            } else {
                hosts.push(host.to_string());
            }
        }
        let others = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        parameters.extend(others.filter(|(name, _)| !matches!(*name, "service" | "servicefile")));
        let parameters = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let parameters = parameters.collect::<Vec<_>>().join("&");
        let password = password.map(|password| format!(":{}", encoded(password.expose())));
        Secret::new(format!(
            "postgres://{}{}@{}/{}{}{parameters}",
            encoded(&self.user),
            password.unwrap_or_default(),
            hosts.join(","),
            encoded(&self.name),
            if parameters.is_empty() { "" } else { "?" },
        ))
    }
}

impl Database {
    /// The source that is asked for the password when a connection is opened, if one is.
    pub(crate) fn password_source(&self) -> Option<String> {
        match self {
            Self::Postgres(postgres) if postgres.password.is_requested() => Some(postgres.password.source()),
            _ => None,
        }
    }
}

/// One folder: `shared.sqlite`, and `tenants/<schema>.sqlite` for each tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sqlite {
    pub(crate) folder: PathBuf,
}

/// The source of the list of tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registry {
    pub(crate) table: String,
    pub(crate) schema_column: String,
    /// An SQL condition that a row must meet to count as a tenant.
    pub(crate) condition: Option<String>,
    /// The gate blocks if the registry has fewer rows.
    pub(crate) at_least: usize,
    /// The database of each tenant; None if the tenants are schemas (or files) of `[database]`.
    pub(crate) database: Option<TenantDatabase>,
}
