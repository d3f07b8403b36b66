//! A migration file of a framework.

/// A migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Relative to its folder, with slashes.
    pub(crate) path: String,
    /// The identifier that follows from the path; empty if the pattern does not identify.
    pub(crate) id: String,
    /// The description in the path; empty if it has none.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}
