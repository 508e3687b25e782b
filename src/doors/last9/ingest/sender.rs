//! On whose behalf change events are taken in.

use std::sync::Arc;

use crate::http::app::App;
use crate::http::app::Settings;
use crate::http::auth::Grant;
use crate::http::error::ApiError;
use crate::http::route::Call;
use crate::intake::unmatched::Told;
use crate::intake::unmatched::Unmatched;
use crate::writer::Source;
use crate::writer::Taken;

/// Who sends, and by which settings.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) settings: Arc<Settings>,
    pub(super) grant: Grant,
    /// Who waits for the writer.
    pub(super) source: Source,
    /// Who takes a seat for a question.
    pub(super) asker: Source,
}

impl Sender {
    pub(super) fn of(call: &Call) -> Result<Self, ApiError> {
        let (settings, grant) = (Arc::clone(&call.settings), call.grant()?.clone());
        Ok(Self { settings, grant, source: call.source(), asker: call.asker() })
    }

    /// What should be known of stops among these that closed nothing.
    pub(super) async fn told<'t>(&self, app: &App, taken: impl IntoIterator<Item = &'t Taken>) -> Told {
        Unmatched::of(&self.grant.organization, &self.settings, taken).look(app, self.asker).await
    }
}
