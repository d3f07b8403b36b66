//! Portcullis: a container entrypoint that proves every tenant is completely migrated before it starts the server.
//!
//! Data travels `config -> plan -> engine -> steps -> (judgement in tenants, effects in database and process)
//! -> handover`, and `report` is told about everything.

mod failure;

mod commands;
mod config;
mod process;
mod report;
mod tenants;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

#[derive(Parser)]
enum Cli {
    Init(commands::init::InitArgs),
}

/// Stands in for the command line and the engine until they are there.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    if let Some(code) = process::stub_main(&args) {
        return code.into();
    }
    let Ok(inherited) = process::take_over() else {
        return 70.into();
    };
    let words: Vec<String> = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let ended = if words.get(1).is_some_and(|word| word == "run") {
        run(&inherited, &words[2..])
    } else {
        let Cli::Init(init) = Cli::parse_from(args);
        commands::init::init(&inherited, &init)
    };
    ended.map_or_else(
        |failure| {
            eprintln!("portcullis: {failure}");
            failure.code().into()
        },
        ExitCode::from,
    )
}

#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    step: Vec<Step>,
}

#[derive(serde::Deserialize)]
struct Step {
    name: String,
    after: Option<String>,
    command: Command,
}

#[derive(serde::Deserialize)]
struct Command {
    run: Vec<String>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
    grace: Option<String>,
}

fn run(inherited: &process::Inherited, words: &[String]) -> Result<u8, failure::Failure> {
    let internal = |what: &str| failure::Failure::Internal { what: what.into() };
    let split = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let server = words.get(split + 1..).unwrap_or_default();
    if words[0] == "--config" {
        let text = std::fs::read_to_string(&words[1]).map_err(|_| internal("file"))?;
        let file: File = toml::from_str(&text).map_err(|error| internal(&error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| internal("runtime"))?;
        let local = tokio::task::LocalSet::new();
        let ended = local.block_on(&runtime, steps(inherited, file));
        drop(local);
        runtime.shutdown_background();
        ended?;
    }
    if server.is_empty() { Ok(0) } else { Err(process::handover(inherited, server)) }
}

async fn steps(inherited: &process::Inherited, file: File) -> Result<(), failure::Failure> {
    let internal = |what: &str| failure::Failure::Internal { what: what.into() };
    let (processes, mut signals) = process::Processes::start(inherited).map_err(|_| internal("start"))?;
    let (tell, told) = tokio::sync::watch::channel(0);
    let mut running: Vec<tokio::task::JoinHandle<process::Ended>> = Vec::new();
    let mut failed = None;
    for step in file.step {
        if step.after.is_none() {
            failed = failed.or(join(&mut running, &mut signals, &tell).await);
        }
        if failed.is_some() {
            break;
        }
        let grace = step.command.grace.as_deref().and_then(|grace| grace.strip_suffix("ms")?.parse().ok());
        let child = process::Child {
            argv: step.command.run,
            env: step.command.env.into_iter().collect(),
            cwd: None,
            grace: std::time::Duration::from_millis(grace.unwrap_or(8000)),
        };
        let mut tree = processes.spawn(&child).map_err(|_| internal("spawn"))?;
        let mut told = told.clone();
        running.push(tokio::task::spawn_local(async move {
            loop {
                tokio::select! {
                    line = tree.next_line() => match line {
                        Some((_, line)) => println!("{} | {line}", step.name),
                        None => break,
                    },
                    Ok(()) = told.changed() => tree.terminate(*told.borrow()),
                }
            }
            let ended = tree.ended().await;
            println!("{} {ended:?}", step.name);
            ended
        }));
    }
    let failed = failed.or(join(&mut running, &mut signals, &tell).await);
    processes.finish(std::time::Duration::from_secs(1)).await;
    failed.map_or(Ok(()), Err)
}

async fn join(
    running: &mut Vec<tokio::task::JoinHandle<process::Ended>>,
    signals: &mut process::Signals,
    tell: &tokio::sync::watch::Sender<i32>,
) -> Option<failure::Failure> {
    let mut failed = None;
    for mut task in running.drain(..) {
        loop {
            tokio::select! {
                ended = &mut task => {
                    let how = ended.ok()?.how;
                    if how != process::How::Exited(0) {
                        failed.get_or_insert(failure::Failure::CommandFailed { program: "step".into(), ended: format!("{how:?}") });
                    }
                    break;
                }
                signal = signals.next() => {
                    failed = Some(failure::Failure::Interrupted { signal, doing: "in a step".into() });
                    let _ = tell.send(signal);
                }
            }
        }
    }
    failed
}
