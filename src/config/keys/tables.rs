//! Declares the keys of every table except for those of a step.

use super::{
    super::{
        Ahead, CompatCheck, GateMode, Mode, StructureCheck, Transaction,
        connection::{SCHEMES, SslMode},
        frameworks::{External, is_custom, is_django, is_external, is_sql, reads_files},
        migrations::{LedgerRows, OnFailed},
        tables::Incomplete,
    },
    Key,
    Kind::{
        Argv, Argvs, Boolean, Day, Duration, DurationOrZero, Identifier, ListenAddress, Number, OneOrMany,
        Password, Path, Table, Tables, Text, Texts, Url, Variables, Waves, Word,
    },
    Section, privileges, steps, words,
};
use crate::logging::{LogFormat, LogLevel};

pub(in crate::config) const ROOT: Section = Section::new(
    "the configuration",
    "The start-up of a container: what to wait for, what to migrate, what to prove, and which server to start.",
    &[
        key!(role: Text,
            "The purpose of this container; `--role` overrides it. A step with `when.role` is an error (78) if no role is set."),
        key!(roles: Texts(1), ? "any", "Every role of this image. Another role, and a step for another role, is an error (78)."),
        key!(database: Table(&DATABASE), "The connection to the database."),
        key!(tenants: Table(&TENANTS), "The list of tenants."),
        key!(migrations: Table(&MIGRATIONS), "The migrations, and how they are applied."),
        key!(gate: Table(&GATE), "The rules of the gate."),
        key!(accept: Tables(&ACCEPT), "Known findings that are accepted until a date."),
        key!(lock: Table(&LOCK), "The lock that prevents two runs from changing schemas at the same time."),
        key!(server: Table(&SERVER), "The server, which starts after the steps."),
        key!(log: Table(&LOG), "The output of `run`."),
        key!(status: Table(&STATUS), "The status of the start-up, for probes and people."),
        key!(notify: Table(&NOTIFY), "A command that runs after a failure."),
        key!(metrics: Table(&METRICS), "Metrics of the start-up."),
        key!(step: Tables(&steps::STEP), "The steps before the server starts, in order."),
    ],
);

const URL: Key = key!(url: Url(&SCHEMES), "`postgres://`, `postgresql://` or `sqlite://FOLDER`.");
const HOST: Key = key!(host: Text, ? "`PGHOST`", "A name, an address, or the folder of a socket; required.");
const PORT: Key = key!(port: Number(1, 65_535), ? "`PGPORT`, else 5432", "The server's port.");
const NAME: Key = key!(name: Text, ? "`PGDATABASE`", "The database's name; required.");
const USER: Key = key!(user: Text, ? "`PGUSER`", "The role that logs in; required.");
const PASSWORD: Key = key!(password: Password, ? "`PGPASSWORD`, else none", "The role's password.");
const SSLMODE: Key = key!(sslmode: Word(words::<SslMode>), ? "`prefer`",
            "The TLS mode of the connection, with libpq's values and meaning.");
const SSLROOTCERT: Key = key!(sslrootcert: Text, "A file with trusted certificates.");

const DATABASE: Section = Section::new(
    "`[database]`",
    "The connection to the database: a URL, or parts, or a URL and the parts that it lacks.",
    &[
        URL,
        HOST,
        PORT,
        NAME,
        USER,
        PASSWORD,
        SSLMODE,
        SSLROOTCERT,
        key!(schema: Text, = "public", "The schema that all tenants share."),
        key!(direct: Table(&DIRECT),
            "A connection that bypasses a pooler, for the lock, migrations and provisioning."),
        key!(reader: Table(&READER), "A role that may only SELECT, for the gate."),
    ],
);
const CONNECTION: &[Key] = &[URL, HOST, PORT, NAME, USER, PASSWORD, SSLMODE, SSLROOTCERT];
const DIRECT: Section = Section::new("`direct`", "The keys that differ from `[database]`.", CONNECTION);
const READER: Section = Section::new("`reader`", "The keys that differ from `[database]`.", CONNECTION);

