//! SIGKILL inside `bootstrap.run`: the tenant is whole, absent or refused, whatever the order of the steps.

use std::{fs, thread};

use nix::sys::signal::Signal;

use crate::support::{cluster::Database, django::Project, portcullis::Portcullis};

/// The number of moments at which the command is killed; `PORTCULLIS_TEST_KILLS` sets another one, and
/// `PORTCULLIS_TEST_SEED` other moments.
const KILLS: usize = 10;

/// The number of projects in which commands are killed at the same time: most of a start after a kill is waiting.
const PROJECTS: usize = 5;

const CREATE: &str = r#"
[[step]]
name = "create"
bootstrap = { tenants = ["trial"], run = ["sh", "-c", "psql -qX -v ON_ERROR_STOP=1 $TRIAL -f trial.sql"] }
"#;
const MIGRATE: &str = "[[step]]\nname = \"migrate\"\nmigrate.tenants = {}\n";
const VERIFY: &str = "[[step]]\nname = \"gate\"\nverify = { tenants = \"all\" }\n";

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// One copy of the project.
struct ProjectCopy {
    portcullis: Portcullis,
    database: Database,
}

impl ProjectCopy {
    fn of(project: &Project) -> Self {
        let database = project.database.copy();
        let portcullis =
            project.portcullis.copy().env("DB_NAME", database.name()).env("TRIAL", &database.url());
        Self { portcullis, database }
    }

    fn write(&self, statements: &[String]) {
        fs::write(self.portcullis.path("trial.sql"), statements.join(";\n") + ";\n").unwrap();
    }

    /// What exists of the tenant: its rows, its domains, and its relations.
    fn found(&self) -> Vec<String> {
        self.database.column(
            "SELECT 'row' FROM customers_client WHERE schema_name = 'trial' UNION ALL \
             SELECT domain::text FROM customers_domain WHERE domain = 'trial.localhost' UNION ALL \
             SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace('trial') ORDER BY 1",
        )
    }

    /// Kills the command before the statement with this number, and then starts again.
    fn kill(&self, statements: &[String], moment: usize) {
        let mut paused = statements.to_vec();
        paused.insert(moment, "SELECT pg_sleep(600)".into());
        self.write(&paused);
        let running = self.portcullis.spawn(["run", "--no-server"]);
        self.database.until_sleeping();
        running.signal(Signal::SIGKILL);
        running.wait();
        self.write(statements);
        let before = self.found();
        let next = self.portcullis.run(["run", "--no-server"]);
        if moment > 0 {
            next.exits(73).prints("`trial`").prints("portcullis tenant delete trial");
            assert_eq!(self.found(), before, "moment {moment}");
            let verified = self.portcullis.run(["verify"]);
            if before.contains(&"row".to_owned()) {
                verified.exits(1).prints("half created");
            }
            self.portcullis.run(["tenant", "delete", "trial", "--yes"]).exits(0);
            assert!(self.found().is_empty(), "moment {moment}");
            self.portcullis.run(["run", "--no-server"]).exits(0).prints("1 created");
        } else {
            next.exits(0).prints("1 created");
        }
        assert!(self.found().contains(&"trial.localhost".to_owned()), "moment {moment}");
        self.portcullis.run(["tenant", "delete", "trial", "--yes"]).exits(0);
    }
}

#[test]
fn a_command_killed_at_any_moment_leaves_a_tenant_that_is_whole_absent_or_refused() {
    let mut project = Project::complete();
    project.set("CREATE_DEMO_TENANT", "1");
    let schema = project.copy_statements("demo", "trial");
    let row = "INSERT INTO public.customers_client (schema_name, name, created_on) VALUES ('trial', 'Trial', now())";
    let domain = "INSERT INTO public.customers_domain (domain, is_primary, tenant_id) \
                  SELECT 'trial.localhost', true, id FROM public.customers_client WHERE schema_name = 'trial'";
    let config = fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    let (head, _) = config.split_once("[[step]]").unwrap();
    let (kills, seed) = (number("PORTCULLIS_TEST_KILLS", KILLS), number("PORTCULLIS_TEST_SEED", 15));
    let (project, schema) = (&project, &schema);
    thread::scope(|scope| {
        for first in 0..PROJECTS.min(kills) {
            scope.spawn(move || {
                let copy = ProjectCopy::of(project);
                for kill in (first..kills).step_by(PROJECTS) {
                    let mut random = fastrand::Rng::with_seed((seed + kill) as u64);
                    let mut statements = schema.clone();
                    statements.insert(if random.bool() { 0 } else { schema.len() }, row.into());
                    statements.push(domain.into());
                    // Among the moments are the ones before the first and after the last statement.
                    let moment = match kill {
                        0 | 1 => kill * statements.len(),
                        _ => random.usize(0..=statements.len()),
                    };
                    let order =
                        if random.bool() { [CREATE, MIGRATE, VERIFY] } else { [MIGRATE, CREATE, VERIFY] };
                    fs::write(copy.portcullis.path("config.toml"), head.to_owned() + &order.concat())
                        .unwrap();
                    copy.kill(&statements, moment);
                }
            });
        }
    });
}
