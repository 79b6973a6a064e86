//! `silta serve`: the gateway.

mod assembly;
mod doors;
mod reload;
mod remake;
mod vitals;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

pub use self::assembly::{Assembly, AssemblyError, Running};

use super::{DONE, FAILED, USAGE};
use crate::clock::Clock;
use crate::config::{ConfigError, Loaded};
use crate::telemetry::logs;

/// Runs the gateway until it is told to stop (SIGTERM, SIGINT); SIGHUP, or a change of the files, reads configuration and
/// certificates again.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  silta serve --config /etc/silta/silta.toml\n\n`deploy/silta.toml` shows every key."
)]
pub struct Arguments {
    /// The configuration, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only reads and checks the configuration and the files that it names.
    #[arg(long)]
    check: bool,
}

/// Why the gateway did not run.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Log(#[from] logs::LogError),
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[source] io::Error),
}

impl ServeError {
    const fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Assembly(AssemblyError::Config(_)) => USAGE,
            Self::Log(_) | Self::Assembly(_) | Self::Runtime(_) => FAILED,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let done = if arguments.check { check(arguments) } else { serve(arguments) };
    match done {
        Ok(()) => DONE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            error.code()
        }
    }
}

fn check(arguments: &Arguments) -> Result<(), ServeError> {
    let loaded = Loaded::read(&arguments.config)?;
    assembly::check(&loaded, &Clock::system())?;
    let _ = writeln!(io::stdout(), "{}: good", loaded.file.display());
    Ok(())
}

fn serve(arguments: &Arguments) -> Result<(), ServeError> {
    let loaded = Loaded::read(&arguments.config)?;
    let logs = logs::start(&loaded.config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    runtime.block_on(async {
        // From now on a hang-up reads again rather than ends the program, be it still starting.
        let mut signals = Signals::new().map_err(ServeError::Runtime)?;
        let assembly = Assembly::new(loaded, Clock::system())?;
        logs.measure(assembly.metrics()).map_err(AssemblyError::from)?;
        let running = assembly.start().await?;
        let admin = running.admin.map(tracing::field::display);
        tracing::info!(address = %running.address, admin, "ready");
        let (hang_up, hung_up) = watch::channel(0_u64);
        let reloading = tokio::spawn(reload::run(running.reloads.clone(), hung_up));
        signals.wait(&hang_up).await;
        tracing::info!("stopping: no new connections, finishing what is in flight");
        let stopped = running.stop().await;
        reloading.abort();
        if stopped.cut > 0 {
            tracing::warn!(connections = stopped.cut, "the time for stopping had passed, and connections were cut");
        }
        tracing::info!("stopped");
        Ok(())
    })
}

/// What the program is told from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    again: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            again: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT, counting each SIGHUP meanwhile.
    async fn wait(&mut self, hang_up: &watch::Sender<u64>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.again.recv() => hang_up.send_modify(|count| *count = count.wrapping_add(1)),
            }
        }
    }
}