const TENANTS: Section = Section::new(
    "`[tenants]`",
    "The list of tenants.",
    &[key!(registry: Table(&REGISTRY), required, "The table that lists the tenants.")],
);
const REGISTRY: Section = Section::new(
    "`registry`",
    "The table that lists the tenants.",
    &[
        key!(table: Identifier, required,
            "The table that lists the tenants, optionally with its schema: `\"public.tenants\"`."),
        key!(schema_column: Identifier, required, "The column with the schema's name."),
        key!(database: Text, ? "tenants are schemas of `[database]`",
            "Each tenant's [own database](databases.md): its name or URL, with columns of this table in braces: `\"app_{slug}\"`."),
        key!(where: Text, "An SQL condition that a row must meet to count as a tenant."),
        key!(min_rows: Number(0, 1_000_000), = "0", "The gate blocks while the registry has fewer rows than this.")
            .formerly("at_least"),
    ],
);

const LEDGER: Section = Section::new(
    "`[migrations.ledger]`",
    "The table in which the framework records migrations.",
    &[
        key!(table: Identifier, ? "the framework's own", "The ledger's table, in the schema that it describes."),
        key!(id: Identifier, required, "The column with a migration's identifier.", only is_custom),
        key!(applied_when: Text, ? "always",
            "An SQL condition that a row meets if its migration was applied. A row that does not meet it is a failed migration.", only is_custom),
        key!(where: Text, ? "every row", "An SQL condition that a row must meet to count.", only is_custom),
        key!(rows: Word(words::<LedgerRows>), = "each",
            "`\"each\"`: one row for each migration. `\"latest\"`: only the newest migration has a row.", only is_custom),
        key!(files: OneOrMany(&Text), ? "required unless the folders are lists",
            "The [patterns](ledgers.md#custom) of the migration files.", only is_custom),
        key!(recorded_as: Text, ? "the file's `{id}`, `{number}` or `{digits}`",
            "The identifier of a file in the ledger, with the placeholders of its pattern and `{file}`.", only is_custom),
    ],
);

