//! The keys of every table but those in a step.

use super::{
    super::{
        Ahead, GateMode, Mode,
        connection::{SCHEMES, SslMode},
        tables::{External, Incomplete, OnFailed},
    },
    Key,
    Kind::{
        Argv, Argvs, Boolean, Day, Duration, DurationOrZero, Identifier, ListenAddress, Number, OneOrMany,
        Password, Path, Table, Tables, Text, Texts, Url, Variables, Word,
    },
    Section, steps, words,
};
use crate::logging::{LogFormat, LogLevel};

pub(in crate::config) const ROOT: Section = Section::new(
    "the configuration",
    "The start-up of a container: what to wait for, what to migrate, what to prove, and which server to start.",
    &[
        key!(role: Text,
            "What this container is; `--role` overrides it. A step with `when.role` and no role at all is an error (78)."),
        key!(database: Table(&DATABASE), "How to reach the database."),
        key!(tenants: Table(&TENANTS), "Where the list of tenants comes from."),
        key!(migrations: Table(&MIGRATIONS), "Where migrations come from and how they are applied."),
        key!(gate: Table(&GATE), "How the gate judges."),
        key!(accept: Tables(&ACCEPT), "Known drift that is waived until a day."),
        key!(lock: Table(&LOCK), "The lock that keeps runs from changing schemas at the same time."),
        key!(server: Table(&SERVER), "What is started after the steps."),
        key!(log: Table(&LOG), "What `run` prints."),
        key!(status: Table(&STATUS), "How others can ask for the state of the start-up."),
        key!(notify: Table(&NOTIFY), "A command that is told of a failure."),
        key!(metrics: Table(&METRICS), "Metrics of the start-up."),
        key!(step: Tables(&steps::STEP), "What is done before the server is started, in order."),
    ],
);

const URL: Key = key!(url: Url(&SCHEMES), "`postgres://`, `postgresql://` or `sqlite://FOLDER`.");
const HOST: Key = key!(host: Text, ? "`PGHOST`", "A name, an address, or the folder of a socket; required.");
const PORT: Key = key!(port: Number(1, 65_535), ? "`PGPORT`, else 5432", "The server's port.");
const NAME: Key = key!(name: Text, ? "`PGDATABASE`", "The database's name; required.");
const USER: Key = key!(user: Text, ? "`PGUSER`", "The role that logs in; required.");
const PASSWORD: Key = key!(password: Password, ? "`PGPASSWORD`, else none", "The role's password.");
const SSLMODE: Key = key!(sslmode: Word(words::<SslMode>), ? "`prefer`",
            "Whether the connection uses TLS, in libpq's words.");
const SSLROOTCERT: Key = key!(sslrootcert: Text, "A file of certificates that are trusted.");

