//! SQLite's files are attacked: the run is killed while it writes, the disk is full, and a file is locked, damaged, or
//! replaced by a link or a FIFO.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command, thread, time::Instant};

use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{oracle::is_true, project::STARTED, tries::attack};
use crate::support::{cluster::block_on, portcullis::Portcullis, process::Running, project::steps};

const CONFIG: &str = r#"
[database]
url = "sqlite://var"
[tenants]
registry = { table = "tenants", schema_column = "name" }
[migrations]
shared = "shared"
tenant = "tenant"
[lock]
timeout = "20s"
[[step]]
name = "database"
wait.database = { timeout = "6s" }
[[step]]
name = "shared schema"
migrate.shared = {}
[[step]]
name = "tenant schemas"
migrate.tenants = {}
[[step]]
name = "demo tenant"
bootstrap = { tenants = ["demo"] }
[[step]]
name = "gate"
verify = { tenants = "all", timeout = "20s" }
"#;

#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    /// The disk has this number of free blocks of 4 KiB.
    Full(usize),
    Locked,
    Damaged,
    Link,
    Fifo,
    Directory,
}

/// Tenants `t0` and `t1` with data and two pending files.
fn behind() -> Portcullis {
    let earlier = steps(CONFIG)
        .file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n")
        .file("tenant/1_item.sql", "CREATE TABLE item (n bigint);\n");
    earlier.run(["manifest", "sql"]).exits(0);
    earlier.run(["migrate", "--shared"]).exits(0);
    for tenant in ["t0", "t1"] {
        earlier.run(["tenant", "create", tenant]).exits(0);
        execute(&earlier.path(&format!("var/tenants/{tenant}.sqlite")), "INSERT INTO item VALUES (42)")
            .unwrap();
    }
    let project = earlier
        .file(
            "tenant/2_note.sql",
            "ALTER TABLE item ADD COLUMN note text;\nINSERT INTO item VALUES (-2, 'once');\n",
        )
        .file("tenant/3_line.sql", "CREATE TABLE line (n bigint);\nINSERT INTO item VALUES (-3, 'once');\n");
    project.run(["manifest", "sql"]).exits(0);
    project
}

fn execute(file: &Path, sql: &str) -> Result<(), sqlx::Error> {
    block_on(async {
        let options = SqliteConnectOptions::new().filename(file);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?;
        connection.close().await
    })
}

fn number(file: &Path, sql: &str) -> i64 {
    block_on(async {
        let options = SqliteConnectOptions::new().filename(file);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap()
    })
}

/// What is not complete, judged by SQL; `pending` is what an interrupted run may leave.
fn problems(project: &Portcullis) -> Vec<String> {
    let mut problems = Vec::new();
    for tenant in ["t0", "t1", "demo"] {
        let file = project.path(&format!("var/tenants/{tenant}.sqlite"));
        let registered = format!("SELECT count(*) FROM tenants WHERE name = '{tenant}'");
        if number(&project.path("var/shared.sqlite"), &registered) != 1 {
            problems.push(format!("pending {tenant}"));
            continue;
        }
        let one = |sql: &str| number(&file, sql);
        if tenant != "demo" && one("SELECT count(*) FROM item WHERE n = 42") != 1 {
            problems.push(format!("{tenant} has lost data"));
        }
        for (version, effect) in [
            (1, "SELECT count(*) FROM sqlite_master WHERE name = 'item'"),
            (2, "SELECT count(*) FROM item WHERE n = -2"),
            (
                3,
                "SELECT count(*) = 1 AND (SELECT count(*) = 1 FROM sqlite_master WHERE name = 'line') FROM item WHERE n = -3",
            ),
        ] {
            let recorded =
                format!("SELECT count(*) FROM _sqlx_migrations WHERE version = {version} AND success");
            match (one(&recorded), one(effect)) {
                (1, 1) => {}
                (0, 0) => problems.push(format!("pending {version} of {tenant}")),
                (recorded, effect) => {
                    problems.push(format!("{tenant}: {version} recorded {recorded}, effect {effect}"));
                }
            }
        }
    }
    problems
}

