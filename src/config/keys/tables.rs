//! The keys of every table but those in a step.

use super::{
    super::{
        Ahead, GateMode, Mode,
        connection::{SCHEMES, SslMode},
        tables::{External, Incomplete, OnFailed},
    },
    Key, Kind, Section, steps, words,
};
use crate::logging::{LogFormat, LogLevel};

pub(in crate::config) const ROOT: Section = Section::new(
    "the configuration",
    "The start-up of a container: what to wait for, what to migrate, what to prove, and which server to start.",
    &[
        Key::new(
            "role",
            Kind::Text,
            "What this container is; `--role` overrides it. A step with `when.role` and no role at all is an error (78).",
        ),
        Key::new("database", Kind::Table(&DATABASE), "How to reach the database."),
        Key::new("tenants", Kind::Table(&TENANTS), "Where the list of tenants comes from."),
        Key::new(
            "migrations",
            Kind::Table(&MIGRATIONS),
            "Where migrations come from and how they are applied.",
        ),
        Key::new("gate", Kind::Table(&GATE), "How the gate judges."),
        Key::new("accept", Kind::Tables(&ACCEPT), "Known drift that is waived until a day."),
        Key::new(
            "lock",
            Kind::Table(&LOCK),
            "The lock that keeps runs from changing schemas at the same time.",
        ),
        Key::new("server", Kind::Table(&SERVER), "What is started after the steps."),
        Key::new("log", Kind::Table(&LOG), "What `run` prints."),
        Key::new("status", Kind::Table(&STATUS), "How others can ask for the state of the start-up."),
        Key::new("notify", Kind::Table(&NOTIFY), "A command that is told of a failure."),
        Key::new("metrics", Kind::Table(&METRICS), "Metrics of the start-up."),
        Key::new("step", Kind::Tables(&steps::STEP), "What is done before the server is started, in order."),
    ],
);

const URL: Key = Key::new("url", Kind::Url(&SCHEMES), "`postgres://`, `postgresql://` or `sqlite://FOLDER`.");
const HOST: Key = Key::new("host", Kind::Text, "A name, an address, or the folder of a socket; required.")
    .absent("`PGHOST`");
const PORT: Key =
    Key::new("port", Kind::Number(1, 65_535), "The server's port.").absent("`PGPORT`, else 5432");
const NAME: Key = Key::new("name", Kind::Text, "The database's name; required.").absent("`PGDATABASE`");
const USER: Key = Key::new("user", Kind::Text, "The role that logs in; required.").absent("`PGUSER`");
const PASSWORD: Key =
    Key::new("password", Kind::Password, "The role's password.").absent("`PGPASSWORD`, else none");
const SSLMODE: Key =
    Key::new("sslmode", Kind::Word(words::<SslMode>), "Whether the connection uses TLS, in libpq's words.")
        .absent("`prefer`");
const SSLROOTCERT: Key = Key::new("sslrootcert", Kind::Text, "A file of certificates that are trusted.");

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
        Key::new("schema", Kind::Text, "The schema that all tenants share.").default("public"),
        Key::new(
            "direct",
            Kind::Table(&DIRECT),
            "A connection that bypasses a pooler, for the lock, migrations and provisioning.",
        ),
        Key::new("reader", Kind::Table(&READER), "A role that may only SELECT, for the gate."),
    ],
);
const CONNECTION: &[Key] = &[URL, HOST, PORT, NAME, USER, PASSWORD, SSLMODE, SSLROOTCERT];
const DIRECT: Section = Section::new("`direct`", "What differs from `[database]`.", CONNECTION);
const READER: Section = Section::new("`reader`", "What differs from `[database]`.", CONNECTION);

const TENANTS: Section = Section::new(
    "`[tenants]`",
    "Where the list of tenants comes from.",
    &[Key::new("registry", Kind::Table(&REGISTRY), "The table that lists the tenants.").required()],
);
const REGISTRY: Section = Section::new(
    "`registry`",
    "The table that lists the tenants.",
    &[
        Key::new(
            "table",
            Kind::Identifier,
            "The table that lists the tenants, perhaps with its schema: `\"public.tenants\"`.",
        )
        .required(),
        Key::new("schema_column", Kind::Identifier, "The column with the schema's name.").required(),
        Key::new("where", Kind::Text, "An SQL condition that a row must meet to count as a tenant."),
        Key::new("at_least", Kind::Number(0, 1_000_000), "With fewer rows than this, the gate stays shut.")
            .default("0"),
    ],
);

