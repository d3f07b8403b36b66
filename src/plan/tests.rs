//! Tests plans of small configurations, and properties of their order.
#![expect(clippy::unwrap_used, reason = "tests")]

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::{
    config::{Action, OnFailure, When, environment::Environment, load::of_text, role::matches},
    report,
};

const CONFIG: &str = r#"
[database]
url = "sqlite://var"
[tenants]
registry = { table = "tenants", schema_column = "schema_name" }
[migrations]
shared = "s"
tenant = "t"
[[step]]
name = "database"
wait.database = {}
[[step]]
name = "broker"
after = "start"
when = { role = ["worker", "celery-*"] }
wait.redis = { url = "redis://broker" }
[[step]]
name = "extension"
when = { pending = "shared" }
sql = { run = "SELECT 1" }
[[step]]
name = "tenant schemas"
when = { unless_env = "SKIP_MIGRATIONS" }
migrate.tenants = {}
[[step]]
name = "demo"
when = { env = "CREATE_DEMO_TENANT" }
bootstrap = { tenants = ["demo"] }
[[step]]
name = "every tenant is complete"
verify = { tenants = "all" }
[[step]]
name = "static files"
after = ["database", "broker"]
on_failure = "warn"
command = { run = ["true"] }
[server]
command = ["server", "--flag"]
passthrough = [["bash"], ["python", "manage.py", "shell"]]
"#;

fn config(env: &Environment, role: Option<&str>) -> Config {
    of_text(CONFIG, env, role).unwrap()
}

#[test]
fn a_plan_shows_what_runs_and_why_the_rest_does_not() {
    let env = Environment::from([("SKIP_MIGRATIONS", "yes")]);
    let plan = plan(&config(&env, Some("web"))).unwrap();
    assert_snapshot!(report::plan::text(&plan, &[], 80, false), @r#"
    role: web
    1  database                  wait.database    run
    2  broker                    wait.redis       skip: the role `web` is not
                                                  `worker` or `celery-*`; after
                                                  start
    3  extension                 sql              decided when it starts: if
                                                  migrations are pending in the
                                                  shared schema
    4  tenant schemas            migrate.tenants  skip: `SKIP_MIGRATIONS` is true
    5  demo                      bootstrap        skip: `CREATE_DEMO_TENANT` is not
                                                  true
    6  every tenant is complete  verify           run
    7  static files              command          run; after 1, 2; a failure only
                                                  warns
    then: server
    "#);
    for columns in [80, 140] {
        let text = report::plan::text(&plan, &[], columns, false);
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
    }
    assert_snapshot!(serde_json::to_string(&plan.steps[1..4]).unwrap(), @r#"[{"name":"broker","kind":"wait.redis","after":[],"decision":{"skip":{"reason":"the role `web` is not `worker` or `celery-*`"}},"on_failure":"block","once":false,"exports":false},{"name":"extension","kind":"sql","after":[0,1],"decision":{"decided_at_its_turn":{"pending":"shared"}},"on_failure":"block","once":false,"exports":false},{"name":"tenant schemas","kind":"migrate.tenants","after":[0,1,2],"decision":{"skip":{"reason":"`SKIP_MIGRATIONS` is true"}},"on_failure":"block","once":false,"exports":false}]"#);
}

#[test]
fn a_role_is_required_only_if_a_step_has_a_role_condition() {
    let failure = plan(&config(&Environment::default(), None)).unwrap_err();
    assert_eq!(failure.to_string(), "the step `broker` needs `role` in the configuration");
    let empty = of_text("", &Environment::default(), None).unwrap();
    assert_eq!(plan(&empty).unwrap().role, None);
}

#[test]
fn a_role_matches_a_glob() {
    for (pattern, text, expected) in [
        ("web", "web", true),
        ("web", "web2", false),
        ("celery-*", "celery-high", true),
        ("celery-*", "celery", false),
        ("*-*-z", "a-b-c-z", true),
        ("w?b", "wéb", true),
        ("?", "", false),
        ("*", "", true),
        ("", "", true),
        ("a*b*c", "abbbd", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn a_shell_passes_through_and_the_server_does_not() {
    for (argv, expected) in [
        ("bash", true),
        ("portcullis repair demo", true),
        ("/usr/local/bin/portcullis --version", true),
        ("portcullis run --no-config -- server", false),
        ("portcullis init -- server", false),
        ("portcullis --role web run", false),
        ("portcullis", false),
        ("/bin/bash -c true", true),
        ("python manage.py shell -i ipython", true),
        ("/usr/bin/python manage.py shell", true),
        ("python manage.py runserver", false),
        ("python", false),
        ("bashful", false),
        ("", false),
    ] {
        let argv: Vec<String> = argv.split_whitespace().map(str::to_owned).collect();
        assert_eq!(
            passes_through(&config(&Environment::default(), None).server.passthrough, &argv),
            expected,
            "{argv:?}"
        );
    }
}

/// Plans whose steps come after all, none or some of the steps above.
fn plans() -> impl Strategy<Value = Plan> {
    prop::collection::vec((0..3_u8, any::<u16>()), 0..12).prop_map(|orders| {
        let steps = orders.iter().enumerate().map(|(at, (order, mask))| Planned {
            step: Step {
                name: at.to_string(),
                after: After::Above,
                when: When::default(),
                on_failure: OnFailure::Block,
                action: Action::Migrate(Scope::Shared),
            },
            after: match order {
                0 => (0..at).collect(),
                1 => Vec::new(),
                _ => (0..at).filter(|step| mask & (1 << step) != 0).collect(),
            },
            decision: Decision::Run,
        });
        Plan { role: None, steps: steps.collect(), server: None }
    })
}

proptest! {
    #[test]
    fn the_order_of_the_file_is_always_valid(plan in plans()) {
        let mut done = vec![false; plan.steps.len()];
        for at in 0..plan.steps.len() {
            prop_assert!(plan.ready(&done).contains(&at));
            done[at] = true;
        }
        prop_assert!(plan.ready(&done).is_empty());
    }

    #[test]
    fn no_step_precedes_what_it_comes_after(plan in plans(), choices in prop::collection::vec(any::<prop::sample::Index>(), 12)) {
        let mut done = vec![false; plan.steps.len()];
        for choice in choices.iter().take(plan.steps.len()) {
            let ready = plan.ready(&done);
            prop_assert!(!ready.is_empty());
            let next = ready[choice.index(ready.len())];
            prop_assert!(plan.steps[next].after.iter().all(|before| done[*before]));
            done[next] = true;
        }
        prop_assert!(done.iter().all(|done| *done));
    }

    #[test]
    fn without_one_step_exactly_the_steps_that_it_precedes_are_never_started(plan in plans(), left in any::<prop::sample::Index>()) {
        prop_assume!(!plan.steps.is_empty());
        let left = left.index(plan.steps.len());
        let mut done = vec![false; plan.steps.len()];
        while let Some(next) = plan.ready(&done).into_iter().find(|step| *step != left) {
            done[next] = true;
        }
        for (step, done) in done.into_iter().enumerate().skip(left) {
            let before = plan.predecessors(step);
            prop_assert_eq!(before.len(), step + 1);
            prop_assert_eq!(before[left], step != left && !done);
        }
    }
}
