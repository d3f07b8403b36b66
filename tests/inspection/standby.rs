//! A hot standby, whose verdict does not hold for the primary.

use crate::support::{fleet, server::Server, time_limits::until_true};

#[test]
fn a_standby_is_rejected_unless_it_is_allowed() {
    let primary = Server::start("wal_level = replica");
    primary.execute("postgres", "CREATE DATABASE app");
    let fleet = fleet::complete(&primary.url("app"));
    primary.execute("app", &fleet::copies(&fleet::names(60)));
    let standby = primary.standby();
    assert_eq!(standby.one("app", "SELECT pg_is_in_recovery()::text"), "true");
    let on_standby = fleet.env("DATABASE_URL", &standby.url("app"));
    on_standby.run(["verify"]).exits(74).prints("standby").prints("allow_standby");
    let allowed = on_standby.env("ALLOW_STANDBY", "true");
    allowed.run(["verify"]).exits(0).prints("61 tenants complete");
    primary.execute("app", "DROP TABLE t7.item");
    let missing = "SELECT (to_regclass('t7.item') IS NULL)::text";
    until_true("the standby to follow", || standby.one("app", missing) == "true");
    allowed.run(["verify"]).exits(1).prints("t7").prints("item");
}
