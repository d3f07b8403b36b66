//! Collects the likely cause and the steps of one advice. No step advises the running command.

use serde::Serialize;

use super::{
    super::running::Running,
    invocation::{self, quoted},
};
use crate::{failure::MissingValues, outcome::wording, words};

/// The likely cause and the steps, in the order in which to try them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) cause: Option<&'static str>,
    pub(crate) actions: Vec<Action>,
}

/// One step; its command can be pasted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Action {
    pub(crate) text: String,
    pub(crate) command: Option<String>,
}

/// A command line of Portcullis. `of` is its command.
pub(super) struct PortcullisCommand {
    of: Running,
    line: String,
}

pub(super) struct Steps {
    pub(super) running: Running,
    advice: Advice,
}

impl Steps {
    pub(super) fn new(running: Running) -> Self {
        Self { running, advice: Advice::default() }
    }

    /// Sets the likely cause unless it is set.
    pub(super) fn cause(&mut self, cause: &'static str) {
        self.advice.cause.get_or_insert(cause);
    }

    pub(super) fn has_cause(&self) -> bool {
        self.advice.cause.is_some()
    }

    pub(super) fn add_step(&mut self, text: impl Into<String>) {
        self.add(text.into(), None);
    }

    /// Adds a step with another command: SQL, or a shell's command.
    pub(super) fn paste(&mut self, text: impl Into<String>, command: impl Into<String>) {
        self.add(text.into(), Some(command.into()));
    }

    /// Adds a command that shows more, unless it is the running command.
    pub(super) fn see(&mut self, text: impl Into<String>, own: PortcullisCommand) {
        if own.of != self.running {
            self.add(text.into(), Some(own.line));
        }
    }

    /// Adds a command that changes something; for the running command, the step is to run it again.
    pub(super) fn apply(&mut self, text: impl Into<String>, own: PortcullisCommand) {
        let text = text.into();
        if own.of == self.running {
            self.add(format!("{text}: {}", self.running.again()), None);
        } else if own.of == Running::Manifest && invocation::in_container() {
            let build = format!("`{}` in the image's build, then start the new image", own.line);
            self.add(format!("{text}: {build}"), None);
        } else {
            self.add(text, Some(own.line));
        }
    }

    /// Adds a command even if it is the running one, because its arguments differ.
    pub(super) fn rerun(&mut self, text: impl Into<String>, own: PortcullisCommand) {
        self.add(text.into(), Some(own.line));
    }