const MIGRATIONS: Section = Section::new(
    "`[migrations]`",
    "Where migrations come from and how they are applied.",
    &[
        Key::new("framework", Kind::Word(words::<External>), "Whose migrations they are: files of plain SQL with sqlx's ledger, or a Django project with django-tenants.").default("sql"),
        Key::new("shared", Kind::Path, "The folder of the shared schema's files.").required().only("sql"),
        Key::new("tenant", Kind::Path, "The folder of a tenant's files.").required().only("sql"),
        Key::new("python", Kind::Text, "The project's own interpreter.").default("python").only("django"),
        Key::new("manage", Kind::Path, "The project's `manage.py`, which names the settings.").absent("`DJANGO_SETTINGS_MODULE` names the settings").only("django"),
        Key::new("manifest", Kind::Table(&MANIFEST), "The file that says what the code expects."),
        Key::new("template", Kind::Table(&TEMPLATE), "What new tenants are copied from.").absent("the framework migrates each new tenant").only("django"),
        Key::new("apply", Kind::Table(&APPLY), "How migrations are applied."),
    ],
);
const MANIFEST: Section = Section::new(
    "`manifest`",
    "The file that says what the code expects.",
    &[
        Key::new("file", Kind::Path, "The file that `portcullis manifest` writes.")
            .default("portcullis.manifest.json"),
        Key::new("auto", Kind::Boolean, "Derive it at start-up, for development.").default("false"),
    ],
);
const TEMPLATE: Section = Section::new(
    "`template`",
    "What new tenants are copied from.",
    &[Key::new(
        "file",
        Kind::Path,
        "The file that `portcullis tenant template` writes ([template.md](template.md)).",
    )],
);
const APPLY: Section = Section::new(
    "`apply`",
    "How migrations are applied.",
    &[
        Key::new("run", Kind::Argv(0), "The command that migrates one schema; `{schema}` stands for its name. No shell.").absent("one Python process for many tenants, by the project's settings").only("django"),
        Key::new("env", Kind::Variables, "Further variables of every command of the project; a file is read when the configuration is.").only("django"),
        Key::new("jobs", Kind::Number(1, 64), "How many tenants are migrated at the same time.").default("4"),
        Key::new("canary", Kind::Texts(0), "Tenants that are migrated before the others."),
        Key::new("cooperate", Kind::Boolean, "Replicas [share the tenants](replicas.md#helping-each-other) among them.").default("false"),
        Key::new("on_tenant_failure", Kind::Word(words::<OnFailed>), "Whether the other tenants are still migrated when one fails; the step fails in either case.").default("stop"),
        Key::new("max_failures", Kind::Number(1, 1_000_000), "Stop after so many failures; only with `on_tenant_failure = \"continue\"`.").absent("no limit"),
        Key::new("timeout", Kind::Duration, "The limit for one tenant.").default("10m"),
        Key::new("lock_timeout", Kind::Duration, "How long a statement waits for a lock; then the transaction is tried again, up to five times. A statement outside of a transaction that builds concurrently waits without a limit.").default("5s"),
        Key::new("statement_timeout", Kind::Duration, "How long one statement may run.").absent("the server's"),
    ],
);

