//! What probably caused a failure, and what to type next. Pure.

use crate::{
    failure::Failure,
    outcome::FailureDetails,
    tenants::{
        gate::{Finding, Judgement, Verdict},
        quarantine,
    },
    words::count,
};

/// PostgreSQL's code for a lock that was not had within `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "SQLSTATE 55P03";

/// Advice for the box.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) cause: Option<&'static str>,
    pub(crate) actions: Vec<Action>,
}

/// One thing to do; the command can be pasted as it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) text: String,
    pub(crate) command: Option<String>,
}

pub(crate) fn advice(trouble: &FailureDetails) -> Advice {
    // What else is wrong with the tenant is no answer to why it was not replayed.
    let judgement =
        trouble.judgement.as_ref().filter(|_| !matches!(trouble.failure, Failure::NotReplayable { .. }));
    let mut advice = judgement.map(of_judgement).unwrap_or_default();
    if let Some(failed) = trouble.failed.first() {
        advice.cause = Some(if failed.dirty {
            "a migration that cannot run in a transaction stopped half-way"
        } else if failed.why.contains("already exists") {
            "what the migration makes stands there already: somebody deleted its ledger row, or made it by hand"
        } else if failed.migration.is_some() {
            "the migration does not fit the data or the schema that it met; it was rolled back"
        } else {
            advice
                .cause
                .unwrap_or("the schema could not be reached or is not in a state that can be migrated")
        });
        let target = match &failed.tenant {
            Some(tenant) => format!("--tenant {}", quoted(tenant)),
            None => "--shared".into(),
        };
        advice.actions.insert(
            0,
            say("correct the cause, then apply again", Some(format!("portcullis migrate {target}"))),
        );
    }
    if let Some(choice) = choice(trouble) {
        advice.actions.push(choice);
    }
    if advice.actions.is_empty() {
        let hint = trouble.failure.hint();
        let (text, command) = match hint.rsplit_once(": ") {
            Some((text, command)) if command.starts_with("portcullis ") => {
                (text.to_owned(), Some(command.to_owned()))
            }
            _ => (hint, None),
        };
        advice.actions.push(Action { text, command });
    }
    if advice.cause.is_none() {
        advice.cause = match &trouble.failure {
            Failure::WaitTimedOut { .. } => Some("the service is not up, or its name or port is wrong"),
            Failure::CommandMissing { .. } => {
                Some("the program is not in the image, or PATH does not lead to it")
            }
            Failure::TimedOut { .. } => Some("it hangs, or its time-out is too short"),
            Failure::LockTimedOut { .. } => {
                Some("another run is migrating, or hangs while it holds the lock")
            }
            _ => None,
        };
    }
    advice
}

fn of_judgement(judgement: &Judgement) -> Advice {
    let mut advice = Advice::default();
    let first = |wanted: fn(&Finding) -> bool| {
        judgement
            .verdicts()
            .find(|(_, verdict)| verdict.findings.iter().any(wanted))
            .map(|(tenant, _)| tenant.map(str::to_owned))
    };
    if let Some(tenant) = first(|f| {
        matches!(f, Finding::MissingTables { .. } | Finding::MissingColumns { .. } | Finding::Models { .. })
    }) {
        advice.cause = Some("tables were dropped or never made, though the ledger says that they were");
        advice.actions.push(say("see exactly what is missing", Some(verify(tenant.as_deref()))));
        advice.actions.push(bring_back(judgement));
    }
    if let Some(tenant) = first(|f| matches!(f, Finding::OtherKind { .. })) {
        advice.cause.get_or_insert("something else was put in a table's place, such as a view of its name");
        advice.actions.push(say("see what stands where", Some(verify(tenant.as_deref()))));
    }
    if first(|f| matches!(f, Finding::NoLedger { tables } if !tables.is_empty())).is_some() {
        advice.cause.get_or_insert("the ledger's table was dropped; the tenant's own tables stand");
        advice.actions.push(say(
            "restore the ledger's table from a backup: nothing else knows what was applied; the other tables need nothing",
            None,
        ));
    }
    let gone = |f: &Finding| match f {
        Finding::NoLedger { tables } => tables.is_empty(),
        finding => matches!(finding, Finding::NoSchema),
    };
    if let Some(tenant) = first(gone) {
        advice
            .cause
            .get_or_insert("the schema was dropped, or the tenant was registered without being created");
        advice.actions.push(say("see which tenants", Some(verify(tenant.as_deref()))));
        advice.actions.push(say(
            "restore the schema from a backup, or remove the tenant's row from the registry",
            None,
        ));
    }
    if let Some(tenant) = first(|f| matches!(f, Finding::Dirty { .. })) {
        advice.cause.get_or_insert("a migration failed half-way and nobody cleaned up after it");
        advice.actions.push(say("see which migration", Some(verify(tenant.as_deref()))));
        advice.actions.push(say(
            "undo what it did by hand, delete its ledger row, then apply again",
            Some("portcullis migrate".into()),
        ));
    }
    if first(|f| matches!(f, Finding::Altered { .. })).is_some() {
        advice.cause.get_or_insert("a migration's file was changed after it had been applied");
        advice.actions.push(say("put the old text back and write a new migration for the change", None));
    }
    if first(|f| matches!(f, Finding::Diverged { .. } | Finding::Ahead { blocks: true, .. })).is_some() {
        advice.cause.get_or_insert("newer or other code has migrated this database");
        advice.actions.push(say(
            "start the release that the database belongs to, or migrate it back with that release",
            None,
        ));
    }
    if let Some(tenant) = first(|f| matches!(f, Finding::NotRegistered)) {
        advice.cause.get_or_insert("the tenant was never created, or its row was deleted");
        let name = tenant.map(|name| quoted(&name)).unwrap_or_default();
        advice.actions.push(say(
            &format!("create the tenant {name}: run the bootstrap step, or correct the step's list"),
            None,
        ));
    }
    if first(|f| matches!(f, Finding::Pending { .. })).is_some() {
        advice.cause.get_or_insert("migrations were not applied");
        advice.actions.push(say("apply what is pending", Some("portcullis migrate".into())));
    }
    if first(|f| matches!(f, Finding::InvalidIndex { unique: true, .. })).is_some() {
        advice.cause.get_or_insert("CREATE UNIQUE INDEX CONCURRENTLY failed, probably on duplicate rows");
        advice.actions.push(say("drop the index, remove the duplicates, build it again", None));
    }
    if first(|f| matches!(f, Finding::LookFailed { .. } | Finding::Vanished)).is_some()
        || judgement.too_few.is_some()
    {
        let locked =
            |f: &Finding| matches!(f, Finding::LookFailed { why } if why.contains(LOCK_NOT_AVAILABLE));
        advice.cause.get_or_insert(if first(locked).is_some() {
            "somebody holds a lock on what was to be read: a migration that runs or hangs, most probably"
        } else {
            "the database user may not look at everything, or the registry is not the right one"
        });
        advice.actions.push(say("correct that, then look again", Some("portcullis verify".into())));
    }
    advice
}

