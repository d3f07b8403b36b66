//! Tests the rendered problems of an invalid file.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{messages, rendered};
use crate::config::environment::Environment;

#[test]
#[expect(clippy::too_many_lines, reason = "one file with every kind of problem, and its rendering")]
fn every_problem_of_a_file_is_reported_together() {
    let text = r#"
rol = "web"

[database]
host = "db"
prot = 5432
sslmode = "requird"

[gate]
ahead = "wran"
settle_timeout = 120

[[step]]
name = "databse"
wiat.database = {}

[[step]]
name = "broker"
after = ["database"]
wait.redsi = { url = "redis://:hunter2@h" }

[[step]]
name = "verify"
on_failure = "warn"
verify = { tenants = "al", timeout = "5x" }

[[step]]
sql = { run = "SELECT 1", timout = "1s" }
command = { run = [] }
"#;
    assert_snapshot!(rendered(text, &Environment::default()), @r#"
    error: the configuration has no key `rol`
     --> config.toml:2:1
      |
    2 | rol = "***"
      | ^^^
      |
      = help: did you mean `role`?

    error: `[database]` needs `name` (or the variable `PGDATABASE`)
     --> config.toml:4:1
      |
    4 | [database]
      | ^^^^^^^^^^
      |
      = help: give `url`, or `host`, `name`, `user` and `password`

    error: `[database]` has no key `prot`
     --> config.toml:6:1
      |
    6 | prot = ****
      | ^^^^
      |
      = help: did you mean `port`?

    error: `requird` is not "disable" or "allow" or "prefer" or "require" or
           "verify-ca" or "verify-full"
     --> config.toml:7:11
      |
    7 | sslmode = "requird"
      |           ^^^^^^^^^
      |
      = help: did you mean `require`?

    error: `wran` is not "warn" or "block"
      --> config.toml:10:9
       |
    10 | ahead = "wran"
       |         ^^^^^^
       |
       = help: did you mean `warn`?

    error: this must be a duration such as "90s", "2m", "500ms" or "1h", not a
           number
      --> config.toml:11:18
       |
    11 | settle_timeout = 120
       |                  ^^^
       |
       = help: add the unit: "120s"

    error: a `[[step]]` has no key `wiat`
      --> config.toml:15:1
       |
    15 | wiat.database = {}
       | ^^^^
       |
       = help: did you mean `wait`?

    error: no step `database` exists above this one
      --> config.toml:19:10
       |
    19 | after = ["database"]
       |          ^^^^^^^^^^
       |
       = help: did you mean `databse`?

    error: `wait` has no key `redsi`
      --> config.toml:20:6
       |
    20 | wait.redsi = { url = "******************" }
       |      ^^^^^
       |
       = help: did you mean `redis`?

    error: `al` is not "all" or a list of names
      --> config.toml:25:22
       |
    25 | verify = { tenants = "al", timeout = "5x" }
       |                      ^^^^
       |
       = help: did you mean `all`?

    error: `5x` is not a duration such as "90s", "2m", "500ms" or "1h"
      --> config.toml:25:38
       |
    25 | verify = { tenants = "al", timeout = "5x" }
       |                                      ^^^^

    error: a `[[step]]` needs `name`
      --> config.toml:27:1
       |
    27 | [[step]]
       | ^^^^^^^^

    error: `sql` has no key `timout`
      --> config.toml:28:27
       |
    28 | sql = { run = "SELECT 1", timout = "**" }
       |                           ^^^^^^
       |
       = help: did you mean `timeout`?

    error: a step has exactly one kind: `command` is one too many
      --> config.toml:29:1
       |
    29 | command = { run = [] }
       | ^^^^^^^
       |
       = help: move it to a separate step

    error: `run` is empty
      --> config.toml:29:19
       |
    29 | command = { run = [] }
       |                   ^^
    "#);
}

#[test]
fn a_text_that_is_not_toml_is_read_as_far_as_possible() {
    let text = "role =\n[gate]\nahead = \"blok\"\nsettle_timeout = = 2\n[lock\ntimeout = \"1m\"\n";
    assert_snapshot!(rendered(text, &Environment::default()), @r#"
    error: string values must be quoted, expected literal string
     --> config.toml:1:7
      |
    1 | role =
      |       ^

    error: `blok` is not "warn" or "block"
     --> config.toml:3:9
      |
    3 | ahead = "blok"
      |         ^^^^^^
      |
      = help: did you mean `block`?

    error: extra `=`, expected nothing
     --> config.toml:4:18
      |
    4 | settle_timeout = = 2
      |                  ^

    error: unexpected key or value, expected newline, `#`
     --> config.toml:4:20
      |
    4 | settle_timeout = = 2
      |                    ^

    error: unclosed table, expected `]`
     --> config.toml:5:6
      |
    5 | [lock
      |      ^
    "#);
}

#[test]
fn a_value_from_a_variable_is_reported_with_the_variables_name() {
    let text = r#"
[gate]
settle_timeout = "${SETTLE}"
ahead = "${AHEAD:?decide about a newer database}"
[lock]
timeout = "${TIMEOUT:-5 minutes}"
[[step]]
name = "s"
when = { env = "FLAG", unless_env = ["OTHER"] }
wait.tcp = { address = "${ADDRESS}", timeout = "${TIMEOUTS}" }
"#;
    let env = Environment::from([
        ("SETTLE", "hunter2"),
        ("FLAG", "hunter2"),
        ("OTHER", "no"),
        ("ADDRESS", "hunter2"),
        ("TIMEOUT", ""),
    ]);
    assert_snapshot!(rendered(text, &env), @r#"
    error: the value of `SETTLE` is not a duration such as "90s", "2m", "500ms" or
           "1h"
     --> config.toml:3:18
      |
    3 | settle_timeout = "${SETTLE}"
      |                  ^^^^^^^^^^^

    error: the variable `AHEAD` is not set: decide about a newer database
     --> config.toml:4:10
      |
    4 | ahead = "${AHEAD:?decide about a newer database}"
      |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: set `AHEAD`

    error: `5 minutes` is not a duration such as "90s", "2m", "500ms" or "1h"
     --> config.toml:6:11
      |
    6 | timeout = "${TIMEOUT:-5 minutes}"
      |           ^^^^^^^^^^^^^^^^^^^^^^^

    error: the value of `FLAG` is neither true nor false
     --> config.toml:9:16
      |
    9 | when = { env = "FLAG", unless_env = ["OTHER"] }
      |                ^^^^^^
      |
      = help: set it to true, 1, yes or on, or to false, 0, no or off

    error: the value of `ADDRESS` is not an address such as "db:5432" or
           "[::1]:5432"
      --> config.toml:10:24
       |
    10 | wait.tcp = { address = "${ADDRESS}", timeout = "${TIMEOUTS}" }
       |                        ^^^^^^^^^^^^

    error: the variable `TIMEOUTS` is not set
      --> config.toml:10:49
       |
    10 | wait.tcp = { address = "${ADDRESS}", timeout = "${TIMEOUTS}" }
       |                                                 ^^^^^^^^^^^
       |
       = help: set it, or give a default: `${TIMEOUTS:-...}`
    "#);
}

#[test]
fn steps_that_run_before_a_writer_or_lack_a_table_are_refused() {
    let text = r#"
[database]
url = "sqlite://var"
[[step]]
name = "wait"
wait.database = {}
[[step]]
name = "tables"
migrate.shared = {}
[[step]]
name = "all"
after = ["wait"]
verify = { tenants = "all" }
"#;
    assert_snapshot!(rendered(text, &Environment::default()), @r#"
    error: step `tables` needs `[migrations]`, which the file does not have
     --> config.toml:9:1
      |
    9 | migrate.shared = {}
      | ^^^^^^^

    error: step `all` does not wait for step `tables`, which changes the database
      --> config.toml:12:9
       |
    12 | after = ["wait"]
       |         ^^^^^^^^
       |
       = help: remove `after`, or name that step in it

    error: step `all` needs `[migrations]`, which the file does not have
      --> config.toml:13:1
       |
    13 | verify = { tenants = "all" }
       | ^^^^^^

    error: step `all` needs `[tenants]`, which the file does not have
      --> config.toml:13:1
       |
    13 | verify = { tenants = "all" }
       | ^^^^^^
    "#);
}

#[test]
fn the_gate_needs_no_registry_if_the_shared_schema_alone_has_migrations() {
    let problems = |migrations: &str, verify: &str| {
        let text = format!(
            "[database]\nurl = \"postgres://x@y/z\"\n[migrations]\nframework = \"knex\"\n{migrations}\n[[step]]\nname = \"all\"\nverify = {{ {verify} }}\n"
        );
        rendered(&text, &Environment::default())
    };
    assert_eq!(problems("shared = \"m\"", "tenants = \"all\""), "");
    let refused = "step `all` needs `[tenants]`";
    for (migrations, verify) in [
        ("shared = \"m\"", "tenants = [\"a\"]"),
        ("shared = \"m\"", "tenants = \"all\", shared = false"),
        ("tenant = \"m\"", "tenants = \"all\""),
        ("shared = \"m\"\ntenant = \"m\"", "tenants = \"all\""),
    ] {
        assert!(problems(migrations, verify).contains(refused), "{migrations} {verify}");
    }
}

#[test]
fn a_server_without_a_gate_is_a_warning() {
    let text = r#"
[database]
url = "sqlite://var"
[tenants]
registry = { table = "tenants", schema_column = "s" }
[migrations]
shared = "s"
tenant = "t"
[[step]]
name = "all"
when = { unless_env = "SKIP" }
verify = { tenants = "all" }
"#;
    assert_snapshot!(rendered(text, &Environment::default()), @r#"
    warning: nothing proves that every tenant is complete before the server starts
     --> config.toml:6:2
      |
    6 | [migrations]
      |  ^^^^^^^^^^
      |
      = help: let the last step be `verify = { tenants = "all" }`, without `when`
    "#);
}

#[test]
fn each_problem_is_reported_once() {
    for (text, message) in [
        ("[database]\nhost = \"h\"\nname = \"n\"", "`[database]` needs `user` (or the variable `PGUSER`)"),
        ("[database]\nurl = \"sqlite://v\"\nhost = \"h\"", "`host` cannot be combined with a sqlite:// URL"),
        ("[database]\nurl = \"postgres://u@h/d\"\nuser = \"x\"", "`user` is given twice: here and in `url`"),
        ("[database]\nurl = \"${NONE}\"", "the variable `NONE` is not set"),
        ("[[step]]\nname = \"a\"", "step `a` does nothing"),
        ("[[step]]\nname = \"\"\ncommand = { run = [\"x\"] }", "a `[[step]]` needs `name`"),
        ("[step]\nname = \"a\"", "this must be a list of tables, not a table"),
        (
            "[server]\npassthrough = [\"sh\"]",
            "`sh` is not a list of words, as in [[\"sh\"], [\"python\", \"manage.py\", \"shell\"]]",
        ),
        (
            "[server]\npassthrough = [[]]",
            "this must be a list of words, as in [[\"sh\"], [\"python\", \"manage.py\", \"shell\"]], not a list",
        ),
        ("[lock]\ntimeout = \"0s\"", "`0s` is not longer than zero"),
        ("[lock]\ntimeout = \"900h\"", "`900h` is not at most 168h"),
        (
            "[[step]]\nname = \"a\"\nmigrate = { shared = {}, tenants = {} }\n[[step]]\nname = \"b\"\nverify = { tenants = \"all\" }\n[database]\nurl=\"sqlite://v\"\n[tenants]\nregistry = { table = \"t\", schema_column = \"s\" }\n[migrations]\nshared=\"s\"\ntenant=\"t\"",
            "`migrate` takes one of shared, tenants: `tenants` is one too many",
        ),
        (
            "[[step]]\nname = \"a\"\ncommand = { run = [\"x\"], accept = 256 }",
            "`256` is not a whole number from 0 to 255",
        ),
        (
            "[[step]]\nname = \"a\"\nbootstrap = { tenants = [\"${NONE:-}\"] }\n[database]\nurl=\"sqlite://v\"\n[tenants]\nregistry = { table = \"t\", schema_column = \"s\" }\n[migrations]\nshared=\"s\"\ntenant=\"t\"",
            "the list contains no tenant",
        ),
        (
            "[[step]]\nname = \"a\"\ncommand = { run = [\"x\"] }\n[[step]]\nname = \"a\"\ncommand = { run = [\"x\"] }",
            "the name `a` is already used by step 1",
        ),
        (
            "[[step]]\nname = \"a\"\nafter = [\"a\"]\ncommand = { run = [\"x\"] }",
            "the step `a` is not above this one",
        ),
        ("[[step]]\nname = \"a\"\nwhen = { role = [] }\ncommand = { run = [\"x\"] }", "`role` is empty"),
        ("[database]\nhost = \"${NONE}\"\nuser = \"u\"\nname = \"n\"", "the variable `NONE` is not set"),
    ] {
        assert_eq!(messages(text, &Environment::default()), [message], "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_and_shown(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "[[step]]", "{", "}", "=", "\"", "'", "\n", " ", ",", ".", "$", "${", "${A", ":-", "é", "\"\"\"",
                "name", "wait", "tcp", "after", "password", "url", "database", "postgres://", "@", "%", "1", "[step]", "\\",
            ]),
            0..24,
        )
    ) {
        rendered(&words.concat(), &Environment::from([("A", "é")]));
    }
}

#[test]
fn features_that_sqlite_lacks_are_reported_with_their_place() {
    let on_sqlite = |rest: &str| format!("[database]\nurl = \"sqlite://v\"\n{rest}");
    let django = on_sqlite("[migrations]\nframework = \"django\"\ntemplate = { file = \"t.sql\" }\n");
    let text = rendered(&django, &Environment::default());
    assert!(text.contains("config.toml:4:13"), "{text}");
    assert!(text.contains("`framework = \"django\"` needs PostgreSQL, and `[database]` is SQLite"), "{text}");
    assert!(text.contains("give `[database]` a postgres:// URL"), "{text}");
    let bootstrap = on_sqlite(
        "[tenants]\nregistry = { table = \"t\", schema_column = \"s\" }\n[migrations]\nshared = \"s\"\ntenant = \"t\"\n\
         apply = { statement_timeout = \"5s\" }\n[[step]]\nname = \"demo\"\nbootstrap = { tenants = [\"demo\"], run = [\"create\"] }\n\
         [[step]]\nname = \"gate\"\nverify = { tenants = \"all\" }\n",
    );
    assert_eq!(
        messages(&bootstrap, &Environment::default()),
        [
            "`statement_timeout` has no effect: SQLite has no limit for a statement",
            "step `demo` creates tenants with `run`, which needs a schema of PostgreSQL for each tenant, and this is SQLite",
        ]
    );
    let postgres = bootstrap.replace("sqlite://v", "postgres://u@h/d");
    assert_eq!(messages(&postgres, &Environment::default()), [""; 0]);
}
