//! Checks the content of the database: registry, shared schema, tenants, their tables, remnants of killed runs.

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
    ordered::Ordered,
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
    Check { id: "tables-answer", name: "required tables are readable", run: tables },
    Check { id: "template-fits", name: "template of new tenants", run: template },
    Check { id: "leftovers", name: "no remnants of killed runs", run: leftovers },
];

/// The facts about the tenants.
pub(super) struct Facts {
    database: DatabaseFacts,
    has_registry: bool,
    demo: Vec<String>,
    duplicates: Fact<Vec<String>>,
    leftovers: Fact<Vec<String>>,
    /// Another run is active, so that what looks orphaned may be in use.
    another_run_active: bool,
    /// Tenants with an unreadable table, each with the reason.
    unreadable: Option<Result<Vec<String>, String>>,
    /// The template of new tenants, if a manifest exists to compare it with.
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
            if let Action::Bootstrap(bootstrap) = &step.action {
                demo.extend(bootstrap.tenants.iter().cloned());
            }
        }
        let unreadable = match (
            &database.inspection,
            &database.manifest,
            context.and_then(|context| context.database().ok()),
        ) {
            (Some(Ok((found, judgement))), Some(manifest), Some(database)) => {
                // The findings already name what is incomplete, table by table.
                let complete_tenants =
                    judgement.tenants.iter().filter(|(_, verdict)| verdict.outcome() == Outcome::Complete);
                let queried = complete_tenants.map(|(tenant, _)| {
                    let tables = manifest.tables_of(found.types.get(tenant).map(String::as_str));
                    (tenant.clone(), tables.keys().cloned().collect())
                });
                let queried: Vec<(String, Vec<String>)> = queried.collect();
                Some(database.unreadable_tables(&queried).await.map_err(|error| error.to_string()))
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
            another_run_active: matches!(server.lock, Some(Ok(Some(_)))),
            unreadable,
            database,
        }
    }

    fn is_empty(&self) -> bool {
        matches!(&self.database.inspection, Some(Ok((_, judgement))) if judgement.is_first_start())
    }

    /// Judges the inspection, if one was possible and the database is not empty.
    fn with_inspection(&self, judge: impl FnOnce(&Inspection, &Judgement) -> Verdict) -> Verdict {
        match (&self.database.connection, &self.database.inspection) {
            (Connection::Ready, Some(Ok((_, judgement)))) if judgement.is_first_start() => {
                Verdict::not_applicable(EMPTY)
            }
            (Connection::Ready, Some(Ok((found, judgement)))) => judge(found, judgement),
            (Connection::Ready, Some(Err(failure))) => failed(failure.clone()),
            (Connection::Ready, None) => Verdict::not_applicable("no manifest exists to judge by"),
            (other, _) => other.not_applicable(),
        }
    }
}

const EMPTY: &str = "the database is empty: this is its first start";

fn registry(facts: &Facts) -> Verdict {
    let remedy = "correct `[tenants] registry`, or create its table: portcullis migrate --shared";
    match (&facts.database.connection, &facts.duplicates) {
        (Connection::Ready, _) if !facts.has_registry => {
            Verdict::not_applicable("`[tenants]` is not configured")
        }
        (Connection::Ready, _) if facts.is_empty() => Verdict::not_applicable(EMPTY),
        (Connection::Ready, Some(Err(why))) => Verdict::failed(why.clone(), remedy),
        (Connection::Ready, fact) => match &facts.database.inspection {
            Some(Ok((_, Judgement { too_few: Some((rows, least)), .. }))) => Verdict::Failed(
                format!("{} in the registry, at least {least} expected", count(*rows, "tenant")),
                about(Judgement { too_few: Some((*rows, *least)), ..Judgement::default() }),
            ),
            Some(Ok((found, judgement))) => {
                let tenants = count(found.registered, "tenant");
                let excluded = wording::excluded(judgement);
                Verdict::passed(
                    excluded.map_or_else(|| tenants.clone(), |excluded| format!("{tenants}; {excluded}")),
                )
            }
            Some(Err(failure)) => failed(failure.clone()),
            None if fact.is_some() => Verdict::passed("it is readable"),
            None => Verdict::failed("its table does not exist yet", remedy),
        },
        (other, _) => other.not_applicable(),
    }
}

