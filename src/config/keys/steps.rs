//! The keys of a step and of what it does.

use super::{
    super::{OnFailure, Scope, values::REDIS_SCHEMES},
    Key, Kind, Section, words,
};

/// What a step does: exactly one of these.
pub(in crate::config) const KINDS: [&str; 6] = ["wait", "sql", "migrate", "bootstrap", "verify", "command"];

pub(super) const STEP: Section = Section::new(
    "a `[[step]]`",
    "One step of the start-up, with exactly one kind.",
    &[
        Key::new("name", Kind::StepName, "Unique, one line, at most 60 characters; not from a variable.")
            .required(),
        Key::new("after", Kind::After, "See [order](#order).").absent("every step above it"),
        Key::new("when", Kind::Table(&WHEN), "See [conditions](#conditions).").absent("always"),
        Key::new(
            "on_failure",
            Kind::Word(words::<OnFailure>),
            "`\"warn\"` goes on after a failure; on `verify` it is an error.",
        )
        .default("block"),
        Key::new("wait", Kind::Table(&WAIT), "Waits for [one thing](#wait)."),
        Key::new("sql", Kind::Table(&SQL), "Runs [SQL](#sql)."),
        Key::new("migrate", Kind::Table(&MIGRATE), "Applies [pending migrations](#migrate)."),
        Key::new("bootstrap", Kind::Table(&BOOTSTRAP), "Creates [tenants](#bootstrap) that are absent."),
        Key::new("verify", Kind::Table(&VERIFY), "Asks [the gate](#verify)."),
        Key::new("command", Kind::Table(&COMMAND), "Runs [a program](#command)."),
    ],
)
.one_of(&KINDS);

const WHEN: Section = Section::new(
    "`when`",
    "Conditions, all of which must hold.",
    &[
        Key::new(
            "role",
            Kind::OneOrMany(&Kind::Text),
            "Holds if the role matches one of these patterns: `*` is any text, `?` one character.",
        ),
        Key::new("env", Kind::OneOrMany(&Kind::Text), "Holds if one of these variables is true."),
        Key::new("unless_env", Kind::OneOrMany(&Kind::Text), "Holds if none of these variables is true."),
        Key::new(
            "pending",
            Kind::Word(words::<Scope>),
            "Holds if migrations are pending there; decided at the step's turn.",
        ),
    ],
);

const TIMEOUT: Key = Key::new("timeout", Kind::Duration, "How long to wait.").default("2m");

const WAIT: Section = Section::new(
    "`wait`",
    "Waits for exactly one thing.",
    &[
        Key::new("tcp", Kind::Table(&TCP), "Waits until a connection is accepted."),
        Key::new("http", Kind::Table(&HTTP), "Waits until the answer has an accepted status."),
        Key::new(
            "database",
            Kind::Table(&WAIT_DATABASE),
            "Waits until the configured database accepts the login.",
        ),
        Key::new("redis", Kind::Table(&REDIS), "Waits until Redis or Valkey accepts the login and answers."),
        Key::new(
            "amqp",
            Kind::Table(&AMQP),
            "Waits until the broker (RabbitMQ) accepts the login and opens the virtual host.",
        ),
        Key::new("file", Kind::Table(&FILE), "Waits until the file exists."),
    ],
)
.one_of(&["tcp", "http", "database", "redis", "amqp", "file"]);
const TCP: Section = Section::new(
    "`wait.tcp`",
    "",
    &[
        Key::new("address", Kind::Address, "An IPv6 address has brackets: `\"[::1]:5432\"`.").required(),
        TIMEOUT,
    ],
);
const HTTP: Section = Section::new(
    "`wait.http`",
    "",
    &[
        Key::new("url", Kind::Url(&["http", "https"]), "What is asked for, with GET.").required(),
        Key::new("status", Kind::OneOrMany(&Kind::Number(100, 599)), "Accepted statuses.")
            .absent("any from 200 to 399"),
        TIMEOUT,
    ],
);
const WAIT_DATABASE: Section = Section::new("`wait.database`", "", &[TIMEOUT]);
const REDIS: Section = Section::new(
    "`wait.redis`",
    "",
    &[
        Key::new("url", Kind::Url(&REDIS_SCHEMES), "The path is the number of the database; that of `unix://` is a socket, with `?db=`, `user=` and `pass=`.").required(),
        TIMEOUT,
    ],
);
const AMQP: Section = Section::new(
    "`wait.amqp`",
    "",
    &[
        Key::new(
            "url",
            Kind::Url(&["amqp", "amqps"]),
            "What follows the first slash is the virtual host; nothing there means `/`.",
        )
        .required(),
        TIMEOUT,
    ],
);
const FILE: Section =
    Section::new("`wait.file`", "", &[Key::new("path", Kind::Path, "The file.").required(), TIMEOUT]);

