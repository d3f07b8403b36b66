//! The user and the privileges of a program.

/// The user and the privileges with which a program runs; by default, those of Portcullis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the name that the kernel and Kubernetes use")]
pub(crate) struct Privileges {
    /// A name or a number.
    pub(crate) user: Option<String>,
    /// A name or a number.
    pub(crate) group: Option<String>,
    /// One bit for each capability that the program may have; None for those that its user has.
    pub(crate) capabilities: Option<u64>,
    pub(crate) no_new_privileges: bool,
}
