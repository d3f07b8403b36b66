//! The source of a password.

use std::{path::PathBuf, time::Duration};

use crate::config::{
    environment::Environment,
    secret::{Secret, read_file_now},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Password {
    None,
    Literal(Secret),
    /// Read again for every connection, because it may rotate.
    File(PathBuf),
    /// Run again for every connection.
    Command {
        argv: Vec<String>,
        timeout: Duration,
    },
    Cloud(Box<Cloud>),
}

/// A cloud whose tokens are passwords, and the variables by which its platform describes the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cloud {
    pub(crate) service: CloudService,
    pub(crate) env: Environment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CloudService {
    AwsRds { region: Option<String> },
    GcpCloudSql,
    Azure { client_id: Option<String> },
}

impl Password {
    /// The text that is known without a request, read in the calling thread: only before a runtime has started.
    pub(crate) fn read_now(&self) -> Result<Option<Secret>, String> {
        match self {
            Password::None | Password::Command { .. } | Password::Cloud(_) => Ok(None),
            Password::Literal(secret) => Ok(Some(secret.clone())),
            Password::File(path) => read_file_now(path).map(Some),
        }
    }

    /// Whether it is requested when it is needed; programs can read all others themselves.
    pub(crate) fn is_requested(&self) -> bool {
        matches!(self, Self::Command { .. } | Self::Cloud(_))
    }

    /// For people.
    pub(crate) fn source(&self) -> String {
        match self {
            Password::None => "none".into(),
            Password::Literal(_) => "the configuration".into(),
            Password::File(path) => format!("the file `{}`", path.display()),
            Password::Command { argv, .. } => {
                format!("the command `{}`", argv.first().map_or("", String::as_str))
            }
            Password::Cloud(cloud) => match cloud.service {
                CloudService::AwsRds { .. } => "a token of Amazon RDS",
                CloudService::GcpCloudSql => "a token of Google Cloud SQL",
                CloudService::Azure { .. } => "a token of Azure",
            }
            .into(),
        }
    }
}

impl CloudService {
    /// The region of `x.y.REGION.rds.amazonaws.com`.
    pub(crate) fn region_of(host: &str) -> Option<&str> {
        let host = host.strip_suffix(".cn").unwrap_or(host);
        host.strip_suffix(".rds.amazonaws.com")?.rsplit('.').next().filter(|region| region.contains('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_server_of_rds_contains_its_region() {
        for (host, region) in [
            ("db.abc.eu-central-1.rds.amazonaws.com", Some("eu-central-1")),
            ("db.cluster-ro-abc.cn-north-1.rds.amazonaws.com.cn", Some("cn-north-1")),
            ("db.example.org", None),
            ("rds.amazonaws.com", None),
            ("x.rds.amazonaws.com", None),
        ] {
            assert_eq!(CloudService::region_of(host), region, "{host}");
        }
    }
}
