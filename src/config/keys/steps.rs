//! Declares the keys of a step and of its kinds.

use super::{
    super::{Keep, OnFailure, Scope, wait::WAIT},
    Key,
    Kind::{
        After, AllOrNames, Argv, Boolean, Columns, Duration, DurationOrZero, Number, OneOrMany, Path,
        StepName, Table, Text, Texts, Variables, Word,
    },
    Section, privileges, words,
};

/// The kinds of a step: exactly one is given.
pub(in crate::config) const KINDS: [&str; 6] = ["wait", "sql", "migrate", "bootstrap", "verify", "command"];

pub(super) const STEP: Section = Section::new(
    "a `[[step]]`",
    "One step of the start-up, with exactly one kind.",
    &[
        key!(name: StepName, required, "A unique name of one line and at most 60 characters, without variables."),
        key!(after: After, ? "every step above it", "See [order](#order)."),
        key!(when: Table(&WHEN), ? "always", "See [conditions](#conditions)."),
        key!(on_failure: Word(words::<OnFailure>), = "block",
            "With `\"warn\"`, the start-up continues after a failure; this is an error on `verify`."),
        key!(wait: Table(&WAIT), "Waits for [one thing](#wait)."),
        key!(sql: Table(&SQL), "Runs [SQL](#sql)."),
        key!(migrate: Table(&MIGRATE), "Applies [pending migrations](#migrate)."),
        key!(bootstrap: Table(&BOOTSTRAP), "Creates [tenants](#bootstrap) that are absent."),
        key!(verify: Table(&VERIFY), "Runs [the gate](#verify)."),
        key!(command: Table(&COMMAND), "Runs [a program](#command)."),
    ],
)
.one_of(&KINDS);

const WHEN: Section = Section::new(
    "`when`",
    "Conditions, all of which must be true.",
    &[
        key!(role: OneOrMany(&Text),
            "True if the role matches one of these patterns: `*` is any text, `?` one character."),
        key!(env: OneOrMany(&Text), "True if one of these variables is true."),
        key!(unless_env: OneOrMany(&Text), "True if none of these variables is true."),
        key!(pending: Word(words::<Scope>),
            "True if migrations are pending in these schemas; evaluated immediately before the step."),
    ],
);

const ONCE: Key = key!(once_per_release: Boolean, = "false",
            "Run the step [once per release](history.md#steps-that-run-once-per-release), under the lock.")
.formerly("once");

const SQL: Section = Section::new(
    "`sql`",
    "Runs SQL.",
    &[
        key!(run: Text, required, "The statements."),
        key!(timeout: Duration, = "10m", "The time limit for all statements."),
        ONCE,
    ],
);

const MIGRATE: Section = Section::new(
    "`migrate`",
    "Applies pending migrations.",
    &[
        key!(shared: Table(&MIGRATE_SHARED), "The shared schema's migrations."),
        key!(tenants: Table(&MIGRATE_TENANTS), "Every tenant's migrations."),
    ],
)
.one_of_all();
const MIGRATE_SHARED: Section = Section::new("`migrate.shared`", "", &[]);
const MIGRATE_TENANTS: Section = Section::new("`migrate.tenants`", "", &[]);

const BOOTSTRAP: Section = Section::new(
    "`bootstrap`",
    "Creates tenants that are absent.",
    &[
        key!(tenants: Texts(1), required, "The tenants to create if they are absent."),
        key!(run: Argv(0), ? "Portcullis creates them",
            "The framework's own command that creates the absent tenants, without a shell."),
        key!(keep: Word(words::<Keep>), = "none",
            "With `\"complete\"`, tenants that the gate finds complete remain although `run` failed or was killed."),
        key!(values: Columns,
            "The columns of each new tenant's registry row, without `run`; `{schema}` is the tenant's schema."),
        key!(domain: Columns,
            "The columns of each new tenant's domain, without `run`; `{schema}` is the tenant's schema."),
    ],
);

const VERIFY: Section = Section::new(
    "`verify`",
    "Runs the gate.",
    &[
        key!(tenants: AllOrNames, required, "The tenants that the gate inspects."),
        key!(shared: Boolean, = "true", "Whether the gate inspects the shared schema too."),
        key!(wait: Duration, ? "do not wait", "How long to inspect again until everything is complete."),
        key!(timeout: Duration, = "2m", "The time limit for one inspection."),
    ],
);

const COMMAND: Section = Section::new(
    "`command`",
    "Runs a program.",
    &[
        key!(run: Argv(1), required, "The program and its arguments, without a shell."),
        key!(env: Variables, "Additional variables for the program; a file is read together with the configuration."),
        key!(cwd: Path, ? "the working directory", "The folder in which the program runs."),
        privileges::USER,
        privileges::GROUP,
        privileges::CAPABILITIES,
        privileges::NO_NEW_PRIVILEGES,
        key!(timeout: Duration, = "10m", "The time limit for one attempt."),
        key!(total_timeout: Duration, "The time limit for all attempts and the pauses between them."),
        key!(retries: Number(0, 100), = "0", "The number of attempts after the first."),
        key!(backoff: DurationOrZero, = "1s", "The first pause; each following pause is twice as long."),
        key!(max_backoff: DurationOrZero, = "30s", "The longest pause; at least `backoff`."),
        key!(accept: OneOrMany(&Number(0, 255)), = "0", "Exit codes that count as success."),
        key!(grace: DurationOrZero, = "8s", "The time between TERM and KILL."),
        ONCE,
        key!(exports: Boolean, = "false",
            "The program may write variables [for the following steps and the server](#exported-variables) to its descriptor 3."),
        key!(background: Boolean, = "false",
            "The program keeps running next to the server, as a proxy does; the step succeeds when the program runs. Only with `mode = \"supervise\"`, and not with `once_per_release`."),
    ],
);
