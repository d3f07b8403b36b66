//! The keys of a step and of what it does.

use super::{
    super::{OnFailure, Scope, values::REDIS_SCHEMES},
    Key,
    Kind::{
        Address, After, AllOrNames, Argv, Boolean, Duration, DurationOrZero, Number, OneOrMany, Path,
        StepName, Table, Text, Texts, Url, Variables, Word,
    },
    Section, words,
};

/// What a step does: exactly one of these.
pub(in crate::config) const KINDS: [&str; 6] = ["wait", "sql", "migrate", "bootstrap", "verify", "command"];

pub(super) const STEP: Section = Section::new(
    "a `[[step]]`",
    "One step of the start-up, with exactly one kind.",
    &[
        key!(name: StepName, required, "Unique, one line, at most 60 characters; not from a variable."),
        key!(after: After, ? "every step above it", "See [order](#order)."),
        key!(when: Table(&WHEN), ? "always", "See [conditions](#conditions)."),
        key!(on_failure: Word(words::<OnFailure>), = "block",
            "`\"warn\"` goes on after a failure; on `verify` it is an error."),
        key!(wait: Table(&WAIT), "Waits for [one thing](#wait)."),
        key!(sql: Table(&SQL), "Runs [SQL](#sql)."),
        key!(migrate: Table(&MIGRATE), "Applies [pending migrations](#migrate)."),
        key!(bootstrap: Table(&BOOTSTRAP), "Creates [tenants](#bootstrap) that are absent."),
        key!(verify: Table(&VERIFY), "Asks [the gate](#verify)."),
        key!(command: Table(&COMMAND), "Runs [a program](#command)."),
    ],
)
.one_of(&KINDS);

const WHEN: Section = Section::new(
    "`when`",
    "Conditions, all of which must hold.",
    &[
        key!(role: OneOrMany(&Text),
            "Holds if the role matches one of these patterns: `*` is any text, `?` one character."),
        key!(env: OneOrMany(&Text), "Holds if one of these variables is true."),
        key!(unless_env: OneOrMany(&Text), "Holds if none of these variables is true."),
        key!(pending: Word(words::<Scope>),
            "Holds if migrations are pending there; decided at the step's turn."),
    ],
);

const TIMEOUT: Key = key!(timeout: Duration, = "2m", "How long to wait.");

const WAIT: Section = Section::new(
    "`wait`",
    "Waits for exactly one thing.",
    &[
        key!(tcp: Table(&TCP), "Waits until a connection is accepted."),
        key!(http: Table(&HTTP), "Waits until the answer has an accepted status."),
        key!(database: Table(&WAIT_DATABASE), "Waits until the configured database accepts the login."),
        key!(redis: Table(&REDIS), "Waits until Redis or Valkey accepts the login and answers."),
        key!(amqp: Table(&AMQP),
            "Waits until the broker (RabbitMQ) accepts the login and opens the virtual host."),
        key!(file: Table(&FILE), "Waits until the file exists."),
    ],
)
.one_of(&["tcp", "http", "database", "redis", "amqp", "file"]);
const TCP: Section = Section::new(
    "`wait.tcp`",
    "",
    &[key!(address: Address, required, "An IPv6 address has brackets: `\"[::1]:5432\"`."), TIMEOUT],
);
const HTTP: Section = Section::new(
    "`wait.http`",
    "",
    &[
        key!(url: Url(&["http", "https"]), required, "What is asked for, with GET."),
        key!(status: OneOrMany(&Number(100, 599)), ? "any from 200 to 399", "Accepted statuses."),
        TIMEOUT,
    ],
);
const WAIT_DATABASE: Section = Section::new("`wait.database`", "", &[TIMEOUT]);
const REDIS: Section = Section::new(
    "`wait.redis`",
    "",
    &[
        key!(url: Url(&REDIS_SCHEMES), required,
            "The path is the number of the database; that of `unix://` is a socket, with `?db=`, `user=` and `pass=`."),
        TIMEOUT,
    ],
);
const AMQP: Section = Section::new(
    "`wait.amqp`",
    "",
    &[
        key!(url: Url(&["amqp", "amqps"]), required,
            "What follows the first slash is the virtual host; nothing there means `/`."),
        TIMEOUT,
    ],
);
const FILE: Section = Section::new("`wait.file`", "", &[key!(path: Path, required, "The file."), TIMEOUT]);

const ONCE: Key = key!(once_per_release: Boolean, = "false",
            "Done [once per release](history.md#steps-that-run-once-per-release), under the lock.")
.formerly("once");

const SQL: Section = Section::new(
    "`sql`",
    "Runs SQL.",
    &[
        key!(run: Text, required, "The statements."),
        key!(timeout: Duration, = "10m", "The limit for all of them."),
        ONCE,
    ],
);

const MIGRATE: Section = Section::new(
    "`migrate`",
    "Applies what is pending.",
    &[
        key!(shared: Table(&MIGRATE_SHARED), "The shared schema's migrations."),
        key!(tenants: Table(&MIGRATE_TENANTS), "Every tenant's migrations."),
    ],
)
.one_of(&["shared", "tenants"]);
const MIGRATE_SHARED: Section = Section::new("`migrate.shared`", "", &[]);
const MIGRATE_TENANTS: Section = Section::new("`migrate.tenants`", "", &[]);

const BOOTSTRAP: Section = Section::new(
    "`bootstrap`",
    "Creates tenants that are absent.",
    &[
        key!(tenants: Texts(1), required, "Those that are absent are created completely."),
        key!(run: Argv(0), ? "Portcullis creates them",
            "The framework's own command that creates those that are absent. No shell."),
    ],
);

const VERIFY: Section = Section::new(
    "`verify`",
    "Asks the gate.",
    &[
        key!(tenants: AllOrNames, required, "The tenants that are judged."),
        key!(shared: Boolean, = "true", "Judge the shared schema too."),
        key!(wait: Duration, ? "do not wait", "Inspect again until everything is complete, for so long."),
        key!(timeout: Duration, = "2m", "The limit for one inspection."),
    ],
);

const COMMAND: Section = Section::new(
    "`command`",
    "Runs a program.",
    &[
        key!(run: Argv(1), required, "The program and its arguments. No shell."),
        key!(env: Variables, "Further variables of the child; a file is read when the configuration is."),
        key!(cwd: Path, ? "the working directory", "The folder in which it runs."),
        key!(timeout: Duration, = "10m", "The limit for one attempt."),
        key!(total_timeout: Duration, "The limit for all attempts with their pauses."),
        key!(retries: Number(0, 100), = "0", "Further attempts after the first."),
        key!(backoff: DurationOrZero, = "1s", "The first pause; each further one is twice as long."),
        key!(max_backoff: DurationOrZero, = "30s", "No pause is longer; not shorter than `backoff`."),
        key!(accept: OneOrMany(&Number(0, 255)), = "0", "Exit codes that count as success."),
        key!(grace: DurationOrZero, = "8s", "The time between TERM and KILL."),
        ONCE,
        key!(background: Boolean, = "false",
            "The program stays beside the server, a proxy for example: the step is done when it runs. Only with `mode = \"supervise\"`, and not with `once_per_release`."),
    ],
);
