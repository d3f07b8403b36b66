//! Lists the features of each database engine as data, for the check of a file, the doctor and the database.

use super::{Action, Database, fields::Table, problem::Problem, steps::ParsedStep};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// The engine's name in messages.
    pub(crate) engine: &'static str,
    /// The engine supports programs that create, copy and migrate tenants: the journal proves what they created.
    pub(crate) external_programs: bool,
    /// The engine can limit the time of a statement.
    pub(crate) statement_timeout: bool,
    /// The engine is a server: it has roles, limits and a clock, and possibly a pooler.
    pub(crate) server: bool,
}

pub(crate) const POSTGRES: Capabilities =
    Capabilities { engine: "PostgreSQL", external_programs: true, statement_timeout: true, server: true };

pub(crate) const SQLITE: Capabilities =
    Capabilities { engine: "SQLite", external_programs: false, statement_timeout: false, server: false };

impl Database {
    pub(crate) fn capabilities(&self) -> &'static Capabilities {
        match self {
            Self::Postgres(_) => &POSTGRES,
            Self::Sqlite(_) => &SQLITE,
        }
    }
}

impl Capabilities {
    /// Reports a framework that cannot work on this engine.
    pub(super) fn check_framework(&self, table: &mut Table<'_>, framework: &str) {
        if !self.external_programs {
            let message = format!(
                "`framework = \"{framework}\"` needs PostgreSQL, and `[database]` is {}",
                self.engine
            );
            let help =
                "give `[database]` a postgres:// URL, or apply files of plain SQL with `shared` and `tenant`";
            table.report_at("framework", &message, Some(help));
        }
    }

    /// Reports a limit that this engine does not support.
    pub(super) fn check_statement_timeout(&self, table: &mut Table<'_>) {
        if let (false, Some(node)) = (self.statement_timeout, table.node("statement_timeout")) {
            let message =
                format!("`statement_timeout` has no effect: {} has no limit for a statement", self.engine);
            table.report(
                Problem::warning(node.span.clone(), message).help("`timeout` is the limit for one tenant"),
            );
        }
    }

    /// The problem of a step that this engine does not support.
    pub(super) fn problem_of(&self, draft: &ParsedStep) -> Option<Problem> {
        let Some(Action::Bootstrap(bootstrap)) = &draft.action else { return None };
        if self.external_programs || bootstrap.run.is_empty() {
            return None;
        }
        let message = format!(
            "{} creates tenants with `run`, which needs PostgreSQL, and `[database]` is {}",
            draft.called, self.engine
        );
        let help =
            "give `[database]` a postgres:// URL, or remove `run`: Portcullis creates the tenants itself";
        Some(Problem::error(draft.kind_span.clone(), message).help(help))
    }
}
