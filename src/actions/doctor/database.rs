//! Checks the database server: reachability, privileges, pooler, lock, limits, clock.

use super::{
    check::{Check, no_configuration, some},
    facts::{Connection, DatabaseFacts},
};
use crate::{
    actions::context::RunContext,
    config::{self, Action, Config, Registry, Scope},
    database::{
        DatabaseError, LockHolder,
        examined::{Examined, ExaminedServer, Pooler},
    },
    outcome::doctor::{Checked, Remedy, Verdict},
    words::count,
};

pub(super) const CHECKS: [Check<Facts>; 7] = [
    Check { id: "database-reachable", name: "database is reachable", run: reachable },
    Check { id: "role-privileges", name: "role's privileges", run: privileges },
    Check { id: "gate-role", name: "gate's role only reads", run: gate_role },
    Check { id: "pooler", name: "pooler", run: pooler },
    Check { id: LOCK, name: "lock is available", run: lock },
    Check { id: "server-limits", name: "server's limits", run: limits },
    Check { id: "clock", name: "clock", run: clock },
];

/// The run's lock is in `[database]` alone.
const LOCK: &str = "lock";
/// Creating a table locks the table, its indexes, its sequence and its TOAST table.
const LOCKS_A_TABLE: u64 = 4;
/// The connections that the gate opens.
const CONNECTIONS: u64 = 5;
/// The same for the databases of one server.
const PER_SERVER: u64 = 8;
const DOUBTFUL_SKEW: i64 = 5_000;
const WRONG_SKEW: i64 = 60_000;

/// The facts about the server.
#[derive(Default)]
pub(super) struct Facts {
    connection: Connection,
    /// The source that is asked for the password.
    password: Option<String>,
    pub(super) examined: Examined,
    /// The lock's holder, if it has one, or why it cannot be read.
    pub(super) lock: Option<Result<Option<LockHolder>, DatabaseError>>,
    is_server: bool,
    layout: Layout,
    /// The objects that the configured steps change.
    changes: Changes,
    jobs: u64,
    tenants: u64,
    /// The number of tables of a tenant.
    tables: u64,
}

/// Where the tenants are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Layout {
    /// In this database.
    #[default]
    Schemas,
    /// In databases of their own, and this one has the registry.
    Registry,
    /// In databases of this server.
    Databases,
}

#[derive(Clone, Copy, Default)]
struct Changes {
    shared: bool,
    tenants: bool,
    makes_tenants: bool,
}

impl Changes {
    fn of(config: &Config) -> Self {
        let any = |wanted: fn(&Action) -> bool| config.steps.iter().any(|step| wanted(&step.action));
        Self {
            shared: any(|action| matches!(action, Action::Migrate(Scope::Shared))),
            tenants: any(|action| matches!(action, Action::Migrate(Scope::Tenants))),
            makes_tenants: any(|action| matches!(action, Action::Bootstrap(_))),
        }
    }
}

impl Facts {
    pub(super) async fn of(context: Option<&RunContext>, database: &DatabaseFacts) -> Self {
        let connection = database.connection.clone();
        let Some(context) = context else { return Self { connection, ..Self::default() } };
        let apply = context.config.migrations.as_ref().map(|migrations| &migrations.apply);
        let names = database.names();
        let mut facts = Self {
            connection,
            password: context.config.database.as_ref().and_then(config::Database::password_source),
            is_server: context
                .config
                .database
                .as_ref()
                .is_some_and(|database| database.capabilities(None).server),
            layout: match &context.config.registry {
                Some(Registry { database: Some(_), .. }) => Layout::Registry,
                _ => Layout::Schemas,
            },
            changes: Changes::of(&context.config),
            jobs: apply.and_then(|apply| u64::try_from(apply.jobs).ok()).unwrap_or(1),
            tenants: u64::try_from(names.len()).unwrap_or(u64::MAX),
            tables: database.tables(),
            ..Self::default()
        };
        if let (Connection::Ready, Ok(database)) = (&facts.connection, context.database()) {
            facts.examined = database.examine(&names).await;
            facts.lock = Some(Box::pin(database.probe_lock(&context.run)).await);
        }
        facts
    }