/// Starts on a disk with this number of free blocks, in a mount namespace of its own, and copies the files back.
fn start_on_full_disk(project: &Portcullis, blocks: usize) -> Running {
    let program = env!("CARGO_BIN_EXE_portcullis");
    let script = format!(
        "mkdir disk && mount -t tmpfs -o size=16M tmpfs disk && cp -a var disk/ && \
         free=$(stat -f -c %f disk) && if [ \"$free\" -gt {blocks} ]; then head -c $(((free - {blocks}) * 4096)) /dev/zero > disk/filler; fi; \
         mount --bind disk/var var && {program} run; code=$?; rm -f disk/filler; mkdir out && cp -a disk/var/. out/; exit $code"
    );
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-c", &script]).current_dir(project.folder());
    command.env_clear().env("PATH", std::env::var("PATH").unwrap());
    Running::start(command, false)
}

#[test]
fn an_attacked_file_loses_nothing() {
    let base = behind();
    let measured = base.copy();
    let started = Instant::now();
    measured.run(["run"]).exits(0);
    let length = started.elapsed();
    assert_eq!(problems(&measured), Vec::<String>::new());
    let mut tries = Vec::new();
    for round in 0..60 {
        for (name, fault) in [
            ("SQLite: killed while it writes", Fault::Killed),
            ("SQLite: full disk", Fault::Full(round)),
            ("SQLite: locked file", Fault::Locked),
            ("SQLite: damaged file", Fault::Damaged),
            ("SQLite: link", Fault::Link),
            ("SQLite: FIFO", Fault::Fifo),
            ("SQLite: folder", Fault::Directory),
        ] {
            tries.push((name.to_owned(), fault));
        }
    }
    attack("files", 6, tries, |_, fault, random| {
        let project = base.copy();
        let name = ["shared.sqlite", "tenants/t0.sqlite", "tenants/t1.sqlite"][random.usize(0..3)];
        let file = project.path(&format!("var/{name}"));
        let saved = fs::read(&file).unwrap();
        let codes: &[i32];
        let outcome = match fault {
            Fault::Killed => {
                // The run may end before the signal.
                codes = &[0];
                let running = project.spawn(["run"]);
                thread::sleep(length.mul_f64(random.f64()));
                running.signal(Signal::SIGKILL);
                running.wait()
            }
            Fault::Full(blocks) => {
                codes = &[0, 1, 73, 74, 75];
                let outcome = start_on_full_disk(&project, *blocks).wait();
                fs::remove_dir_all(project.path("var")).unwrap();
                fs::rename(project.path("out"), project.path("var")).unwrap();
                outcome
            }
            Fault::Locked => {
                let options = SqliteConnectOptions::new().filename(&file);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let mut holder = runtime.block_on(SqliteConnection::connect_with(&options)).unwrap();
                runtime.block_on(holder.execute(sqlx::raw_sql("BEGIN EXCLUSIVE"))).unwrap();
                codes = &[1, 69, 73, 74, 75];
                let outcome = project.run(["run"]);
                runtime.block_on(holder.close()).unwrap();
                outcome
            }
            Fault::Damaged => {
                let mut bytes = saved.clone();
                // The header, whose damage any reader finds.
                bytes[..100].fill_with(|| random.u8(..));
                fs::write(&file, bytes).unwrap();
                codes = &[69, 74, 77];
                project.run(["run"])
            }
            Fault::Link => {
                fs::rename(&file, project.path("elsewhere")).unwrap();
                symlink(project.path("elsewhere"), &file).unwrap();
                codes = &[69, 74, 77];
                project.run(["run"])
            }
            Fault::Fifo => {
                fs::remove_file(&file).unwrap();
                mkfifo(&file, Mode::S_IRWXU).unwrap();
                codes = &[69, 74, 77];
                project.run(["run"])
            }
            Fault::Directory => {
                fs::remove_file(&file).unwrap();
                fs::create_dir(&file).unwrap();
                codes = &[69, 74, 77];
                project.run(["run"])
            }
        };
        let restores = matches!(fault, Fault::Damaged | Fault::Link | Fault::Fifo | Fault::Directory);
        if restores {
            let _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
            fs::write(&file, saved).unwrap();
        }
        let serves = if outcome.signal == Some(9) {
            outcome.stdout.contains(STARTED)
        } else {
            is_true(&outcome, codes)
        };
        let found = problems(&project);
        assert!(!serves || found.is_empty(), "the server started with {found:?}: {outcome}");
        let lost: Vec<String> =
            found.into_iter().filter(|problem| !problem.starts_with("pending ")).collect();
        assert_eq!(lost, Vec::<String>::new(), "{fault:?} {name}: {outcome}");
        let second = project.run(["run"]);
        assert!(is_true(&second, &[0]), "{outcome}");
        assert_eq!(problems(&project), Vec::<String>::new(), "{outcome}\n{second}");
    });
}
