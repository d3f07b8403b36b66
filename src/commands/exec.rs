//! `portcullis exec`: becomes a program with the environment of this container's server, for `docker exec`.

use crate::{
    cli,
    failure::Failure,
    process::{self, Inherited, Privileges, ServerEnvironment},
};

/// Returns only the failure. The session's own variables stay, except for those that the server has too.
pub(crate) fn exec(inherited: &Inherited, arguments: &cli::Exec) -> Failure {
    match process::server_environment(arguments.pid) {
        Ok(ServerEnvironment { pid, mut variables }) => {
            for (_, value) in &mut variables {
                // A descriptor of the server, such as the list of quarantined tenants.
                if let Some(descriptor) = value.strip_prefix("/proc/self/fd/") {
                    *value = format!("/proc/{pid}/fd/{descriptor}");
                }
            }
            process::handover(inherited, &arguments.argv, &variables, &Privileges::default())
        }
        Err(why) => Failure::EnvironmentUnknown { why },
    }
}