const GATE: Section = Section::new(
    "`[gate]`",
    "How the gate judges.",
    &[
        Key::new("ahead", Kind::Word(words::<Ahead>), "What happens when the database is ahead of the code.").default("warn"),
        Key::new("settle", Kind::DurationOrZero, "A tenant that advanced between two inspections is being created: it is inspected again for so long.").default("2m"),
        Key::new("allow_standby", Kind::Boolean, "Accept the state of a standby, which proves only itself.").default("false"),
        Key::new("mode", Kind::Word(words::<GateMode>), "[`\"report\"`](living.md#the-first-day-on-an-old-system) reports everything and blocks nothing.").default("block"),
        Key::new("incomplete", Kind::Word(words::<Incomplete>), "[`\"quarantine\"`](living.md#serving-the-others) serves the complete tenants and tells the server about the others.").default("block"),
        Key::new("max", Kind::Number(1, 1_000), "More incomplete tenants than this block; only with `incomplete = \"quarantine\"`.").absent("none; required with `\"quarantine\"`"),
        Key::new("quarantine_file", Kind::Path, "Where the list of incomplete tenants is written, by rename; only with `incomplete = \"quarantine\"`.").absent("in memory"),
    ],
);

const ACCEPT: Section = Section::new(
    "an `[[accept]]`",
    "Known drift of one tenant that is waived until a day.",
    &[
        Key::new("tenant", Kind::Text, "The tenant.").required(),
        Key::new("what", Kind::OneOrMany(&Kind::Text), "A migration, a table, `table.column` or an index, as the box shows it; or `no schema`, `no ledger`.").required(),
        Key::new("until", Kind::Day, "The last day (UTC) on which it is waived.").required(),
        Key::new("reason", Kind::Text, "Why, for everybody who reads it.").required(),
    ],
);

const LOCK: Section = Section::new(
    "`[lock]`",
    "The lock that keeps runs from changing schemas at the same time.",
    &[Key::new(
        "timeout",
        Kind::Duration,
        "How long to wait for another run's schema changes (75 after that).",
    )
    .default("30m")],
);

const SERVER: Section = Section::new(
    "`[server]`",
    "What is started after the steps.",
    &[
        Key::new(
            "command",
            Kind::Argv(0),
            "The server's program and arguments; `run -- ARGV` replaces it. Without either, the program ends after the steps.",
        ),
        Key::new(
            "passthrough",
            Kind::Argvs,
            "Each the beginning of an argv that runs no step: `[[\"sh\"], [\"python\", \"manage.py\", \"shell\"]]`.",
        ),
        Key::new("mode", Kind::Word(words::<Mode>), "Become the server, or stay as its init.")
            .default("exec"),
        Key::new("grace", Kind::DurationOrZero, "The time between TERM and KILL, in supervise mode; processes that a crashed server leaves behind have 1 s unless this is given.")
            .default("8s"),
        Key::new(
            "stop_signal",
            Kind::Text,
            "The image's STOPSIGNAL, where it is one that ends no process by default (`SIGWINCH`): it then ends the steps. See [PID 1](pid1.md).",
        ),
    ],
);

const LOG: Section = Section::new(
    "`[log]`",
    "What `run` prints.",
    &[
        Key::new(
            "format",
            Kind::Word(words::<LogFormat>),
            "See [logs](logs.md); `--log-format` and `PORTCULLIS_LOG_FORMAT` override it.",
        )
        .default("auto"),
        Key::new(
            "level",
            Kind::Word(words::<LogLevel>),
            "The least important events that are written; `--log-level` overrides it.",
        )
        .default("info"),
    ],
);

const STATUS: Section = Section::new(
    "`[status]`",
    "How others can ask for the state of the start-up.",
    &[
        Key::new(
            "listen",
            Kind::ListenAddress,
            "Where the [endpoint](status.md) listens until the server starts: `\"0.0.0.0:8080\"`, `\"[::]:8080\"`.",
        ),
        Key::new("file", Kind::Path, "A state file for `portcullis health`, which outlives the handover."),
    ],
);

const NOTIFY: Section = Section::new(
    "`[notify]`",
    "A command that is told of a failure.",
    &[
        Key::new("command", Kind::Argv(1), "Run when the start-up is blocked, a tenant could not be created, or the gate was opened by a quarantine or an override. No shell.").required(),
        Key::new("timeout", Kind::Duration, "After this time it is ended.").default("10s"),
    ],
);

const METRICS: Section = Section::new(
    "`[metrics]`",
    "Metrics of the start-up.",
    &[Key::new("file", Kind::Path, "Written when the start-up ends, by rename, for node exporter's textfile collector; see [status](status.md#metrics).").required()],
);
