//! Amazon RDS: a token of IAM database authentication, signed with this container's AWS credentials.

mod keys;
mod sign;
mod sources;

pub(crate) use self::keys::Keys;
pub(super) use self::{
    sign::{expiry, token},
    sources::keys,
};