const MIGRATIONS: Section = Section::new(
    "`[migrations]`",
    "The migrations, and how they are applied.",
    &[
        key!(framework: Word(words::<External>), = "sql",
            "The kind of the migrations: plain SQL files with sqlx's ledger, a Django project with django-tenants, or [another framework](ledgers.md)."),
        key!(shared: Path, required, "The folder of the shared schema's files.", only is_sql),
        key!(tenant: Path, required, "The folder of a tenant's files.", only is_sql),
        key!(shared: OneOrMany(&Path), "The folders of the shared schema's files, or [lists](ledgers.md#lists).", only reads_files),
        key!(tenant: OneOrMany(&Path), ? "none; `shared` or `tenant` is required",
            "The folders of a tenant's files, or [lists](ledgers.md#lists).", only reads_files),
        key!(ledger: Table(&LEDGER), ? "the framework's own; required with `\"custom\"`",
            "The ledger's table, if it differs from the framework's own.", only reads_files),
        key!(search_path: Texts(0),
            "Schemas in which the files find names after the schema that they run in, for extensions: `[\"public\"]`.", only is_sql),
        key!(python: Text, = "python", "The project's own interpreter.", only is_django),
        key!(manage: Path, ? "`DJANGO_SETTINGS_MODULE` names the settings",
            "The project's `manage.py`, which names the settings.", only is_django),
        key!(manifest: Table(&MANIFEST), "The file that lists what the code expects."),
        key!(template: Table(&TEMPLATE), ? "the framework migrates each new tenant",
            "The template from which new tenants are copied.", only is_django),
        key!(apply: Table(&APPLY), "How migrations are applied."),
    ],
);
const MANIFEST: Section = Section::new(
    "`manifest`",
    "The file that lists what the code expects.",
    &[
        key!(file: Path, = "portcullis.manifest.json", "The file that `portcullis manifest` writes."),
        key!(auto: Boolean, = "false", "Derive the manifest at every start, for development."),
        key!(empty: Boolean, = "false",
            "Accept a manifest that expects no migrations, or none for tenants. Without it, such a manifest is an error (78)."),
    ],
);
const TEMPLATE: Section = Section::new(
    "`template`",
    "The template from which new tenants are copied.",
    &[key!(file: Path, "The file that `portcullis tenant template` writes ([template.md](template.md)).")],
);
const APPLY: Section = Section::new(
    "`apply`",
    "How migrations are applied.",
    &[
        key!(run: Argv(0), ? "with Django, one Python process for many tenants",
            "The command that migrates one schema, without a shell; `{schema}` is replaced by its name.", only is_external),
        key!(env: Variables,
            "Additional variables for every command of the project; a file is read together with the configuration.", only is_external),
        privileges::USER.only(is_external),
        privileges::GROUP.only(is_external),
        privileges::CAPABILITIES.only(is_external),
        privileges::NO_NEW_PRIVILEGES.only(is_external),
        key!(jobs: Number(1, 64), = "4", "How many tenants are migrated at the same time."),
        key!(canary: Texts(0), "Tenants that are migrated before the others: a wave before those of `waves`."),
        key!(waves: Waves, "Tenants and shares of all tenants that are migrated one after the other, with [a gate between](plan.md#waves): `[[\"demo\"], \"10%\", \"100%\"]`."),
        key!(cooperate: Boolean, = "false",
            "Replicas [share the work](replicas.md#cooperating-replicas) of migrating tenants."),
        key!(replay: Boolean, = "false",
            "The first of the tenants in the same state is migrated by the framework; its statements [are run for the others](replay.md).", only is_django),
        key!(on_tenant_failure: Word(words::<OnFailed>), = "stop",
            "Whether the other tenants are migrated after one has failed; the step fails in either case."),
        key!(max_failures: Number(1, 1_000_000), ? "no limit",
            "The step stops after this number of failures; only with `on_tenant_failure = \"continue\"`."),
        key!(timeout: Duration, = "10m", "The time limit for one tenant."),
        key!(lock_timeout: Duration, = "5s",
            "How long a statement waits for a lock. After that, the transaction is tried again, up to five times. A concurrent index build outside of a transaction waits without a limit."),
        key!(statement_timeout: Duration, ? "the server's", "The time limit for one statement."),
        key!(transaction: Word(words::<Transaction>), = "file",
            "`\"file\"`: each file has its own transaction, as with psql and sqlx. `\"schema\"`: all pending files of a schema share one.", only is_sql),
    ],
);

const GATE: Section = Section::new(
    "`[gate]`",
    "The rules of the gate.",
    &[
        key!(ahead: Word(words::<Ahead>), = "warn", "The result if the database is ahead of the code."),
        key!(structure: Word(words::<StructureCheck>), = "off",
            "The result if [types, constraints, indexes or other objects](structure.md) differ from the expected structure."),
        key!(compat: Word(words::<CompatCheck>), = "off",
            "The result if the code of the release that serves [does not work on the migrated schema](compatibility.md#in-a-start): `\"breaks\"` blocks what certainly breaks, `\"block\"` also what is not proven to be harmless."),
        key!(settle_timeout: DurationOrZero, = "2m",
            "How long the gate inspects a tenant again that advanced between two inspections, because it is being created.")
            .formerly("settle"),
        key!(allow_standby: Boolean, = "false", "Let the gate read a standby, which proves only the state of the standby itself."),
        key!(mode: Word(words::<GateMode>), = "block",
            "[`\"report\"`](gate-bypasses.md#report-mode) reports every finding and never blocks the start."),
        key!(incomplete: Word(words::<Incomplete>), = "block",
            "[`\"quarantine\"`](gate-bypasses.md#quarantine) starts the server for the complete tenants and gives it the list of the others."),
        key!(max_quarantined: Number(1, 1_000), ? "none; required with `\"quarantine\"`",
            "The start blocks if more tenants than this are incomplete; only with `incomplete = \"quarantine\"`.")
            .formerly("max"),
        key!(quarantine_file: Path, ? "in memory",
            "The file for the list of incomplete tenants, written by rename; only with `incomplete = \"quarantine\"`."),
    ],
);

