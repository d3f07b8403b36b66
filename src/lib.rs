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

/// The whole program until the command line is there.
pub fn main(args: Vec<OsString>) -> ExitCode {
    if let Some(code) = process::stub_main(&args) {
        return code.into();
    }
    let Ok(inherited) = process::take_over() else {
        return 70.into();
    };
    if args.get(1).is_some_and(|word| word == "run") {
        let argv: Vec<String> = args[4..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let failure = process::handover(&inherited, &argv);
        eprintln!("portcullis: {failure}");
        return failure.code().into();
    }
    if args.get(1).is_some_and(|word| word == "steps") {
        return demo(&inherited, &args[2..]);
    }
    let Cli::Init(init) = Cli::parse_from(args);
    match commands::init::init(&inherited, &init) {
        Ok(code) => code.into(),
        Err(failure) => {
            eprintln!("portcullis: {failure}");
            failure.code().into()
        }
    }
}

/// Temporary: `steps GRACE_MS SCRIPT... [-- SERVER]` runs scripts side by side.
fn demo(inherited: &process::Inherited, args: &[OsString]) -> ExitCode {
    let words: Vec<String> = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let split = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let local = tokio::task::LocalSet::new();
    let signal = local.block_on(&runtime, async {
        let (processes, mut signals) = process::Processes::start(inherited).expect("start");
        let mut handles = Vec::new();
        let (tx, rx) = tokio::sync::watch::channel(0);
        for (number, script) in words[1..split].iter().enumerate() {
            let mut tree = processes
                .spawn(&process::Child {
                    argv: if let Some(program) = script.strip_prefix('!') { vec![program.to_owned()] } else { vec!["sh".into(), "-c".into(), script.clone()] },
                    env: vec![("STEP".into(), number.to_string())],
                    cwd: None,
                    grace: std::time::Duration::from_millis(words[0].parse().expect("grace")),
                })
                .expect("spawn");
            let mut rx = rx.clone();
            handles.push(tokio::task::spawn_local(async move {
                loop {
                    tokio::select! {
                        line = tree.next_line() => match line { Some((stream, line)) => println!("{number} {stream:?} {line}"), None => break },
                        Ok(()) = rx.changed() => tree.terminate(*rx.borrow()),
                    }
                }
                println!("{number} {:?}", tree.ended().await);
            }));
        }
        let signal = tokio::spawn(async {});
        let _ = signal.await;
        let all = futures_util::future::join_all(handles);
        tokio::pin!(all);
        let mut got = 0;
        loop {
            tokio::select! { _ = &mut all => break, signal = signals.next() => { println!("got {signal}"); got = signal; let _ = tx.send(signal); } }
        }
        println!("finish ended {}", processes.finish(std::time::Duration::from_millis(500)).await);
        got
    });
    drop(local);
    drop(runtime);
    if signal != 0 {
        return u8::try_from(128 + signal).unwrap_or(0).into();
    }
    if split + 1 < words.len() {
        let failure = process::handover(inherited, &words[split + 1..]);
        eprintln!("portcullis: {failure}");
        return failure.code().into();
    }
    0.into()
}
