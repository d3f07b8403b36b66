//! Fetches the facts that several groups of checks use: the login and the inspection of every schema.

use std::rc::Rc;

use super::check::no_configuration;
use crate::{
    actions::{
        context::RunContext,
        judge::{INSPECTION, inspect_request, judge, observe},
        structure_rules::structure_rules,
    },
    cause::Cause,
    config::Selection,
    database::{Attempt, InspectRequest},
    failure::Failure,
    outcome::doctor::Verdict,
    tenants::{gate::Judgement, inspection::Inspection, manifest::Manifest},
};

/// The result of one attempt to log in.
#[derive(Debug, Clone, Default)]
pub(super) enum Connection {
    #[default]
    NoConfiguration,
    NotConfigured,
    Ready,
    Failed(Cause),
}

impl Connection {
    pub(super) fn not_applicable(&self) -> Verdict {
        match self {
            Connection::NoConfiguration => no_configuration(),
            Connection::NotConfigured => Verdict::not_applicable("`[database]` is not configured"),
            Connection::Ready | Connection::Failed(_) => Verdict::not_applicable("no connection"),
        }
    }
}

/// The login, and the gate's judgement of every schema.
pub(super) struct DatabaseFacts {
    pub(super) connection: Connection,
    pub(super) manifest: Option<Manifest>,
    /// None without a manifest to judge by.
    pub(super) inspection: Option<Result<(Inspection, Judgement), Rc<Failure>>>,
}

impl DatabaseFacts {
    pub(super) async fn of(context: Option<&RunContext>) -> Self {
        let connection = connect(context).await;
        let mut facts = Self { connection, manifest: None, inspection: None };
        if let Some(context) = context {
            // The check of the manifest reports why it is unreadable.
            facts.manifest = context.expectation().await.ok().map(|expectation| expectation.manifest.clone());
        }
        if let (Connection::Ready, Some(context), Some(manifest)) =
            (&facts.connection, context, &facts.manifest)
        {
            let rules = structure_rules(context, context.config.gate.structure).await;
            let request = InspectRequest {
                structure: rules.is_some(),
                ..inspect_request(context, manifest, true, Some(&Selection::All), INSPECTION)
            };
            let judged = observe(context, &request).await.map(|found| {
                let judgement = judge(context, manifest, &found, rules.as_ref());
                (found, judgement)
            });
            facts.inspection =
                Some(judged.map_err(|error| Rc::new(error.into_failure("reading the tenants"))));
        }
        facts
    }

    pub(super) fn names(&self) -> Vec<String> {
        let found = self.inspection.as_ref().and_then(|inspection| inspection.as_ref().ok());
        found.map(|(found, _)| found.tenants.keys().cloned().collect()).unwrap_or_default()
    }

    /// The number of tables of a tenant.
    pub(super) fn tables(&self) -> u64 {
        let tables = self.manifest.as_ref().map_or(0, |manifest| manifest.tenant.tables.len());
        u64::try_from(tables).unwrap_or(u64::MAX)
    }
}

async fn connect(context: Option<&RunContext>) -> Connection {
    let Some(context) = context else { return Connection::NoConfiguration };
    let Ok(database) = context.database() else { return Connection::NotConfigured };
    match database.ping().await {
        Attempt::Ready => Connection::Ready,
        Attempt::NotYet(why) | Attempt::Never(why) => Connection::Failed(why),
    }
}
