//! The checks of what is in the database: registry, shared schema, tenants, their tables, leftovers.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    check::{Check, failed, some},
    database,
    facts::{Connection, DatabaseFacts},
};
use crate::{
    actions::{context::RunContext, template},
    config::Action,
    database::{examined::Fact, template::Template},
    failure::Failure,
    outcome::{
        doctor::{Remedy, Verdict},
        wording,
    },
    tenants::{
        gate::{Finding, Judgement, Outcome, Verdict as Schema},
        inspection::Inspection,
    },
    words::count,
};

pub(super) const CHECKS: [Check<Facts>; 9] = [
    Check { id: "registry-readable", name: "registry can be read", run: registry },
    Check { id: "registry-duplicates", name: "registry has no duplicates", run: duplicates },
    Check { id: "orphan-schemas", name: "no schema without a tenant", run: orphans },
    Check { id: "shared-complete", name: "shared schema is complete", run: shared },
    Check { id: "demo-complete", name: "demo tenants are complete", run: demo },
    Check { id: "tenants-complete", name: "all tenants are complete", run: all },
    Check { id: "tables-answer", name: "required tables answer", run: tables },
    Check { id: "template-fits", name: "template of new tenants", run: template },
    Check { id: "leftovers", name: "no leftovers of killed runs", run: leftovers },
];

/// What is known of the tenants.
pub(super) struct Facts {
    database: DatabaseFacts,
    has_registry: bool,
    demo: Vec<String>,
    duplicates: Fact<Vec<String>>,
    leftovers: Fact<Vec<String>>,
    /// Another run is at work, so that what looks left behind may be in use.
    at_work: bool,
    /// Tenants of which a table does not answer, with the reason.
    silent: Option<Result<Vec<String>, String>>,
    /// What new tenants are copied from, where there is something to compare it with.
    template: Option<Result<Option<Template>, Rc<Failure>>>,
    major: Fact<String>,
}

impl Facts {
    pub(super) async fn of(
        context: Option<&RunContext>,
        server: &database::Facts,
        database: DatabaseFacts,
    ) -> Self {
        let mut demo = Vec::new();
        for step in context.iter().flat_map(|context| &context.config.steps) {
            if let Action::Bootstrap { tenants, .. } = &step.action {
                demo.extend(tenants.iter().cloned());
            }
        }
        let silent = match (
            &database.inspection,
            &database.manifest,
            context.and_then(|context| context.database().ok()),
        ) {
            (Some(Ok((found, judgement))), Some(manifest), Some(database)) => {
                // What is incomplete is told already, table by table.
                let whole =
                    judgement.tenants.iter().filter(|(_, verdict)| verdict.outcome() == Outcome::Complete);
                let asked = whole.map(|(tenant, _)| {
                    let tables = manifest.tables_of(found.types.get(tenant).map(String::as_str));
                    (tenant.clone(), tables.keys().cloned().collect())
                });
                let asked: Vec<(String, Vec<String>)> = asked.collect();
                Some(database.silent(&asked).await.map_err(|error| error.to_string()))
            }
            _ => None,
        };
        let template = match (&database.manifest, context) {
            (Some(_), Some(context)) => Some(template::configured(context).await.map_err(Rc::new)),
            _ => None,
        };
        Self {
            template,
            major: server.examined.major.clone(),
            has_registry: context.is_some_and(|context| context.config.registry.is_some()),
            demo,
            duplicates: server.examined.duplicates.clone(),
            leftovers: server.examined.leftovers.clone(),
            at_work: matches!(server.lock, Some(Ok(Some(_)))),
            silent,
            database,
        }
    }

    /// The verdict on the look, if it could be made.
    fn with_inspection(&self, judge: impl FnOnce(&Inspection, &Judgement) -> Verdict) -> Verdict {
        match (&self.database.connection, &self.database.inspection) {
            (Connection::Ready, Some(Ok((found, judgement)))) => judge(found, judgement),
            (Connection::Ready, Some(Err(failure))) => failed(failure.clone()),
            (Connection::Ready, None) => Verdict::not_applicable("there is no manifest to judge by"),
            (other, _) => other.not_applicable(),
        }
    }
}

fn registry(facts: &Facts) -> Verdict {
    let remedy = "correct `[tenants] registry`, or make its table: portcullis migrate --shared";
    match (&facts.database.connection, &facts.duplicates) {
        (Connection::Ready, _) if !facts.has_registry => Verdict::not_applicable("there is no `[tenants]`"),
        (Connection::Ready, Some(Err(why))) => Verdict::failed(why.clone(), remedy),
        (Connection::Ready, fact) => match &facts.database.inspection {
            Some(Ok((_, Judgement { too_few: Some((rows, least)), .. }))) => Verdict::Failed(
                format!("{} in the registry, at least {least} expected", count(*rows, "tenant")),
                about(Judgement { too_few: Some((*rows, *least)), ..Judgement::default() }),
            ),
            Some(Ok((found, _))) => Verdict::passed(count(found.registered, "tenant")),
            Some(Err(failure)) => failed(failure.clone()),
            None if fact.is_some() => Verdict::passed("it answers"),
            None => Verdict::failed("its table does not exist yet", remedy),
        },
        (other, _) => other.not_applicable(),
    }
}

