//! Reading the configuration file again, on a signal or when asked over HTTP.

use std::sync::Arc;
use std::sync::Weak;

use parking_lot::Mutex;
use tokio::signal::unix::Signal;

use crate::cli;
use crate::config;
use crate::config::ConfigError;
use crate::config::ConfigFile;
use crate::config::Extent;
use crate::config::Flags;
use crate::http::app::App;
use crate::http::app::ReloadError;
use crate::http::app::Settings;
use crate::telemetry::Telemetry;
use crate::threads::Workers;
use crate::time::Clock;

/// Replaces the settings of an app by what the file says now; a bad file changes nothing.
pub(super) struct Reloader {
    flags: Flags,
    /// The limits that only a restart can change.
    settled: config::Limits,
    app: Weak<App>,
    /// How much the file says whose settings are in place. Held from before a file is read until its settings are.
    turn: Mutex<Extent>,
}

impl Reloader {
    pub(super) fn new(flags: &Flags, file: &ConfigFile, app: &Arc<App>) -> Self {
        Self { flags: flags.clone(), settled: flags.limits(file), app: Arc::downgrade(app), turn: Mutex::new(file.extent()) }
    }

    /// Waits until no other reload is under way, then reads the file. The outcome is logged and counted here.
    pub(super) fn reload(&self) -> Result<(), ReloadError> {
        self.reload_from(|before| self.read(before))
    }

    /// Reloads at each of these signals.
    pub(super) async fn on_signal(self: Arc<Self>, mut signals: Signal, workers: Workers) {
        while signals.recv().await.is_some() {
            let reloader = Arc::clone(&self);
            workers.run(move || reloader.reload()).await.ok();
        }
    }

    /// Of several, the last one that begins to read is the last one whose settings are set.
    fn reload_from(&self, read: impl FnOnce(&mut Extent) -> Result<Settings, ConfigError>) -> Result<(), ReloadError> {
        let mut turn = self.turn.lock();
        let Some(app) = self.app.upgrade() else { return Ok(()) };
        match read(&mut turn) {
            Ok(settings) => {
                app.set_settings(settings);
                tracing::info!("configuration read again");
                note_loaded(app.telemetry(), app.clock());
                Ok(())
            }
            Err(error) => {
                tracing::error!(reason = cli::with_causes(&error), "cannot read the configuration again; the old one is kept");
                app.telemetry().reload_successful.set(0);
                app.telemetry().reloads_failed.inc();
                Err(ReloadError)
            }
        }
    }

    fn read(&self, extent: &mut Extent) -> Result<Settings, ConfigError> {
        let file = self.flags.config_file.as_deref().map_or_else(|| Ok(ConfigFile::default()), ConfigFile::load)?;
        file.may_follow(*extent)?;
        let settings = self.flags.settings(&file)?;
        self.flags.addresses(&settings.access)?;
        if self.flags.limits(&file).settled() != self.settled.settled() {
            tracing::warn!("some of the limits that changed take effect at the next start only");
        }
        *extent = file.extent();
        Ok(settings)
    }
}

/// Says in our own metrics that the configuration is that of the file.
pub(super) fn note_loaded(telemetry: &Telemetry, clock: &dyn Clock) {
    telemetry.reload_successful.set(1);
    telemetry.reload_success_seconds.set(clock.now().seconds());
}

#[cfg(test)]
mod tests;
