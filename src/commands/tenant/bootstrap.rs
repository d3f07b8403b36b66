//! `portcullis tenant bootstrap`: runs the configuration's `bootstrap` steps.

use crate::{
    actions::{provision, run_state::RunState},
    cli::TenantBootstrap,
    config::Action,
    failure::Failure,
    outcome::{ActionEvent, FailureDetails, bootstrap::Bootstrapped, command::TenantOutcome},
};

pub(crate) async fn run(
    state: &RunState,
    arguments: &TenantBootstrap,
    on_event: &dyn Fn(ActionEvent),
) -> Result<TenantOutcome, Failure> {
    state.history.start_step("portcullis tenant bootstrap");
    let mut all = Bootstrapped::default();
    let mut details: Option<FailureDetails> = None;
    let mut configured = false;
    for step in &state.context.config.steps {
        let Action::Bootstrap(bootstrap) = &step.action else { continue };
        configured = true;
        let (result, failed) =
            provision::bootstrap::bootstrap(state, bootstrap, arguments.stop, on_event).await;
        all.created.extend(result.created);
        all.kept.extend(result.kept);
        all.failed.extend(result.failed);
        if let Some(failed) = failed {
            details.get_or_insert(failed);
            if arguments.stop {
                break;
            }
        }
    }
    state.close(details.as_ref().map_or(Ok(()), |details| Err(&details.failure))).await;
    if !configured {
        return Err(Failure::ConfigLacks {
            what: "`tenant bootstrap`".into(),
            needs: "bootstrap = { tenants = [...] } in a step",
        });
    }
    Ok(TenantOutcome::Bootstrapped { tenants: all, failure: details })
}
