//! The outputs of a start-up: the endpoint, the log, files and the notification.

mod documents;
mod endpoint;
mod files;
mod generated_help;
mod logs;
mod manifests;
mod prometheus;
mod same_facts;
