//! A small invoice web server, the server of the shipped `config.toml`.
//!
//! `invoices` serves `http://127.0.0.1:$PORT/TENANT/finance/invoices/` from that tenant's table
//! `finance_invoice`; `invoices collectstatic FOLDER` writes the style sheet that the pages link to.
#![expect(clippy::disallowed_methods, reason = "a separate program, which reads its own environment")]

mod database;
mod page;
mod quarantine;
mod server;

use std::{env, error::Error, fs, net::Ipv4Addr, path::Path, process::ExitCode};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

const STYLE_SHEET: &str = include_str!("invoices.css");

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve().await,
        ["collectstatic", folder] => collect_static(Path::new(folder)),
        _ => Err("usage: invoices [collectstatic FOLDER]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("invoices: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until TERM or INT, which end it with 0.
async fn serve() -> Result<(), Box<dyn Error>> {
    // The kernel drops signals without a handler for PID 1, so the handlers are installed first.
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let password =
        Some(variable("DATABASE_PASSWORD_FILE", "")).filter(|file| !file.is_empty()).map(Into::into);
    let database = database::Database::parse(&variable("DATABASE_URL", "sqlite://var"), password)?;
    let static_root = variable("STATIC_ROOT", "var/static").into();
    let quarantine = quarantine::Quarantine::of_environment();
    let port: u16 = variable("PORT", "8000").parse().map_err(|_| "PORT is not a port number")?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .await
        .map_err(|error| format!("cannot listen on port {port}: {error}"))?;
    println!("invoices: listening on http://127.0.0.1:{port}/demo/finance/invoices/");
    tokio::select! {
        () = server::serve(listener, server::Site { database, static_root, quarantine }) => {}
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn collect_static(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(folder.join("invoices.css"), STYLE_SHEET))
        .map_err(|error| format!("cannot write static files to `{}`: {error}", folder.display()))?;
    println!("1 static file copied to `{}`", folder.display());
    Ok(())
}

/// An empty variable counts as unset, as in the configuration file.
fn variable(name: &str, default: &str) -> String {
    env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}