const ACCEPT: Section = Section::new(
    "an `[[accept]]`",
    "A known finding of one tenant that is accepted until a date.",
    &[
        key!(tenant: Text, required, "The tenant."),
        key!(what: OneOrMany(&Text), required,
            "A migration, a table, `table.column` or an index as in the box, or `no schema`, `no database` or `no ledger`."),
        key!(until: Day, required, "The last day (UTC) on which the finding is accepted."),
        key!(reason: Text, required, "The reason, which the reports show."),
    ],
);

const LOCK: Section = Section::new(
    "`[lock]`",
    "The lock that prevents two runs from changing schemas at the same time.",
    &[
        key!(timeout: Duration, = "30m",
            "How long to wait for another run's schema changes (75 after that)."),
        key!(silence_timeout: Duration, = "15s",
            "How long the server may leave every connection without an answer before this run counts its lock as lost. The server ends the session of an unreachable holder 5 s later. If only the lock's session is silent and the server still lists the lock, the lock is not lost."),
    ],
);

const SERVER: Section = Section::new(
    "`[server]`",
    "The server, which starts after the steps.",
    &[
        key!(command: Argv(0),
            "The server's program and arguments; `run -- ARGV` replaces it. Without a command, Portcullis exits after the steps."),
        key!(passthrough: Argvs,
            "Beginnings of argvs that run no step: `[[\"sh\"], [\"python\", \"manage.py\", \"shell\"]]`. Portcullis' own commands run none."),
        key!(mode: Word(words::<Mode>), = "exec", "`\"exec\"` replaces Portcullis by the server; `\"supervise\"` keeps it as the server's init."),
        key!(grace: DurationOrZero, = "8s",
            "The time between TERM and KILL in supervise mode. The descendants of a crashed server have 1 s unless this key is set."),
        key!(stop_signal: Text,
            "The image's STOPSIGNAL, if it is a signal that ends no process by default (`SIGWINCH`). It then ends the steps. See [PID 1](pid1.md)."),
        privileges::USER,
        privileges::GROUP,
        privileges::CAPABILITIES,
        privileges::NO_NEW_PRIVILEGES,
    ],
);

const LOG: Section = Section::new(
    "`[log]`",
    "The output of `run`.",
    &[
        key!(format: Word(words::<LogFormat>), = "auto",
            "See [logs](logs.md); `--log-format` and `PORTCULLIS_LOG_FORMAT` override it."),
        key!(level: Word(words::<LogLevel>), = "info",
            "The lowest level that is written; `--log-level` overrides it."),
    ],
);

const STATUS: Section = Section::new(
    "`[status]`",
    "The status of the start-up, for probes and people.",
    &[
        key!(listen: ListenAddress,
            "The address of the [endpoint](status.md), which is open until the server starts: `\"0.0.0.0:8080\"`, `\"[::]:8080\"`."),
        key!(file: Path, "A state file for `portcullis health`, which still exists after the handover."),
        key!(details: Boolean, = "true",
            "`false` hides the names of steps, tenants, tables and commands from everybody who can reach the endpoint, on the page and in the JSON."),
    ],
);

const NOTIFY: Section = Section::new(
    "`[notify]`",
    "A command that runs after a failure.",
    &[
        key!(command: Argv(1), required,
            "The program that runs, without a shell, when the start-up is blocked, a tenant could not be created, or a quarantine or an override opened the gate."),
        key!(timeout: Duration, = "10s", "The time limit for the command."),
    ],
);

const METRICS: Section = Section::new(
    "`[metrics]`",
    "Metrics of the start-up.",
    &[key!(file: Path, required,
            "A file for node exporter's textfile collector, written by rename when the start-up ends; see [status](status.md#metrics).")],
);
