//! Runs the plan, and reports its end.

use std::time::Duration;

use tokio::time::Instant;

use super::trace_export::Exporter;
use crate::{
    actions::{
        compat, context::RunContext, expectation::make_command, gate_bypass::GateBypasses,
        run_state::RunState,
    },
    config::{self, Action, Config},
    engine,
    failure::Failure,
    frameworks,
    notify::{self, NotifyError},
    outcome::event::Event,
    plan::{Decision, Plan},
    process::{Inherited, Processes, Signals},
    quarantine_list,
    report::{Output, Report, output::ORPHANS_LOST, startup_status::StartupStatus},
    runtime,
    status::{Endpoint, startup_pages},
};

/// Runs the plan. Returns 0 and the server's variables if the server may start, else the exit code after the report of
/// the failure.
pub(super) fn start_up(
    plan: &Plan,
    reason: Option<&str>,
    config: Config,
    server: &[String],
    inherited: &Inherited,
    report: &Report,
    exporter: Option<&Exporter>,
) -> Result<(u8, Vec<(String, String)>), Failure> {
    let endpoint = config.status.listen.and_then(|address| {
        let pages = startup_pages(report.status(), config.status.hides_details);
        let opened = Endpoint::open(address, report.output().clone(), pages);
        // A port that is in use must not block the start.
        let warn =
            |error| report.emit(&Event::Remark { text: format!("cannot listen at {address}: {error}") });
        opened.map_err(warn).ok()
    });
    inherited.declare_stop_signal(config.server.stop_signal);
    let budget = shutdown_budget(plan, &config);
    if inherited.loses_orphans() {
        Output::note(ORPHANS_LOST);
    }
    let mut output_deadline = None;
    let result = runtime::block_on(inherited, budget, async |processes, mut signals| {
        let started = Instant::now();
        let bypasses = GateBypasses::with_reason(reason.map(str::to_owned));
        let trace = exporter.map(|exporter| exporter.context.clone());
        let state = RunState { bypasses, trace, ..RunState::new(config, processes.clone()) };
        let context = &state.context;
        let steps = plan.steps.iter().map(|planned| planned.step.name.clone()).collect();
        report.emit(&Event::Started { run: context.run.clone(), role: plan.role.clone(), steps });
        let ready = tokio::select! {
            biased;
            signal = signals.next() => {
                Err(Failure::Interrupted { signal, doing: "before the first step".into() })
            }
            ready = preflight(plan, context, report) => ready,
        };
        let mut result = match ready {
            Ok(()) => tokio::select! {
                result = engine::run(plan, &state, &mut signals, report) => result,
                never = report.report_silence() => never,
            },
            Err(failure) => Err(failure.into()),
        };
        let overridden =
            |status: StartupStatus| status.bypasses.iter().any(|bypass| bypass.how == "override");
        if result.is_ok() && reason.is_some() && !overridden(report.status().now().0) {
            let text = "PORTCULLIS_OVERRIDE is set, and the gate did not need it: remove it".into();
            report.emit(&Event::Remark { text });
        }
        let notify = context.config.notify.as_ref();
        // Warnings are sent before the handover; after a failure, the box comes before the notification.
        if let (true, Some(notify)) = (result.is_ok(), notify) {
            result = notify_about(notify, report, &processes, &mut signals).await;
        }
        if let (true, Some(exporter)) = (result.is_ok(), exporter) {
            result = send_trace(exporter, report, &mut signals).await;
        }
        if result.is_ok() && !server.is_empty() {
            result = record_serving(context, &mut signals, report).await;
        }
        let mut variables = Vec::new();
        if result.is_ok() {
            result = quarantine_list::variables(&context.config.gate, &state.bypasses.quarantined())
                .await
                .map(|list| variables = [state.exports.visible(|_| true), list].concat())
                .map_err(engine::Blocked::from);
        }
        let gone = processes.finish(result.is_ok() && !server.is_empty()).await;
        // The last wait is over: the handover itself finds the signals from here on.
        if result.is_ok() {
            result = check_handover(gone, signals.arrived());
            if result.is_err() {
                processes.finish(false).await;
            }
        }
        let took = started.elapsed();
        let code = match result {
            Ok(()) if server.is_empty() => {
                report.emit(&Event::Finished { took });
                0
            }
            Ok(()) => {
                report.emit(&Event::HandingOver { argv: server.to_vec(), took });
                0
            }
            Err(engine::Blocked { step, details }) => {
                let code = details.failure.code();
                report.emit(&Event::Blocked { step, took, details });
                let sent = send_failure_reports(exporter, notify, report, &processes, &mut signals);
                if processes.shutdown().has_started() {
                    let _ = processes.shutdown().deadline().limit(sent).await;
                } else {
                    sent.await;
                }
                processes.finish(false).await;
                code
            }
        };
        output_deadline = processes.shutdown().output_deadline();
        Ok((code, variables))
    });
    match output_deadline {
        Some(deadline) => report.flush_until(deadline),
        None => report.flush(),
    }
    if let Some(endpoint) = endpoint {
        endpoint.close();
    }
    result
}