    /// The checks of each server of tenants' databases.
    pub(super) async fn tenant_servers(&self, context: Option<&RunContext>) -> Vec<Checked> {
        let (Connection::Ready, Some(Ok(database))) = (&self.connection, context.map(RunContext::database))
        else {
            return Vec::new();
        };
        match database.examine_servers().await {
            Ok(servers) => servers.into_iter().flat_map(|server| self.tenant_server(server)).collect(),
            Err(error) => {
                let why = error.into_cause();
                let message = format!("the registry, which names them, cannot be read: {why}");
                vec![of_servers("servers".into(), Verdict::Failed(message, Remedy::Cause(why)))]
            }
        }
    }

    /// One check that passed, or each check that failed or warned.
    fn tenant_server(&self, server: ExaminedServer) -> Vec<Checked> {
        let ExaminedServer { address, databases, examined } = server;
        let (connection, examined) = match examined {
            Ok(examined) => (Connection::Ready, examined),
            Err(why) => (Connection::Failed(why), Examined::default()),
        };
        let changes = Changes { makes_tenants: self.changes.makes_tenants, ..Changes::default() };
        let facts = Facts {
            connection,
            password: None,
            examined,
            lock: None,
            layout: Layout::Databases,
            changes,
            tenants: 1,
            ..*self
        };
        let checks = CHECKS.iter().filter(|check| check.id != LOCK);
        let bad: Vec<Checked> = checks
            .filter_map(|check| {
                let verdict = match (check.run)(&facts) {
                    Verdict::Failed(why, remedy) => Verdict::Failed(format!("{address}: {why}"), remedy),
                    Verdict::Warned(why, remedy) => Verdict::Warned(format!("{address}: {why}"), remedy),
                    _ => return None,
                };
                Some(of_servers(format!("server {address} {}", check.id), verdict))
            })
            .collect();
        if !bad.is_empty() {
            return bad;
        }
        let major = facts.examined.major.and_then(Result::ok).unwrap_or_default();
        let databases = count(databases, "database");
        let verdict = Verdict::passed(format!("{address}: PostgreSQL {major}, {databases} of tenants"));
        vec![of_servers(format!("server {address}"), verdict)]
    }

    /// Judges a fact that only a server has, once it is connected.
    fn of_server<T>(&self, fact: Option<&Result<T, String>>, judge: impl FnOnce(&T) -> Verdict) -> Verdict {
        match (&self.connection, fact) {
            (Connection::Ready, _) if !self.is_server => Verdict::not_applicable("SQLite has no server"),
            (Connection::Ready, Some(Ok(fact))) => judge(fact),
            (Connection::Ready, Some(Err(why))) => {
                Verdict::failed(why.clone(), "read the database's message: this check could not run")
            }
            (Connection::Ready, None) => Verdict::not_applicable("not configured"),
            (other, _) => other.not_applicable(),
        }
    }
}

fn of_servers(id: String, verdict: Verdict) -> Checked {
    Checked { group: "database", id: id.into(), name: "server of tenants", verdict }
}

fn reachable(facts: &Facts) -> Verdict {
    match &facts.connection {
        Connection::Ready => Verdict::passed(match &facts.password {
            Some(source) => format!("logged in; the password is from {source}"),
            None => "logged in".to_owned(),
        }),
        Connection::Failed(cause) => Verdict::Failed(cause.to_string(), Remedy::Cause(cause.clone())),
        Connection::NotConfigured => Verdict::not_applicable("`[database]` is not configured"),
        Connection::NoConfiguration => no_configuration(),
    }
}

