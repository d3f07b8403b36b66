//! Checks across steps and tables: everything that a step needs is configured, and no step runs before a writer that
//! it needs.

use std::ops::Range;

use super::{
    Action, After, Mode, OnFailure, OnIncomplete, Scope, Selection, WaitTarget, When,
    capabilities::Capabilities, problem::Problem, reading::Reading, steps::ParsedStep,
};

/// The tables that the file contains, whether or not they are valid.
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact")]
pub(super) struct DeclaredTables<'g> {
    pub(super) database: bool,
    /// None if the engine is unknown.
    pub(super) engine: Option<&'static Capabilities>,
    pub(super) tenants: bool,
    pub(super) migrations: bool,
    /// The shared schema alone has migrations.
    pub(super) shared_alone: bool,
    /// Migrations can be applied: by Portcullis, by the framework's program, or by the configured command.
    pub(super) applies: bool,
    pub(super) mode: Mode,
    pub(super) incomplete: &'g OnIncomplete,
}

/// The places of warnings about a whole table.
pub(super) struct TableSpans {
    pub(super) tenants: Option<Range<usize>>,
    pub(super) migrations: Option<Range<usize>>,
}

pub(super) fn across(
    drafts: &[ParsedStep],
    given: &DeclaredTables<'_>,
    places: &TableSpans,
    problems: &Reading<'_>,
) {
    let before = predecessors(drafts);
    for (at, draft) in drafts.iter().enumerate() {
        needs(draft, given, problems);
        if let Some(problem) = given.engine.and_then(|engine| engine.problem_of(draft)) {
            problems.report(problem);
        }
        check_background(draft, given, problems);
        blocks_before_the_gate(draft, given, problems);
        check_order(drafts, at, &before[at], problems);
    }
    check_gate(drafts, places, problems);
}

fn needs(draft: &ParsedStep, given: &DeclaredTables<'_>, problems: &Reading<'_>) {
    let Some(action) = &draft.action else {
        return;
    };
    let (database, migrations, tenants) = match action {
        Action::Wait(wait) => (wait.what == WaitTarget::Database, false, false),
        // A step that runs once per release needs the lock, the history, and a manifest that identifies the release.
        Action::Sql { once, .. } => (true, *once, false),
        Action::Migrate(Scope::Shared) => (true, true, false),
        Action::Verify(verify) => {
            let without_tenants = given.shared_alone && verify.shared && verify.tenants == Selection::All;
            (true, true, !without_tenants)
        }
        Action::Migrate(Scope::Tenants) | Action::Bootstrap(_) => (true, true, true),
        Action::Command(command) => (command.once, command.once, false),
    };
    let pending = draft.when.pending;
    let needs = [
        ("[database]", database || pending.is_some(), given.database),
        ("[migrations]", migrations || pending.is_some(), given.migrations),
        ("[tenants]", tenants || pending == Some(Scope::Tenants), given.tenants),
    ];
    for (table, needed, given) in needs {
        if needed && !given {
            let message = format!("{} needs `{table}`, which the file does not have", draft.called);
            problems.report(Problem::error(draft.kind_span.clone(), message));
        }
    }
    let applies = match action {
        Action::Migrate(_) => true,
        Action::Bootstrap(bootstrap) => bootstrap.run.is_empty(),
        _ => false,
    };
    if applies && !given.applies {
        let message =
            format!("{} needs `[migrations] apply.run`, which the file does not have", draft.called);
        let help = "name the framework's command that migrates one schema, as in [\"alembic\", \"-x\", \
                    \"tenant={schema}\", \"upgrade\", \"heads\"]";
        problems.report(Problem::error(draft.kind_span.clone(), message).help(help));
    }
}

/// After an exec, no process would be left to end a background program.
fn check_background(draft: &ParsedStep, given: &DeclaredTables<'_>, problems: &Reading<'_>) {
    if let (Some(place), Mode::Exec) = (&draft.background, given.mode) {
        let message = format!("{} runs in the background, which needs `mode = \"supervise\"`", draft.called);
        let help = "write `mode = \"supervise\"` in `[server]`, or remove `background`";
        problems.report(Problem::error(place.clone(), message).help(help));
    }
}

