//! `silta demo`: four organisations as servers of their own, each with its own format, and one made-up person's case that
//! runs through them and the gateway. Every step is checked by what the other side got.

mod association;
mod case_manager;
mod configuration;
mod console;
mod county;
mod events;
mod hl7;
mod home_care;
mod hospital;
mod person;
mod story;
mod text;
mod web;
mod world;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use self::console::Console;
use self::world::{Options, StartError, World};
use super::{DONE, FAILED};
use crate::clock::Clock;
use crate::telemetry::logs;

/// Lets one made-up person's case cross four organisations in four formats, checks every step, and stays up to be tried.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  silta demo --port 0 --exit\n\nIt runs until Ctrl-C; the state is removed then.")]
pub struct Arguments {
    /// Ends after the run: with 0 when every step held, else with 1.
    #[arg(long)]
    exit: bool,
    /// The gateway's port on this machine; 0 for any.
    #[arg(long, value_name = "N", default_value_t = 8443)]
    port: u16,
    /// Keeps certificates (`ca.pem`) and store in this folder instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Uses the maps of this folder over those that are built in: to try a map.
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
    /// What the gateway logs on standard error: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    log: String,
}

/// Why the demonstration did not run.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{}: {error}", path.display())]
    State { path: PathBuf, error: io::Error },
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Log(#[from] logs::LogError),
    #[error(transparent)]
    Start(#[from] StartError),
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    match demonstrate(arguments) {
        Ok(true) => DONE,
        Ok(false) => FAILED,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            FAILED
        }
    }
}

/// Runs it; whether every step held.
fn demonstrate(arguments: &Arguments) -> Result<bool, DemoError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| DemoError::State { path, error }
    };
    let (folder, temporary) = match &arguments.state {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(failed(folder))?;
            (std::path::absolute(folder).map_err(failed(folder))?, None)
        }
        None => {
            let made = tempfile::Builder::new().prefix("silta-demo-").tempdir();
            let made = made.map_err(failed(&std::env::temp_dir()))?;
            (made.path().to_owned(), Some(made))
        }
    };
    let _logs = logs::start(&logs::Config { level: arguments.log.clone(), ..logs::Config::default() })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(DemoError::Runtime)?;
    let done = runtime.block_on(Box::pin(play(arguments, &folder)));
    drop(temporary);
    done
}

async fn play(arguments: &Arguments, folder: &Path) -> Result<bool, DemoError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DemoError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DemoError::Runtime)?;
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(told);
    let console = Console::standard();
    let begun = async {
        let options = Options { port: arguments.port, log: &arguments.log, profiles: arguments.profiles.as_deref() };
        let world = World::start(folder, &options, Clock::system()).await?;
        let ran = story::run(&world, &console).await;
        Ok::<_, StartError>((world, ran))
    };
    let (world, ran) = tokio::select! {
        begun = Box::pin(begun) => begun?,
        () = &mut told => return Ok(false),
    };
    console.line("");
    console.line(&format!("ready {} ca={}", world.base(), folder.join("ca.pem").display()));
    if !arguments.exit {
        console.line("");
        for line in world.invitations(&ran) {
            console.line(&line);
        }
        told.await;
    }
    world.stop().await;
    Ok(ran.held)
}