fn privileges(facts: &Facts) -> Verdict {
    facts.of_server(facts.examined.writer.as_ref(), |writer| {
        let Changes { shared, tenants, makes_tenants } = facts.changes;
        let (layout, name) = (facts.layout, &writer.name);
        if makes_tenants && layout == Layout::Databases && !writer.creates_databases {
            let remedy = format!("ALTER ROLE {name} CREATEDB");
            return Verdict::failed(format!("`{name}` lacks CREATEDB, for new tenants"), remedy);
        }
        let mut lacks = Vec::new();
        if makes_tenants && layout == Layout::Schemas && !writer.creates_schemas {
            lacks.push("CREATE on the database, for new tenants".to_owned());
        }
        if makes_tenants && layout != Layout::Databases && !writer.registers {
            lacks.push("SELECT, INSERT and DELETE on the registry".to_owned());
        }
        if shared && !writer.creates_shared {
            lacks.push("CREATE on the shared schema".to_owned());
        }
        if tenants && !writer.closed.is_empty() {
            lacks.push(format!("CREATE on {}", some(&writer.closed)));
        }
        if tenants && !writer.others.is_empty() {
            lacks.push(format!("the ownership of {}", some(&writer.others)));
        }
        if !lacks.is_empty() {
            let remedy = format!(
                "GRANT them to {name} (ownership: ALTER TABLE ... OWNER TO {name}, or GRANT the owner's role), or name the \
                 schemas' owner in `[database]`"
            );
            return Verdict::failed(format!("`{name}` lacks {}", lacks.join("; ")), remedy);
        }
        if writer.superuser || writer.creates_roles {
            let what = if writer.superuser { "is a superuser" } else { "may create roles" };
            let remedy = match layout {
                Layout::Schemas => "let an ordinary role own the schemas: CREATE on the database is all that it needs",
                _ => "let an ordinary role own the databases: CREATEDB is all that it needs",
            };
            return Verdict::warned(format!("`{name}` {what}, which is more than it needs"), remedy);
        }
        Verdict::passed(format!("`{name}` has the privileges that the steps need"))
    })
}

fn gate_role(facts: &Facts) -> Verdict {
    if let (Connection::Ready, true, None) = (&facts.connection, facts.is_server, &facts.examined.reader) {
        return Verdict::not_applicable(
            "no `[database] reader`: the gate reads as the role that migrates, in READ ONLY transactions",
        );
    }
    facts.of_server(facts.examined.reader.as_ref(), |reader| {
        let name = &reader.name;
        let needs = format!("{name} needs USAGE on the schemas and SELECT on their tables, nothing more");
        if reader.superuser || reader.creates_roles {
            let what = if reader.superuser { "is a superuser" } else { "may create roles" };
            let remedy = format!("ALTER ROLE {name} NOSUPERUSER NOCREATEROLE: {needs}");
            return Verdict::failed(format!("`{name}` {what}"), remedy);
        }
        if reader.writes.is_empty() {
            return Verdict::passed(format!("`{name}` may not change anything"));
        }
        Verdict::failed(format!("`{name}` has {}", some(&reader.writes)), format!("REVOKE it: {needs}"))
    })
}

fn pooler(facts: &Facts) -> Verdict {
    facts.of_server(facts.examined.pooler.as_ref(), |pooler| match pooler {
        Pooler::None => Verdict::passed("none in transaction mode"),
        Pooler::Transaction { bypassed: true } => {
            Verdict::passed("in transaction mode, and `[database] direct` bypasses it")
        }
        Pooler::Transaction { bypassed: false } => Verdict::warned(
            "in transaction mode, which keeps neither a session's locks nor its settings",
            "set `[database] direct` to the server's own address, for the lock, migrations and new tenants",
        ),
    })
}

fn lock(facts: &Facts) -> Verdict {
    match (&facts.connection, &facts.lock) {
        (Connection::Ready, Some(Ok(None))) => Verdict::passed("not held"),
        (Connection::Ready, Some(Ok(Some(holder)))) => Verdict::warned(
            format!("held by {}", holder.words),
            "inspect the holder; the lock is released when its session ends",
        ),
        (Connection::Ready, Some(Err(error))) => Verdict::failed(
            error.to_string(),
            "lock and migrations need a primary, reached without a pooler: `[database] direct`",
        ),
        (Connection::Ready, None) => Verdict::not_applicable("not configured"),
        (other, _) => other.not_applicable(),
    }
}