/// What brings lost tables back.
fn bring_back(judgement: &Judgement) -> Action {
    let Some((tenants, app)) = replayable(judgement) else {
        return say("restore what is missing from a backup or the migration's own SQL", None);
    };
    let (whom, target) = match tenants.as_slice() {
        [tenant] => ("that tenant".to_owned(), quoted(tenant)),
        all => (format!("the {} tenants that lost it", all.len()), "--all-affected".to_owned()),
    };
    let text = format!(
        "run the migrations of `{app}` again for {whom}; plain migrating does nothing about it, because the ledger says \
         they are done"
    );
    say(&text, Some(format!("portcullis repair {target} --replay {}", quoted(app))))
}

/// Blocking all or serving the others is a decision that somebody has to make.
fn choice(trouble: &FailureDetails) -> Option<Action> {
    if let (None, Some(failed)) = (&trouble.judgement, trouble.failed.first()) {
        failed.tenant.as_ref()?;
        return Some(say(
            "or decide to serve the others: `on_failure = \"warn\"` on the step that migrates, and `[gate] incomplete = \"quarantine\"` \
             with `max`, which keeps the server from those that fail",
            None,
        ));
    }
    let judgement = trouble.judgement.as_ref()?;
    let Failure::Incomplete { .. } = trouble.failure else { return None };
    let bad = quarantine::incomplete(judgement).len();
    quarantine::quarantine(judgement, bad).filter(|tenants| !tenants.is_empty())?;
    let others = count(judgement.tenants.len() - bad, "other tenant");
    Some(say(
        &format!(
            "or decide to serve the {others} meanwhile: `[gate] incomplete = \"quarantine\"`, `max = {bad}`; \
             or to open once, as it is:"
        ),
        Some("PORTCULLIS_OVERRIDE=\"gate:REASON\"".into()),
    ))
}

/// An app of which tenants lost every table, and none of those that it stands on: with those tenants.
fn replayable(judgement: &Judgement) -> Option<(Vec<&str>, &str)> {
    fn apps(verdict: &Verdict) -> impl Iterator<Item = &str> {
        verdict.findings.iter().filter_map(|finding| match finding {
            Finding::Models { app, whole: true, after, .. } if after.is_empty() => Some(app.as_str()),
            _ => None,
        })
    }
    let app = judgement.tenants.values().flat_map(apps).next()?;
    let lost = judgement.tenants.iter().filter(|(_, verdict)| apps(verdict).any(|other| other == app));
    Some((lost.map(|(tenant, _)| tenant.as_str()).collect(), app))
}

fn verify(tenant: Option<&str>) -> String {
    match tenant {
        Some(tenant) => format!("portcullis verify --tenant {}", quoted(tenant)),
        None => "portcullis verify".into(),
    }
}

fn say(text: &str, command: Option<String>) -> Action {
    Action { text: text.to_owned(), command }
}

/// The word as a POSIX shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
