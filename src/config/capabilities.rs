//! Lists the features of each database engine as data, for the check of a file, the doctor and the database.

use super::{
    Action, Database, Registry, fields::Table, frameworks::reads_files, problem::Problem, steps::ParsedStep,
};

#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate capability")]
pub(crate) struct Capabilities {
    /// The engine's name in messages.
    pub(crate) engine: &'static str,
    /// The engine supports programs that migrate tenants.
    pub(crate) external_programs: bool,
    /// The engine supports programs that create tenants: the journal proves what they created.
    pub(crate) creating_programs: bool,
    /// Each tenant has its own database, whose URL its program receives.
    pub(crate) tenant_databases: bool,
    /// The engine can limit the time of a statement.
    pub(crate) statement_timeout: bool,
    /// The engine is a server: it has roles, limits and a clock, and possibly a pooler.
    pub(crate) server: bool,
}

pub(crate) const POSTGRES: Capabilities = Capabilities {
    engine: "PostgreSQL",
    external_programs: true,
    creating_programs: true,
    tenant_databases: false,
    statement_timeout: true,
    server: true,
};

pub(crate) const TENANT_DATABASES: Capabilities = Capabilities {
    engine: "PostgreSQL with a database for each tenant",
    creating_programs: false,
    tenant_databases: true,
    ..POSTGRES
};

pub(crate) const SQLITE: Capabilities = Capabilities {
    engine: "SQLite",
    external_programs: false,
    creating_programs: false,
    tenant_databases: false,
    statement_timeout: false,
    server: false,
};

impl Database {
    pub(crate) fn capabilities(&self, registry: Option<&Registry>) -> &'static Capabilities {
        match self {
            Self::Postgres(_) if registry.is_some_and(|registry| registry.database.is_some()) => {
                &TENANT_DATABASES
            }
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

    /// Reports what needs one program for many schemas of one database.
    pub(super) fn check_project(&self, table: &mut Table<'_>, framework: &str, has_command: bool) {
        if self.creating_programs || !self.external_programs {
            return;
        }
        if !reads_files(framework) && !has_command {
            let message =
                format!("`framework = \"{framework}\"` needs `apply.run` with a database for each tenant");
            table.report_at(
                "framework",
                &message,
                Some("the command migrates one tenant, whose database is in `DATABASE_URL`"),
            );
        }
        if table.has("template") {
            let message = "a template is a schema, and each tenant has its own database";
            table.report_at("template", message, Some("remove `template`"));
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
        if self.creating_programs || bootstrap.run.is_empty() {
            return None;
        }
        let message = format!(
            "{} creates tenants with `run`, which needs a schema of PostgreSQL for each tenant, and this is {}",
            draft.called, self.engine
        );
        let help = "remove `run`: Portcullis creates the tenants itself";
        Some(Problem::error(draft.kind_span.clone(), message).help(help))
    }
}