fn limits(facts: &Facts) -> Verdict {
    facts.of_server(facts.examined.limits.as_ref(), |limits| {
        let Facts { jobs, tenants, tables, .. } = facts;
        let needed = match facts.layout {
            // A command has its own session beside the lock of its database.
            Layout::Databases => PER_SERVER.max(2 * jobs + 2),
            _ => CONNECTIONS.max(jobs + 2),
        };
        let room = limits.max_connections.saturating_sub(limits.reserved);
        if room < needed {
            return Verdict::failed(
                format!("max_connections leaves room for {room} sessions, and a start needs {needed}"),
                "raise max_connections, or lower `[migrations] apply.jobs`",
            );
        }
        let one = tables * LOCKS_A_TABLE;
        if limits.locks < one {
            return Verdict::failed(
                format!("the lock table has room for {}, and creating one tenant with {tables} tables takes about {one}", limits.locks),
                "raise max_locks_per_transaction (the server must be restarted)",
            );
        }
        if let Some((most, used)) = limits.role
            && most.saturating_sub(used) < needed
        {
            return Verdict::warned(
                format!("the role may have {most} sessions, has {used}, and a start needs {needed}"),
                "raise the role's limit: ALTER ROLE ... CONNECTION LIMIT ...",
            );
        }
        let free = room.saturating_sub(limits.used);
        if free < needed {
            let remedy = "raise max_connections, or find out who uses them: SELECT * FROM pg_stat_activity";
            return Verdict::warned(format!("{free} of {room} sessions are free, and a start needs {needed}"), remedy);
        }
        let all = tenants * tables;
        if limits.locks < all {
            let remedy = "raise max_locks_per_transaction, or dump schema by schema (pg_dump --schema)";
            return Verdict::warned(
                format!("a pg_dump of all {tenants} tenants needs {all} locks, and the lock table has room for {}", limits.locks),
                remedy,
            );
        }
        Verdict::passed(format!("{free} of {room} sessions free, room for {} locks", limits.locks))
    })
}

fn clock(facts: &Facts) -> Verdict {
    facts.of_server(facts.examined.ahead.as_ref(), |ahead| {
        let remedy = "synchronize both machines' clocks (NTP)";
        let side = if *ahead < 0 { "behind" } else { "ahead of" };
        let message = format!("the database's clock is {} ms {side} this machine's", ahead.abs());
        match ahead.abs() {
            WRONG_SKEW.. => Verdict::failed(message, remedy),
            DOUBTFUL_SKEW.. => Verdict::warned(message, remedy),
            _ => Verdict::passed(message),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::examined::ServerLimits;

    fn facts(examined: Examined) -> Facts {
        Facts { connection: Connection::Ready, examined, is_server: true, ..Facts::default() }
    }

    #[test]
    fn a_wrong_clock_is_reported_with_its_offset() {
        let with = |ahead| clock(&facts(Examined { ahead: Some(Ok(ahead)), ..Examined::default() }));
        assert!(matches!(with(-900), Verdict::Passed(_)));
        assert!(matches!(with(-9_000), Verdict::Warned(message, _) if message.contains("9000 ms behind")));
        assert!(matches!(with(90_000), Verdict::Failed(..)));
    }

    #[test]
    fn the_servers_limits_are_compared_with_the_number_of_tenants() {
        let with = |limits: ServerLimits, tenants| {
            let examined = Examined { limits: Some(Ok(limits)), ..Examined::default() };
            limits_of(&Facts { tenants, tables: 30, jobs: 4, ..facts(examined) })
        };
        let ample = ServerLimits { max_connections: 100, reserved: 3, used: 10, role: None, locks: 6_400 };
        assert!(matches!(with(ample, 100), Verdict::Passed(_)));
        assert!(matches!(with(ample, 300), Verdict::Warned(message, _) if message.contains("9000 locks")));
        assert!(matches!(with(ServerLimits { used: 95, ..ample }, 1), Verdict::Warned(..)));
        let few = ServerLimits { role: Some((3, 1)), ..ample };
        assert!(
            matches!(with(few, 1), Verdict::Warned(message, _) if message.contains("the role may have 3"))
        );
        assert!(matches!(with(ServerLimits { max_connections: 8, ..ample }, 1), Verdict::Failed(..)));
        assert!(matches!(with(ServerLimits { locks: 100, ..ample }, 1), Verdict::Failed(..)));
    }

    #[test]
    fn a_check_with_an_error_fails() {
        let examined = Examined { pooler: Some(Err("it broke".into())), ..Examined::default() };
        assert!(matches!(pooler(&facts(examined)), Verdict::Failed(..)));
        let unreachable = Facts { connection: Connection::NotConfigured, ..Facts::default() };
        assert!(matches!(pooler(&unreachable), Verdict::NotApplicable(_)));
    }

    fn limits_of(facts: &Facts) -> Verdict {
        limits(facts)
    }
}