    /// Adds several commands with one text.
    pub(super) fn rerun_each(&mut self, text: &str, own: Vec<PortcullisCommand>) {
        for command in own {
            self.rerun(text, command);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.advice.actions.is_empty()
    }

    pub(super) fn advice(self) -> Advice {
        self.advice
    }

    fn add(&mut self, text: String, command: Option<String>) {
        let command = command.map(|line| invocation::command_line(&line));
        let action = Action { text, command };
        if !self.advice.actions.contains(&action) {
            self.advice.actions.push(action);
        }
    }
}

impl Action {
    /// The step in one line.
    pub(crate) fn line(&self) -> String {
        match &self.command {
            Some(command) => format!("{}: {command}", self.text),
            None => self.text.clone(),
        }
    }
}

/// The maximum number of names; the others are counted.
const NAMED: usize = 3;

/// `acme, beta, gamma and 12 more`; None is the shared schema.
pub(super) fn names(schemas: &[Option<&str>]) -> String {
    let names: Vec<&str> = schemas.iter().map(|schema| wording::name(*schema)).collect();
    words::list(&names, NAMED)
}

/// `portcullis verify` for these tenants, or for all if they are many.
pub(super) fn verify(schemas: &[Option<&str>]) -> PortcullisCommand {
    let tenants: Vec<&str> = schemas.iter().flatten().copied().collect();
    let line = if tenants.len() < schemas.len() || tenants.len() > NAMED {
        "portcullis verify".into()
    } else {
        format!("portcullis verify{}", arguments(&tenants))
    };
    PortcullisCommand { of: Running::Verify, line }
}

/// `portcullis migrate` for these schemas, or for all if they are many.
pub(super) fn migrate(schemas: &[Option<&str>]) -> PortcullisCommand {
    let tenants: Vec<&str> = schemas.iter().flatten().copied().collect();
    let line = match (tenants.len() < schemas.len(), tenants.len()) {
        (true, 0) => "portcullis migrate --shared".into(),
        (false, 1..=NAMED) => format!("portcullis migrate{}", arguments(&tenants)),
        _ => "portcullis migrate".into(),
    };
    PortcullisCommand { of: Running::Migrate, line }
}

/// The names as arguments, after `--` if one begins with `-`.
fn arguments(tenants: &[&str]) -> String {
    let lead = if tenants.iter().any(|tenant| tenant.starts_with('-')) { " --" } else { "" };
    tenants.iter().fold(lead.to_owned(), |text, tenant| text + &format!(" {}", quoted(tenant)))
}

pub(super) fn repair(tenant: &str) -> PortcullisCommand {
    PortcullisCommand { of: Running::Repair, line: format!("portcullis repair{}", arguments(&[tenant])) }
}

/// `portcullis repair --record` for the shared schema and for the tenants, as far as they are among these.
pub(super) fn record(schemas: &[Option<&str>]) -> Vec<PortcullisCommand> {
    repairs(" --record", schemas)
}

/// `portcullis repair --restore` for these schemas.
pub(super) fn restore(schemas: &[Option<&str>]) -> Vec<PortcullisCommand> {
    repairs(" --restore", schemas)
}

fn repairs(method: &str, schemas: &[Option<&str>]) -> Vec<PortcullisCommand> {
    let tenants: Vec<&str> = schemas.iter().flatten().copied().collect();
    let mut targets = Vec::new();
    if tenants.len() < schemas.len() {
        targets.push(" --shared".to_owned());
    }
    match tenants.len() {
        0 => {}
        1..=NAMED => targets.push(arguments(&tenants)),
        _ => targets.push(" --all-affected".to_owned()),
    }
    let command = |target| PortcullisCommand {
        of: Running::Repair,
        line: format!("portcullis repair{method}{target}"),
    };
    targets.into_iter().map(command).collect()
}

/// `target` is a tenant, or None for all affected tenants.
pub(super) fn replay(target: Option<&str>, app: &str, options: &str) -> PortcullisCommand {
    let target = target.map_or_else(|| "--all-affected".to_owned(), quoted);
    PortcullisCommand {
        of: Running::Replay,
        line: format!("portcullis repair {target} --replay {}{options}", quoted(app)),
    }
}

pub(super) fn delete(tenant: &str) -> PortcullisCommand {
    PortcullisCommand {
        of: Running::TenantDelete,
        line: format!("portcullis tenant delete {}", quoted(tenant)),
    }
}

/// The two ways out of a creation that a framework's command did not finish.
pub(super) fn remove_half_created(steps: &mut Steps, tenant: &str) {
    steps.apply(format!("delete {tenant}; the next bootstrap creates it again"), delete(tenant));
    steps.paste(
        format!("or, if only the end of the command is missing, let the gate decide on {tenant}: in the step's `bootstrap`"),
        "keep = \"complete\"",
    );
}

pub(super) fn create(tenant: &str) -> PortcullisCommand {
    PortcullisCommand {
        of: Running::TenantCreate,
        line: format!("portcullis tenant create {}", quoted(tenant)),
    }
}

/// How to give the missing values: options of the same command, or keys of the step.
pub(super) fn values(steps: &mut Steps, missing: &MissingValues) {
    let Some(argv) = &missing.argv else {
        let key = |name: &str, columns: &[(String, String)]| {
            let values: Vec<String> = columns.iter().map(|(name, _)| format!("{name} = \"...\"")).collect();
            (!columns.is_empty()).then(|| format!("{name} = {{ {} }}", values.join(", ")))
        };
        let keys = [key("values", &missing.columns), key("domain", &missing.domain_columns)];
        let keys = keys.into_iter().flatten().collect::<Vec<_>>().join(", ");
        return steps.paste("add the values to the step's `bootstrap`", keys);
    };
    let mut words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
    for (option, columns) in [("--set", &missing.columns), ("--domain-set", &missing.domain_columns)] {
        words.extend(columns.iter().map(|(name, _)| format!("{option} {}=VALUE", quoted(name))));
    }
    let line = format!("portcullis tenant create {}", words.join(" "));
    steps.rerun("give each column a value", PortcullisCommand { of: Running::TenantCreate, line });
}

pub(super) fn template() -> PortcullisCommand {
    PortcullisCommand { of: Running::TenantTemplate, line: "portcullis tenant template".into() }
}

pub(super) fn check() -> PortcullisCommand {
    PortcullisCommand { of: Running::Check, line: "portcullis check".into() }
}

/// `make` is the complete command line.
pub(super) fn manifest(make: &str) -> PortcullisCommand {
    PortcullisCommand { of: Running::Manifest, line: make.to_owned() }
}

pub(super) fn doctor() -> PortcullisCommand {
    PortcullisCommand { of: Running::Doctor, line: "portcullis doctor".into() }
}
