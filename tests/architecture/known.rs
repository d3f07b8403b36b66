//! Imports that break the rules today. Nothing is added here; whoever removes one deletes its line.

/// Imports of a higher floor.
pub const UP: [&str; 9] = [
    "notify.rs -> report/json.rs",
    "notify.rs -> report/mod.rs",
    "status.rs -> report/foreign.rs",
    "status.rs -> report/json.rs",
    "status.rs -> report/mod.rs",
    "status.rs -> report/output.rs",
    "status.rs -> report/page.rs",
    "status.rs -> report/prometheus.rs",
    "status.rs -> report/standing.rs",
];

/// Imports of the report by what must not see it.
pub const SEE_REPORT: [&str; 13] = [
    "commands/doctor.rs -> report/doctor.rs",
    "commands/history.rs -> report/mod.rs",
    "commands/migrate.rs -> report/by_hand.rs",
    "commands/repair.rs -> report/repair.rs",
    "commands/tenant/bootstrap.rs -> report/by_hand.rs",
    "commands/tenant/bootstrap.rs -> report/tenants.rs",
    "commands/tenant/create.rs -> report/tenants.rs",
    "commands/tenant/delete.rs -> report/tenants.rs",
    "commands/tenant/mod.rs -> report/tenants.rs",
    "commands/tenant/show.rs -> report/tenants.rs",
    "commands/verify.rs -> report/by_hand.rs",
    "commands/verify.rs -> report/github.rs",
    "commands/verify.rs -> report/judgement.rs",
];

/// Files that import each other, directly or through others.
pub const CIRCLES: [&str; 12] = [
    "commands/tenant/bootstrap.rs",
    "commands/tenant/create.rs",
    "commands/tenant/mod.rs",
    "database/mod.rs",
    "database/postgres/kept.rs",
    "database/postgres/lock/mod.rs",
    "database/postgres/lock/strays.rs",
    "database/postgres/mod.rs",
    "database/postgres/run.rs",
    "database/sqlite/apply.rs",
    "database/sqlite/derive.rs",
    "database/sqlite/look.rs",
];