const ONCE: Key = Key::new(
    "once",
    Kind::Boolean,
    "Done [once per release](living.md#steps-that-are-done-once), under the lock.",
)
.default("false");

const SQL: Section = Section::new(
    "`sql`",
    "Runs SQL.",
    &[
        Key::new("run", Kind::Text, "The statements.").required(),
        Key::new("timeout", Kind::Duration, "The limit for all of them.").default("10m"),
        ONCE,
    ],
);

const MIGRATE: Section = Section::new(
    "`migrate`",
    "Applies what is pending.",
    &[
        Key::new("shared", Kind::Table(&MIGRATE_SHARED), "The shared schema's migrations."),
        Key::new("tenants", Kind::Table(&MIGRATE_TENANTS), "Every tenant's migrations."),
    ],
)
.one_of(&["shared", "tenants"]);
const MIGRATE_SHARED: Section = Section::new("`migrate.shared`", "", &[]);
const MIGRATE_TENANTS: Section = Section::new("`migrate.tenants`", "", &[]);

const BOOTSTRAP: Section = Section::new(
    "`bootstrap`",
    "Creates tenants that are absent.",
    &[
        Key::new("tenants", Kind::Texts(1), "Those that are absent are created completely.").required(),
        Key::new(
            "run",
            Kind::Argv(0),
            "The framework's own command that creates those that are absent. No shell.",
        )
        .absent("Portcullis creates them"),
    ],
);

const VERIFY: Section = Section::new(
    "`verify`",
    "Asks the gate.",
    &[
        Key::new("tenants", Kind::AllOrNames, "The tenants that are judged.").required(),
        Key::new("shared", Kind::Boolean, "Judge the shared schema too.").default("true"),
        Key::new("wait", Kind::Duration, "Inspect again until everything is complete, for so long.")
            .absent("do not wait"),
        Key::new("timeout", Kind::Duration, "The limit for one inspection.").default("2m"),
    ],
);

const COMMAND: Section = Section::new(
    "`command`",
    "Runs a program.",
    &[
        Key::new("run", Kind::Argv(1), "The program and its arguments. No shell.").required(),
        Key::new("env", Kind::Variables, "Further variables of the child; a file is read when the configuration is."),
        Key::new("cwd", Kind::Path, "The folder in which it runs.").absent("the working directory"),
        Key::new("timeout", Kind::Duration, "The limit for one attempt.").default("10m"),
        Key::new("total_timeout", Kind::Duration, "The limit for all attempts with their pauses."),
        Key::new("retries", Kind::Number(0, 100), "Further attempts after the first.").default("0"),
        Key::new("backoff", Kind::DurationOrZero, "The first pause; each further one is twice as long.").default("1s"),
        Key::new("max_backoff", Kind::DurationOrZero, "No pause is longer; not shorter than `backoff`.").default("30s"),
        Key::new("accept", Kind::OneOrMany(&Kind::Number(0, 255)), "Exit codes that count as success.").default("0"),
        Key::new("grace", Kind::DurationOrZero, "The time between TERM and KILL.").default("8s"),
        ONCE,
        Key::new("background", Kind::Boolean, "The program stays beside the server, a proxy for example: the step is done when it runs. Only with `mode = \"supervise\"`, and not with `once`.").default("false"),
    ],
);
