//! How a tool's ledger is recognised in a database, and what `[migrations]` says about its project.

/// The ledger of one tool.
#[derive(Debug)]
pub(crate) struct Signature {
    /// The tool in messages.
    pub(crate) title: &'static str,
    pub(crate) table: &'static str,
    /// The columns that tell it apart from the ledgers of other tools.
    pub(crate) columns: &'static [&'static str],
    /// Another table that the tool creates in the same schema, if the columns alone do not tell it apart.
    pub(crate) beside: Option<&'static str>,
    /// The usual folders of a tenant's migrations; the first one is the default.
    pub(crate) folders: &'static [&'static str],
    /// The other lines of `[migrations]`.
    pub(crate) lines: &'static str,
}

impl Signature {
    /// The content of `[migrations]` for a ledger of this name, with the migrations of `scope` in this folder.
    pub(crate) fn migrations(
        &self,
        framework: &str,
        table: &str,
        scope: &str,
        folder: Option<&str>,
    ) -> String {
        let mut text = format!("framework = \"{framework}\"\n");
        if let Some(folder) = folder {
            text += &format!("{scope} = \"{folder}\"\n");
        }
        let parent = folder.and_then(|folder| Some(folder.rsplit_once('/')?.0)).unwrap_or(".");
        let lines = self.lines.replace("{parent}", parent);
        let own = format!("table = \"{}\"", self.table);
        text += &lines.replace(&own, &format!("table = \"{table}\""));
        if table != self.table && !self.lines.contains(&own) {
            text += &format!("ledger = {{ table = \"{table}\" }}\n");
        }
        text
    }
}