fn duplicates(facts: &Facts) -> Verdict {
    match (&facts.database.connection, &facts.duplicates) {
        (Connection::Ready, Some(Ok(names))) if names.is_empty() => Verdict::passed("every name is unique"),
        (Connection::Ready, Some(Ok(names))) => Verdict::failed(
            format!("duplicate names: {}", some(names)),
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
            format!("the registry has no row for {}", some(&judgement.orphans)),
            "register them, or drop them after a verified backup",
        )
    })
}

fn shared(facts: &Facts) -> Verdict {
    if let (true, Some(Ok((_, judgement)))) = (facts.is_empty(), &facts.database.inspection) {
        return Verdict::Failed(EMPTY.into(), about(judgement.clone()));
    }
    facts.with_inspection(|_, judgement| match &judgement.shared {
        Some(verdict) if verdict.outcome() == Outcome::Complete => Verdict::passed("complete"),
        Some(verdict) => {
            let only = Judgement { shared: Some(verdict.clone()), ..judgement.of_tenants(BTreeMap::new()) };
            Verdict::Failed(findings(verdict), about(only))
        }
        None => Verdict::not_applicable("not checked"),
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
        incomplete(judgement, named.into_map(), || some(&facts.demo))
    })
}

fn all(facts: &Facts) -> Verdict {
    facts.with_inspection(|_, judgement| {
        let complete = || format!("{} complete", count(judgement.tenants.len(), "tenant"));
        incomplete(judgement, judgement.tenants.clone(), complete)
    })
}

/// The incomplete tenants, or a message if all are complete.
fn incomplete(
    judgement: &Judgement,
    mut tenants: BTreeMap<String, Schema>,
    complete: impl FnOnce() -> String,
) -> Verdict {
    tenants.retain(|_, verdict| verdict.outcome() != Outcome::Complete);
    if tenants.is_empty() {
        return Verdict::passed(complete());
    }
    let bad: Vec<String> =
        tenants.iter().map(|(tenant, verdict)| format!("{tenant}: {}", findings(verdict))).collect();
    Verdict::Failed(some(&bad), about(judgement.of_tenants(tenants)))
}

/// The gate's own remedy for the findings.
fn about(judgement: Judgement) -> Remedy {
    Remedy::Findings(Rc::new(judgement))
}

fn tables(facts: &Facts) -> Verdict {
    match &facts.unreadable {
        _ if facts.is_empty() => Verdict::not_applicable(EMPTY),
        Some(Ok(unreadable)) if unreadable.is_empty() => Verdict::passed("in every complete tenant"),
        Some(Ok(unreadable)) => {
            Verdict::failed(some(unreadable), "grant the gate's role SELECT, or read the database's message")
        }
        Some(Err(why)) => Verdict::failed(why.clone(), "correct that, then run doctor again"),
        None => facts.with_inspection(|_, _| Verdict::not_applicable("no table is expected")),
    }
}

fn template(facts: &Facts) -> Verdict {
    let template = match &facts.template {
        None => return Verdict::not_applicable("no manifest exists to compare it with"),
        Some(Ok(None)) => return Verdict::not_applicable("none is configured"),
        Some(Err(failure)) => return failed(failure.clone()),
        Some(Ok(Some(template))) => template,
    };
    match &facts.major {
        Some(Ok(major)) if *major != template.server => Verdict::failed(
            format!("it was built on PostgreSQL {}, and the server is {major}", template.server),
            "build it again on the server's version: portcullis tenant template",
        ),
        _ => Verdict::passed(format!("release {}, PostgreSQL {}", template.release, template.server)),
    }
}

fn leftovers(facts: &Facts) -> Verdict {
    match (&facts.database.connection, &facts.leftovers) {
        (Connection::Ready, Some(Ok(left))) if left.is_empty() => Verdict::passed("none"),
        (Connection::Ready, Some(Ok(_))) if facts.another_run_active => {
            Verdict::not_applicable("another run is active, and they may belong to it")
        }
        (Connection::Ready, Some(Ok(left))) => Verdict::warned(
            some(left),
            "a killed run left them: the next run removes those in the journal; drop the others by hand",
        ),
        (Connection::Ready, Some(Err(why))) => {
            Verdict::failed(why.clone(), "correct that, then run doctor again")
        }
        (Connection::Ready, None) => Verdict::not_applicable("not configured"),
        (other, _) => other.not_applicable(),
    }
}

fn findings(verdict: &Schema) -> String {
    wording::sentence(verdict.findings.iter())
}