/// The time limit of a shutdown during the steps: the longest of the graces of the server and the steps.
fn shutdown_budget(plan: &Plan, config: &Config) -> Duration {
    let steps = plan.steps.iter().filter_map(|planned| match (&planned.decision, &planned.step.action) {
        (Decision::Skip { .. }, _) => None,
        (_, Action::Command(command)) => Some(command.grace),
        _ => Some(runtime::SHUTDOWN_BUDGET),
    });
    steps.fold(config.server.grace, Duration::max)
}

/// Sends the trace and the notification of a failure. A signal changes nothing any more.
async fn send_failure_reports(
    exporter: Option<&Exporter>,
    notify: Option<&config::Notify>,
    report: &Report,
    processes: &Processes,
    signals: &mut Signals,
) {
    if let Some(exporter) = exporter {
        exporter.send(report).await;
    }
    if let Some(notify) = notify {
        let _ = notify_about(notify, report, processes, signals).await;
    }
}

/// Runs the command of `[notify]` if the outcome is notable; fails only if a signal arrives during it.
async fn notify_about(
    command: &config::Notify,
    report: &Report,
    processes: &Processes,
    signals: &mut Signals,
) -> Result<(), engine::Blocked> {
    if !report.status().now().0.is_notable() {
        return Ok(());
    }
    match notify::notify(command, report, processes, signals).await {
        Ok(()) => Ok(()),
        Err(NotifyError::Failed(why)) => {
            report.emit(&Event::Remark { text: format!("[notify] command: {why}") });
            Ok(())
        }
        Err(NotifyError::Signal(signal)) => {
            let failure = Failure::Interrupted { signal, doing: "while the notification was sent".into() };
            Err(failure.into())
        }
    }
}

/// Sends the trace of the steps. Only a signal during the request is a failure.
async fn send_trace(
    exporter: &Exporter,
    report: &Report,
    signals: &mut Signals,
) -> Result<(), engine::Blocked> {
    tokio::select! {
        biased;
        signal = signals.next() => {
            Err(Failure::Interrupted { signal, doing: "after the last step".into() }.into())
        }
        () = exporter.send(report) => Ok(()),
    }
}

/// Records the release that serves from now on; fails only if a signal arrives.
async fn record_serving(
    context: &RunContext,
    signals: &mut Signals,
    report: &Report,
) -> Result<(), engine::Blocked> {
    tokio::select! {
        biased;
        signal = signals.next() => {
            let doing = "while the release was recorded".into();
            Err(Failure::Interrupted { signal, doing }.into())
        }
        not_recorded = compat::record_serving(context) => {
            if let Some(text) = not_recorded {
                report.emit(&Event::Remark { text });
            }
            Ok(())
        }
    }
}

/// Two events still prevent the handover after the last step: a process that cannot be killed, and a signal that
/// arrived too late for the engine.
fn check_handover(gone: bool, arrived: Option<i32>) -> Result<(), engine::Blocked> {
    let failure = match arrived {
        Some(signal) => Failure::Interrupted { signal, doing: "after the last step".into() },
        None if gone => return Ok(()),
        None => Failure::Internal { what: "a process that a step left behind cannot be killed".into() },
    };
    Err(failure.into())
}

/// Provides the password file of programs, and finds a missing or stale manifest, before the first step does anything.
async fn preflight(plan: &Plan, context: &RunContext, report: &Report) -> Result<(), Failure> {
    for text in context.provide_password_file().await {
        report.emit(&Event::Remark { text });
    }
    let derived = context.config.migrations.as_ref().is_none_or(|migrations| migrations.auto_manifest);
    let needed = plan.steps.iter().any(|planned| match &planned.decision {
        Decision::Skip { .. } => false,
        Decision::DecidedAtItsTurn { .. } => true,
        Decision::Run => planned.step.action.is_locked() || matches!(planned.step.action, Action::Verify(_)),
    });
    if needed && !derived {
        context.expectation().await?;
    }
    if let Some(migrations) = &context.config.migrations
        && let (true, true, Some(external)) = (needed, derived, frameworks::of(migrations).external())
    {
        let (make, about) = (make_command(migrations), external.about());
        let reads = match about.interpreter {
            "" => format!("reads what {} expects from the files", about.title),
            interpreter => {
                format!("runs {interpreter} an additional time to read what {} expects", about.title)
            }
        };
        let text = format!(
            "`manifest.auto`: this start {reads}, and it proves only this container's code; in production, put \
             `RUN {make}` into the Dockerfile"
        );
        report.emit(&Event::Remark { text });
    }
    Ok(())
}
