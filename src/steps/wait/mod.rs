//! The `wait` step: looks at what is awaited until it is there, refuses us for good, or the time is over.
//!
//! A new kind of wait is one new file with a single look, and one line in each `match` here. The look at the
//! database is `database::ping`.

mod amqp;
mod file;
mod http;
mod network;
mod patience;
mod redis;
mod tcp;
mod tls;

use self::patience::Patience;
use crate::{
    config::{self, Awaited},
    database::Database,
    failure::Failure,
    outcome::event::Event,
};

/// Waits. `say` hears why it is not there yet, whenever the cause changes and every ten seconds.
pub(crate) async fn wait(
    step: usize,
    wait: &config::Wait,
    database: Option<&Database>,
    say: &dyn Fn(Event),
) -> Result<(), Failure> {
    let what = name(&wait.what);
    let waiting = |last: &str, elapsed| {
        say(Event::Waiting { step, what: what.clone(), last: last.to_owned(), elapsed });
    };
    let patience = Patience { what: &what, timeout: wait.timeout, say: &waiting };
    match &wait.what {
        Awaited::Tcp { host, port } => patience.until(async || tcp::look(host, *port).await).await,
        Awaited::Http { url, status } => patience.until(async || http::look(url, status).await).await,
        Awaited::Redis { url } => patience.until(async || redis::look(url).await).await,
        Awaited::Amqp { url } => patience.until(async || amqp::look(url).await).await,
        Awaited::File { path } => patience.until(async || file::look(path).await).await,
        Awaited::Database => {
            let Some(database) = database else {
                let what = "waiting for the database".into();
                return Err(Failure::ConfigLacks { what, needs: "[database]" });
            };
            patience.until(async || database.ping().await).await
        }
    }
}

/// What is awaited, in words that hold no password.
fn name(awaited: &Awaited) -> String {
    match awaited {
        Awaited::Tcp { host, port } => format!("`{}`", network::address(host, *port)),
        Awaited::Http { url, .. } => http::name(url),
        Awaited::Redis { url } => redis::name(url),
        Awaited::Amqp { url } => amqp::name(url),
        Awaited::File { path } => format!("the file `{}`", path.display()),
        Awaited::Database => "the database".into(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{path::PathBuf, time::Duration};

    use super::*;
    use crate::config::url::Endpoint;

    #[test]
    fn what_is_awaited_is_named_without_its_password() {
        let url = |text: &str| Endpoint::of(text).unwrap();
        for (awaited, words) in [
            (Awaited::Tcp { host: "db".into(), port: 5432 }, "`db:5432`"),
            (Awaited::Tcp { host: "::1".into(), port: 5432 }, "`[::1]:5432`"),
            (
                Awaited::Http { url: url("http://me:hunter2@api:8080/health?key=hunter2"), status: vec![] },
                "`http://api:8080/health`",
            ),
            (Awaited::Redis { url: url("redis://:hunter2@cache/1") }, "Redis at `cache:6379`"),
            (Awaited::Redis { url: url("rediss://me:hunter2@cache:6390") }, "Redis at `cache:6390`"),
            (
                Awaited::Redis { url: url("unix:///run/redis.sock?pass=hunter2") },
                "Redis at `/run/redis.sock`",
            ),
            (Awaited::Amqp { url: url("amqp://me:hunter2@mq/v") }, "the AMQP broker at `mq:5672`"),
            (Awaited::Amqp { url: url("amqps://me:hunter2@mq") }, "the AMQP broker at `mq:5671`"),
            (Awaited::File { path: PathBuf::from("/run/ready") }, "the file `/run/ready`"),
            (Awaited::Database, "the database"),
        ] {
            assert_eq!(name(&awaited), words, "{words}");
        }
    }

    #[tokio::test]
    async fn waiting_for_a_database_that_is_not_configured_is_a_configuration_error() {
        let database = config::Wait { what: Awaited::Database, timeout: Duration::from_secs(1) };
        let failure = wait(0, &database, None, &|_| {}).await.unwrap_err();
        assert_eq!(failure.code(), 78);
    }
}
