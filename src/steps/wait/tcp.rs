//! Waits until a port accepts connections.

use futures_util::future::{FutureExt, LocalBoxFuture};

use super::probe::Probe;
use crate::{database::Attempt, deadline::Deadline, net::Target};

impl Probe for Target {
    fn name(&self) -> String {
        format!("`{}`", self.name())
    }

    fn probe(&mut self, deadline: Deadline) -> LocalBoxFuture<'_, Attempt> {
        async move {
            self.connect(deadline).await.map_or_else(|why| Attempt::NotYet(why.into()), |_| Attempt::Ready)
        }
        .boxed_local()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{cell::RefCell, net::SocketAddr, time::Duration};

    use tokio::net::TcpListener;

    use crate::{
        config::{Wait, WaitTarget},
        outcome::event::Event,
        steps::wait::wait,
    };

    /// An address without a listener: its port was free a moment ago.
    async fn free() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn the_wait_succeeds_once_a_late_port_opens() {
        let address = free().await;
        let tcp = WaitTarget::Tcp { host: "localhost".into(), port: address.port() };
        let (opened, causes) = (RefCell::new(None), RefCell::new(Vec::new()));
        // The listener opens after the first refusal, never before.
        let on_event = |event| {
            let Event::Waiting { last, .. } = event else { return };
            causes.borrow_mut().push(last);
            opened.borrow_mut().get_or_insert_with(|| std::net::TcpListener::bind(address).unwrap());
        };
        wait(0, &Wait { kind: "wait.tcp", what: tcp, timeout: Duration::from_secs(30) }, None, &on_event)
            .await
            .unwrap();
        let causes = causes.into_inner();
        assert_eq!(causes.len(), 1, "{causes:?}");
        assert!(causes[0].ends_with("connection refused"), "{causes:?}");
    }

    #[tokio::test]
    async fn a_port_that_stays_closed_times_out_with_the_reason() {
        let address = free().await;
        let tcp = WaitTarget::Tcp { host: "127.0.0.1".into(), port: address.port() };
        let failure = wait(
            0,
            &Wait { kind: "wait.tcp", what: tcp, timeout: Duration::from_millis(400) },
            None,
            &|_| {},
        )
        .await;
        let failure = failure.unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!(
                "`{address}` was not ready within 400 ms: cannot connect to {address}: connection refused"
            )
        );
        assert_eq!(failure.code(), 69);
    }
}