fn duplicates(facts: &Facts) -> Verdict {
    match (&facts.database.connection, &facts.duplicates) {
        (Connection::Ready, Some(Ok(names))) if names.is_empty() => Verdict::passed("every name once"),
        (Connection::Ready, Some(Ok(names))) => Verdict::failed(
            format!("more than once: {}", some(names)),
            "delete the surplus rows, then make the column UNIQUE",
        ),
        (Connection::Ready, Some(Err(_)) | None) => Verdict::not_applicable("no registry could be read"),
        (other, _) => other.not_applicable(),
    }
}

fn orphans(facts: &Facts) -> Verdict {
    facts.with_inspection(|_, judgement| {
        if judgement.orphans.is_empty() {
            return Verdict::passed("every schema with a ledger has a tenant");
        }
        Verdict::warned(
            format!("no row names {}", some(&judgement.orphans)),
            "register them, or drop them once a backup is proved",
        )
    })
}

fn shared(facts: &Facts) -> Verdict {
    facts.with_inspection(|_, judgement| match &judgement.shared {
        Some(verdict) if verdict.outcome() == Outcome::Complete => Verdict::passed("complete"),
        Some(verdict) => {
            let only = Judgement { shared: Some(verdict.clone()), ..Judgement::default() };
            Verdict::Failed(findings(verdict), about(only))
        }
        None => Verdict::not_applicable("not asked for"),
    })
}

fn demo(facts: &Facts) -> Verdict {
    facts.with_inspection(|_, judgement| {
        if facts.demo.is_empty() {
            return Verdict::not_applicable("no step bootstraps a tenant");
        }
        let absent = || Schema { findings: vec![Finding::NotRegistered] };
        let named = facts
            .demo
            .iter()
            .map(|tenant| (tenant.clone(), judgement.tenants.get(tenant).cloned().unwrap_or_else(absent)));
        incomplete(named.collect(), || some(&facts.demo))
    })
}

fn all(facts: &Facts) -> Verdict {
    facts.with_inspection(|_, judgement| {
        let complete = || format!("{} complete", count(judgement.tenants.len(), "tenant"));
        incomplete(judgement.tenants.clone(), complete)
    })
}

/// Those that are not complete, or what there is to say if all are.
fn incomplete(mut tenants: BTreeMap<String, Schema>, complete: impl FnOnce() -> String) -> Verdict {
    tenants.retain(|_, verdict| verdict.outcome() != Outcome::Complete);
    if tenants.is_empty() {
        return Verdict::passed(complete());
    }
    let bad: Vec<String> =
        tenants.iter().map(|(tenant, verdict)| format!("{tenant}: {}", findings(verdict))).collect();
    Verdict::Failed(some(&bad), about(Judgement { tenants, ..Judgement::default() }))
}

/// The remedy for findings is that of the gate.
fn about(judgement: Judgement) -> Remedy {
    Remedy::Findings(Rc::new(judgement))
}

fn tables(facts: &Facts) -> Verdict {
    match &facts.silent {
        Some(Ok(silent)) if silent.is_empty() => Verdict::passed("in every complete tenant"),
        Some(Ok(silent)) => {
            Verdict::failed(some(silent), "grant the gate's role SELECT, or read the database's message")
        }
        Some(Err(why)) => Verdict::failed(why.clone(), "correct that, then ask again"),
        None => facts.with_inspection(|_, _| Verdict::not_applicable("no table is expected")),
    }
}

fn template(facts: &Facts) -> Verdict {
    let template = match &facts.template {
        None => return Verdict::not_applicable("there is no manifest to compare one with"),
        Some(Ok(None)) => return Verdict::not_applicable("none is configured"),
        Some(Err(failure)) => return failed(failure.clone()),
        Some(Ok(Some(template))) => template,
    };
    match &facts.major {
        Some(Ok(major)) if *major != template.server => Verdict::failed(
            format!("it was made on PostgreSQL {}, and the server is {major}", template.server),
            "make it again on the server's version: portcullis tenant template",
        ),
        _ => Verdict::passed(format!("release {}, PostgreSQL {}", template.release, template.server)),
    }
}

fn leftovers(facts: &Facts) -> Verdict {
    match (&facts.database.connection, &facts.leftovers) {
        (Connection::Ready, Some(Ok(left))) if left.is_empty() => Verdict::passed("none"),
        (Connection::Ready, Some(Ok(_))) if facts.at_work => {
            Verdict::not_applicable("another run is at work, and they may be its own")
        }
        (Connection::Ready, Some(Ok(left))) => Verdict::warned(
            some(left),
            "a killed run left them: the next run recovers what is journalled; drop the others by hand",
        ),
        (Connection::Ready, Some(Err(why))) => Verdict::failed(why.clone(), "correct that, then ask again"),
        (Connection::Ready, None) => Verdict::not_applicable("not configured"),
        (other, _) => other.not_applicable(),
    }
}

fn findings(verdict: &Schema) -> String {
    wording::sentence(verdict.findings.iter())
}
