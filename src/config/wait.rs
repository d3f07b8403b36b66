//! Declares and reads the kinds of `wait`.

use super::{
    Wait, WaitTarget,
    fields::Table,
    keys::{
        Key,
        Kind::{self, Address, Duration, Number, OneOrMany, Path, Url},
        Section, key,
    },
    values::REDIS_SCHEMES,
};

const TIMEOUT: Key = key!(timeout: Duration, = "2m", "How long to wait.");

pub(super) const WAIT: Section = Section::new(
    "`wait`",
    "Waits for exactly one thing.",
    &[
        key!(tcp: Kind::Table(&TCP), "Waits until a connection is accepted."),
        key!(http: Kind::Table(&HTTP), "Waits until the answer has an accepted status."),
        key!(database: Kind::Table(&WAIT_DATABASE), "Waits until the configured database accepts the login."),
        key!(redis: Kind::Table(&REDIS), "Waits until Redis or Valkey accepts the login and answers."),
        key!(amqp: Kind::Table(&AMQP),
            "Waits until the broker (RabbitMQ) accepts the login and opens the virtual host."),
        key!(file: Kind::Table(&FILE), "Waits until the file exists."),
    ],
)
.one_of_all();
const TCP: Section = Section::new(
    "`wait.tcp`",
    "",
    &[key!(address: Address, required, "An IPv6 address has brackets: `\"[::1]:5432\"`."), TIMEOUT],
);
const HTTP: Section = Section::new(
    "`wait.http`",
    "",
    &[
        key!(url: Url(&["http", "https"]), required, "The URL, requested with GET."),
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
            "The path is the number of the database. With `unix://` it is a socket, and `?db=`, `user=` and `pass=` are parameters."),
        TIMEOUT,
    ],
);
const AMQP: Section = Section::new(
    "`wait.amqp`",
    "",
    &[
        key!(url: Url(&["amqp", "amqps"]), required,
            "The text after the first slash is the virtual host; empty means `/`."),
        TIMEOUT,
    ],
);
const FILE: Section = Section::new("`wait.file`", "", &[key!(path: Path, required, "The file."), TIMEOUT]);

pub(super) fn read(mut table: Table<'_>) -> Option<Wait> {
    let choice = table.choice();
    table.finish();
    let (word, mut table) = choice?;
    let kind = table.section.name.trim_matches('`');
    let what = match word {
        "tcp" => table.get("address").map(|(host, port)| WaitTarget::Tcp { host, port }),
        "http" => {
            let status = table.value("status");
            table.get("url").map(|url| WaitTarget::Http { url, status })
        }
        "database" => Some(WaitTarget::Database),
        "redis" => table.get("url").map(|url| WaitTarget::Redis { url }),
        "amqp" => table.get("url").map(|url| WaitTarget::Amqp { url }),
        _ => table.get("path").map(|path| WaitTarget::File { path }),
    };
    let timeout = table.value("timeout");
    table.finish();
    Some(Wait { kind, what: what?, timeout })
}