const DATABASE: Section = Section::new(
    "`[database]`",
    "How to reach the database: a URL, or parts, or a URL and the parts it lacks.",
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
const DIRECT: Section = Section::new("`direct`", "What differs from `[database]`.", CONNECTION);
const READER: Section = Section::new("`reader`", "What differs from `[database]`.", CONNECTION);

const TENANTS: Section = Section::new(
    "`[tenants]`",
    "Where the list of tenants comes from.",
    &[key!(registry: Table(&REGISTRY), required, "The table that lists the tenants.")],
);
const REGISTRY: Section = Section::new(
    "`registry`",
    "The table that lists the tenants.",
    &[
        key!(table: Identifier, required,
            "The table that lists the tenants, perhaps with its schema: `\"public.tenants\"`."),
        key!(schema_column: Identifier, required, "The column with the schema's name."),
        key!(where: Text, "An SQL condition that a row must meet to count as a tenant."),
        key!(min_rows: Number(0, 1_000_000), = "0", "The gate blocks while the registry has fewer rows than this.")
            .formerly("at_least"),
    ],
);

const MIGRATIONS: Section = Section::new(
    "`[migrations]`",
    "Where migrations come from and how they are applied.",
    &[
        key!(framework: Word(words::<External>), = "sql",
            "Whose migrations they are: files of plain SQL with sqlx's ledger, or a Django project with django-tenants."),
        key!(shared: Path, required, "The folder of the shared schema's files.", only "sql"),
        key!(tenant: Path, required, "The folder of a tenant's files.", only "sql"),
        key!(python: Text, = "python", "The project's own interpreter.", only "django"),
        key!(manage: Path, ? "`DJANGO_SETTINGS_MODULE` names the settings",
            "The project's `manage.py`, which names the settings.", only "django"),
        key!(manifest: Table(&MANIFEST), "The file that says what the code expects."),
        key!(template: Table(&TEMPLATE), ? "the framework migrates each new tenant",
            "What new tenants are copied from.", only "django"),
        key!(apply: Table(&APPLY), "How migrations are applied."),
    ],
);
const MANIFEST: Section = Section::new(
    "`manifest`",
    "The file that says what the code expects.",
    &[
        key!(file: Path, = "portcullis.manifest.json", "The file that `portcullis manifest` writes."),
        key!(auto: Boolean, = "false", "Derive it at start-up, for development."),
    ],
);
const TEMPLATE: Section = Section::new(
    "`template`",
    "What new tenants are copied from.",
    &[key!(file: Path, "The file that `portcullis tenant template` writes ([template.md](template.md)).")],
);
const APPLY: Section = Section::new(
    "`apply`",
    "How migrations are applied.",
    &[
        key!(run: Argv(0), ? "one Python process for many tenants, by the project's settings",
            "The command that migrates one schema; `{schema}` stands for its name. No shell.", only "django"),
        key!(env: Variables,
            "Further variables of every command of the project; a file is read when the configuration is.", only "django"),
        key!(jobs: Number(1, 64), = "4", "How many tenants are migrated at the same time."),
        key!(canary: Texts(0), "Tenants that are migrated before the others."),
        key!(cooperate: Boolean, = "false",
            "Replicas [share the tenants](replicas.md#cooperating-replicas) among them."),
        key!(on_tenant_failure: Word(words::<OnFailed>), = "stop",
            "Whether the other tenants are still migrated when one fails; the step fails in either case."),
        key!(max_failures: Number(1, 1_000_000), ? "no limit",
            "Stop after so many failures; only with `on_tenant_failure = \"continue\"`."),
        key!(timeout: Duration, = "10m", "The limit for one tenant."),
        key!(lock_timeout: Duration, = "5s",
            "How long a statement waits for a lock; then the transaction is tried again, up to five times. A statement outside of a transaction that builds concurrently waits without a limit."),
        key!(statement_timeout: Duration, ? "the server's", "How long one statement may run."),
    ],
);

const GATE: Section = Section::new(
    "`[gate]`",
    "How the gate judges.",
    &[
        key!(ahead: Word(words::<Ahead>), = "warn", "What happens when the database is ahead of the code."),
        key!(settle_timeout: DurationOrZero, = "2m",
            "How long the gate inspects a tenant again that advanced between two inspections, because it is being created.")
            .formerly("settle"),
        key!(allow_standby: Boolean, = "false", "Accept the state of a standby, which proves only itself."),
        key!(mode: Word(words::<GateMode>), = "block",
            "[`\"report\"`](gate-bypasses.md#report-mode) reports everything and blocks nothing."),
        key!(incomplete: Word(words::<Incomplete>), = "block",
            "[`\"quarantine\"`](gate-bypasses.md#quarantine) serves the complete tenants and tells the server about the others."),
        key!(max_quarantined: Number(1, 1_000), ? "none; required with `\"quarantine\"`",
            "More incomplete tenants than this block; only with `incomplete = \"quarantine\"`.")
            .formerly("max"),
        key!(quarantine_file: Path, ? "in memory",
            "Where the list of incomplete tenants is written, by rename; only with `incomplete = \"quarantine\"`."),
    ],
);

const ACCEPT: Section = Section::new(
    "an `[[accept]]`",
    "Known drift of one tenant that is waived until a day.",
    &[
        key!(tenant: Text, required, "The tenant."),
        key!(what: OneOrMany(&Text), required,
            "A migration, a table, `table.column` or an index, as the box shows it; or `no schema`, `no ledger`."),
        key!(until: Day, required, "The last day (UTC) on which it is waived."),
        key!(reason: Text, required, "Why, for everybody who reads it."),
    ],
);

const LOCK: Section = Section::new(
    "`[lock]`",
    "The lock that keeps runs from changing schemas at the same time.",
    &[
        key!(timeout: Duration, = "30m",
            "How long to wait for another run's schema changes (75 after that)."),
        key!(silence_timeout: Duration, = "15s",
            "How long the server may answer nothing at all, on no connection, before a lock that is held counts as lost. The server gives up a holder that it cannot reach 5 s later. As long as the server lists the lock, silence of its session alone ends nothing."),
    ],
);

const SERVER: Section = Section::new(
    "`[server]`",
    "What is started after the steps.",
    &[
        key!(command: Argv(0),
            "The server's program and arguments; `run -- ARGV` replaces it. Without either, the program ends after the steps."),
        key!(passthrough: Argvs,
            "Each the beginning of an argv that runs no step: `[[\"sh\"], [\"python\", \"manage.py\", \"shell\"]]`."),
        key!(mode: Word(words::<Mode>), = "exec", "Become the server, or stay as its init."),
        key!(grace: DurationOrZero, = "8s",
            "The time between TERM and KILL, in supervise mode; processes that a crashed server leaves behind have 1 s unless this is given."),
        key!(stop_signal: Text,
            "The image's STOPSIGNAL, where it is one that ends no process by default (`SIGWINCH`): it then ends the steps. See [PID 1](pid1.md)."),
    ],
);

const LOG: Section = Section::new(
    "`[log]`",
    "What `run` prints.",
    &[
        key!(format: Word(words::<LogFormat>), = "auto",
            "See [logs](logs.md); `--log-format` and `PORTCULLIS_LOG_FORMAT` override it."),
        key!(level: Word(words::<LogLevel>), = "info",
            "The least important events that are written; `--log-level` overrides it."),
    ],
);

const STATUS: Section = Section::new(
    "`[status]`",
    "How others can ask for the state of the start-up.",
    &[
        key!(listen: ListenAddress,
            "Where the [endpoint](status.md) listens until the server starts: `\"0.0.0.0:8080\"`, `\"[::]:8080\"`."),
        key!(file: Path, "A state file for `portcullis health`, which outlives the handover."),
    ],
);

const NOTIFY: Section = Section::new(
    "`[notify]`",
    "A command that is told of a failure.",
    &[
        key!(command: Argv(1), required,
            "Run when the start-up is blocked, a tenant could not be created, or the gate was opened by a quarantine or an override. No shell."),
        key!(timeout: Duration, = "10s", "After this time it is ended."),
    ],
);

const METRICS: Section = Section::new(
    "`[metrics]`",
    "Metrics of the start-up.",
    &[key!(file: Path, required,
            "Written when the start-up ends, by rename, for node exporter's textfile collector; see [status](status.md#metrics).")],
);
