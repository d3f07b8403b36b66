//! `portcullis tenant bootstrap`: what the `bootstrap` steps do, by hand.

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
    state.history.at("portcullis tenant bootstrap");
    let mut all = Bootstrapped::default();
    let mut details: Option<FailureDetails> = None;
    let mut asked = false;
    for step in &state.context.config.steps {
        let Action::Bootstrap { tenants, run } = &step.action else { continue };
        asked = true;
        let (became, failed) =
            provision::bootstrap::bootstrap(state, tenants, run, arguments.stop, on_event).await;
        all.created.extend(became.created);
        all.kept.extend(became.kept);
        all.failed.extend(became.failed);
        if let Some(failed) = failed {
            details.get_or_insert(failed);
            if arguments.stop {
                break;
            }
        }
    }
    state.close(details.as_ref().map_or(Ok(()), |details| Err(&details.failure))).await;
    if !asked {
        return Err(Failure::ConfigLacks {
            what: "this".into(),
            needs: "bootstrap = { tenants = [...] } in a step",
        });
    }
    Ok(TenantOutcome::Bootstrapped { tenants: all, failure: details })
}
