//! Runs `wait` steps: probes a target until it is ready, permanently fails, or the time is over. A new kind of wait
//! needs a new file with a `Probe` and a line in `probe` here.

pub(crate) mod amqp;
mod file;
mod http;
mod probe;
pub(crate) mod redis;
mod tcp;
mod wait_loop;

use futures_util::future::{FutureExt, LocalBoxFuture};

use self::{probe::Probe, wait_loop::WaitLoop};
use crate::{
    config::{self, WaitTarget},
    database::{Attempt, Database},
    deadline::Deadline,
    failure::Failure,
    net::Target,
    outcome::event::Event,
};

/// Waits for the target. Reports why it is not ready when the cause changes and every ten seconds.
pub(crate) async fn wait(
    step: usize,
    wait: &config::Wait,
    database: Option<&Database>,
    on_event: &dyn Fn(Event),
) -> Result<(), Failure> {
    let mut probe = probe(&wait.what, database)?;
    let what = probe.name();
    let waiting = |last: &str, elapsed| {
        on_event(Event::Waiting { step, what: what.clone(), last: last.to_owned(), elapsed });
    };
    let wait_loop = WaitLoop { what: &what, timeout: wait.timeout, report: &waiting };
    wait_loop.until(async |deadline| probe.probe(deadline).await).await
}

fn probe<'a>(
    awaited: &'a WaitTarget,
    database: Option<&'a Database>,
) -> Result<Box<dyn Probe + 'a>, Failure> {
    Ok(match awaited {
        WaitTarget::Tcp { host, port } => Box::new(Target::new(host, *port)),
        WaitTarget::Http { url, status } => Box::new(http::Http::new(url, status)),
        WaitTarget::Redis { url } => Box::new(redis::Redis::new(url)),
        WaitTarget::Amqp { url } => Box::new(amqp::Amqp::new(url)),
        WaitTarget::File { path } => Box::new(file::File::new(path)),
        WaitTarget::Database => Box::new(database.ok_or_else(|| {
            let what = "waiting for the database".into();
            Failure::ConfigLacks { what, needs: "[database]" }
        })?),
    })
}

impl Probe for &Database {
    fn name(&self) -> String {
        "the database".into()
    }

    fn probe(&mut self, _: Deadline) -> LocalBoxFuture<'_, Attempt> {
        self.ping().boxed_local()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{path::PathBuf, time::Duration};

    use super::*;
    use crate::config::url::Endpoint;

    #[test]
    fn messages_name_the_target_without_its_password() {
        let url = |text: &str| Endpoint::of(text).unwrap();
        for (awaited, words) in [
            (WaitTarget::Tcp { host: "db".into(), port: 5432 }, "`db:5432`"),
            (WaitTarget::Tcp { host: "::1".into(), port: 5432 }, "`[::1]:5432`"),
            (
                WaitTarget::Http {
                    url: url("http://me:hunter2@api:8080/health?key=hunter2"),
                    status: vec![],
                },
                "`http://api:8080/health`",
            ),
            (WaitTarget::Redis { url: url("redis://:hunter2@cache/1") }, "Redis at `cache:6379`"),
            (WaitTarget::Redis { url: url("rediss://me:hunter2@cache:6390") }, "Redis at `cache:6390`"),
            (
                WaitTarget::Redis { url: url("unix:///run/redis.sock?pass=hunter2") },
                "Redis at `/run/redis.sock`",
            ),
            (WaitTarget::Amqp { url: url("amqp://me:hunter2@mq/v") }, "the AMQP broker at `mq:5672`"),
            (WaitTarget::Amqp { url: url("amqps://me:hunter2@mq") }, "the AMQP broker at `mq:5671`"),
            (WaitTarget::File { path: PathBuf::from("/run/ready") }, "the file `/run/ready`"),
        ] {
            assert_eq!(probe(&awaited, None).unwrap().name(), words, "{words}");
        }
    }

    #[tokio::test]
    async fn waiting_for_a_database_that_is_not_configured_is_a_configuration_error() {
        let database = config::Wait {
            kind: "wait.database",
            what: WaitTarget::Database,
            timeout: Duration::from_secs(1),
        };
        let failure = wait(0, &database, None, &|_| {}).await.unwrap_err();
        assert_eq!(failure.code(), 78);
    }
}
