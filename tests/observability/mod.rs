//! The outputs of a start-up: the endpoint, the log, files and the notification.

mod endpoint;
mod files;
mod generated_help;
mod logs;
mod manifests;
mod page;
mod prometheus;
mod same_facts;
mod traces;
