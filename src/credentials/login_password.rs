//! A password for one login, or for several.

use std::time::SystemTime;

use super::{
    aws::{self, Keys},
    refusal::permanent,
};
use crate::{
    cause::Unavailable,
    config::{CloudService, libpq::hosts::Host, secret::Secret},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoginPassword {
    Text(Secret),
    /// A token of Amazon RDS is made for each server and each user.
    Rds {
        keys: Keys,
        region: Option<String>,
        default_region: Option<String>,
    },
}

impl LoginPassword {
    /// The text for this server and this user.
    pub(crate) fn of(&self, host: &Host, user: &str) -> Result<Secret, Unavailable> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::Rds { keys, region, default_region } => {
                let region = region.as_deref().or_else(|| CloudService::region_of(&host.name));
                let region = region.or(default_region.as_deref());
                let unknown = || permanent("`aws_rds` needs `region`, because the server's name has none");
                Ok(aws::token(keys, region.ok_or_else(unknown)?, host, user, SystemTime::now()))
            }
        }
    }
}
