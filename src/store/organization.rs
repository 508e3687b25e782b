//! One organization's memory: the parts that it is made of, each behind a lock of its own.

use super::claims::Claims;
use super::core::Core;
use super::ids::ClusterId;
use super::ids::TenantId;
use super::index::LabelIndex;
use crate::account::Account;
use parking_lot::Mutex;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// One organization's events.
#[derive(Debug)]
pub struct Tenant {
    pub(super) id: TenantId,
    pub(super) organization: Arc<str>,
    pub(super) open_max_age: Duration,
    pub(super) index: LabelIndex,
    pub(super) core: RwLock<Core>,
    pub(super) clusters: RwLock<Clusters>,
    pub(super) claims: Mutex<Claims>,
    pub(super) account: Account,
    /// What it last told the account that it takes.
    pub(super) reported: AtomicUsize,
    /// And how many events are open.
    pub(super) reported_open: AtomicUsize,
}

/// The clusters of a tenant by number and by name; number 0 is the default one.
#[derive(Debug)]
pub(super) struct Clusters {
    pub(super) names: Vec<Arc<str>>,
    pub(super) numbers: HashMap<Arc<str>, ClusterId>,
}

impl Default for Clusters {
    fn default() -> Self {
        Self { names: vec!["".into()], numbers: HashMap::from([("".into(), ClusterId(0))]) }
    }
}
