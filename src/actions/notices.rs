//! Passes the server's messages of SQL files and statements to the log, as output of their tenant.

use std::{cell::Cell, pin::pin};

use crate::{
    database::{Limits, NoticeSender, Notices, notice_channel},
    outcome::ActionEvent,
    process::Stream,
};

/// The maximum number of messages of one action: many tenants often cause the same ones.
const SHOWN: usize = 200;

/// The messages of one action.
pub(crate) struct NoticeLog<'a> {
    on_event: &'a dyn Fn(ActionEvent),
    count: Cell<usize>,
}

impl<'a> NoticeLog<'a> {
    pub(crate) fn new(on_event: &'a dyn Fn(ActionEvent)) -> Self {
        Self { on_event, count: Cell::new(0) }
    }

    /// Applies files within limits that send the messages, and passes them on while they arrive.
    pub(crate) async fn during<T>(
        &self,
        tenant: Option<&str>,
        limits: Limits,
        apply: impl AsyncFnOnce(&Limits) -> T,
    ) -> T {
        let limited = async |sender| apply(&Limits { notices: Some(sender), ..limits }).await;
        self.passing_on(tenant, limited).await
    }

    /// Runs SQL that sends its messages, and passes them on while they arrive.
    pub(crate) async fn passing_on<T>(
        &self,
        tenant: Option<&str>,
        run: impl AsyncFnOnce(NoticeSender) -> T,
    ) -> T {
        let (sender, mut notices) = notice_channel();
        let mut running = pin!(run(sender));
        loop {
            tokio::select! {
                biased;
                Some(line) = notices.recv() => self.pass_on(tenant, line),
                result = &mut running => {
                    self.pass_on_rest(tenant, &mut notices);
                    return result;
                }
            }
        }
    }

    fn pass_on_rest(&self, tenant: Option<&str>, notices: &mut Notices) {
        while let Ok(line) = notices.try_recv() {
            self.pass_on(tenant, line);
        }
    }

    fn pass_on(&self, tenant: Option<&str>, line: String) {
        self.count.set(self.count.get() + 1);
        if self.count.get() <= SHOWN {
            let tenant = tenant.map(str::to_owned);
            (self.on_event)(ActionEvent::Output { tenant, stream: Stream::Err, line });
        }
    }
}

impl Drop for NoticeLog<'_> {
    fn drop(&mut self) {
        let more = self.count.get().saturating_sub(SHOWN);
        if more > 0 {
            (self.on_event)(ActionEvent::Note(format!("{more} more messages of the server are not shown")));
        }
    }
}