/// With a quarantine, a failed migration of one tenant should not block the others either.
fn blocks_before_the_gate(draft: &ParsedStep, given: &DeclaredTables<'_>, problems: &Reading<'_>) {
    let migrates = matches!(draft.action, Some(Action::Migrate(Scope::Tenants)));
    let quarantines = matches!(given.incomplete, OnIncomplete::Quarantine { .. });
    if quarantines && migrates && draft.on_failure == OnFailure::Block {
        let message = format!(
            "{} blocks when one tenant's migration fails, before the gate could quarantine it",
            draft.called
        );
        let help = "write `on_failure = \"warn\"` to let the gate decide";
        problems.report(Problem::warning(draft.kind_span.clone(), message).help(help));
    }
}

/// A step that changes or judges the database must come after every step above it that changes it.
fn check_order(drafts: &[ParsedStep], at: usize, before: &Positions, problems: &Reading<'_>) {
    let draft = &drafts[at];
    let (Some(place), true) = (&draft.after_span, minds_writers(draft)) else {
        return;
    };
    for writer in (0..at).filter(|above| writes(&drafts[*above]) && !before.has(*above)) {
        let message = format!(
            "{} does not wait for {}, which changes the database",
            draft.called, drafts[writer].called
        );
        problems
            .report(Problem::error(place.clone(), message).help("remove `after`, or name that step in it"));
    }
}

fn writes(draft: &ParsedStep) -> bool {
    matches!(draft.action, Some(Action::Migrate(_) | Action::Bootstrap(_) | Action::Sql { .. }))
}

fn minds_writers(draft: &ParsedStep) -> bool {
    matches!(draft.action, Some(Action::Migrate(_) | Action::Bootstrap(_) | Action::Verify(_)))
}

/// A set of steps, by position.
#[derive(Clone)]
struct Positions(Vec<u64>);

impl Positions {
    fn has(&self, at: usize) -> bool {
        self.0[at / 64] & (1 << (at % 64)) != 0
    }

    fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn add_all(&mut self, others: &Self) {
        self.0.iter_mut().zip(&others.0).for_each(|(word, other)| *word |= other);
    }
}

/// For each step, every step that must be done before it starts.
fn predecessors(drafts: &[ParsedStep]) -> Vec<Positions> {
    let none = Positions(vec![0; drafts.len() / 64 + 1]);
    let mut all: Vec<Positions> = Vec::with_capacity(drafts.len());
    for (at, draft) in drafts.iter().enumerate() {
        let mut before = none.clone();
        match &draft.after {
            After::Above => (0..at).for_each(|step| before.add(step)),
            After::Start => {}
            After::Steps(steps) => {
                for step in steps {
                    before.add(*step);
                    before.add_all(&all[*step]);
                }
            }
        }
        all.push(before);
    }
    all
}

/// Warns if the server could start without a verification of every tenant after the last change.
fn check_gate(drafts: &[ParsedStep], places: &TableSpans, problems: &Reading<'_>) {
    let Some(place) = places.migrations.as_ref().or(places.tenants.as_ref()) else {
        return;
    };
    let last_change = drafts.iter().rposition(writes);
    let judges_all = |(at, draft): (usize, &ParsedStep)| {
        matches!(&draft.action, Some(Action::Verify(verify)) if verify.tenants == Selection::All)
            && draft.when == When::default()
            && last_change.is_none_or(|change| change < at)
    };
    let unread = drafts.iter().any(|draft| draft.action.is_none());
    if !unread && !drafts.iter().enumerate().any(judges_all) {
        let message = "nothing proves that every tenant is complete before the server starts";
        let help = "let the last step be `verify = { tenants = \"all\" }`, without `when`";
        problems.report(Problem::warning(place.clone(), message).help(help));
    }
}
