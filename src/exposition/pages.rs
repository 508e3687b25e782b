//! The pages of all clusters: takes in what the log applies, and renders.

use super::block;
use super::block::Block;
use super::block::Known;
use super::block::Room;
use super::body::PageBody;
use super::body::Section;
use super::cache;
use super::cache::Cache;
use super::exposure::Counts;
use super::exposure::Exposure;
use super::filter;
use super::filter::Filter;
use super::look::Shown;
use super::look::View;
use super::look::Waiting;
use super::options::Options;
use super::options::Sizes;
use super::page::Page;
use super::page::PageRequest;
use super::page::PageStats;
use super::place::Sample;
use super::queue::Reach;
use super::schedule::Schedule;
use super::text::Family;
use crate::account::Account;
use crate::account::Full;
use crate::account::Item;
use crate::store::AppliedEdge;
use crate::store::Cause;
use crate::store::ClusterId;
use crate::store::Effort;
use crate::store::SampleKind;
use crate::store::Tenant;
use crate::store::TenantId;
use crate::store::Withdrawn;
use crate::threads::Helpers;
use crate::time::Timestamp;
use parking_lot::Mutex;
use parking_lot::MutexGuard;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How many lines are looked at before the writer is let in: hardly half a millisecond.
const LOOKED_AT_ONCE: usize = 1024;
/// How long a page that nobody asks for stays rendered.
const IDLE_MAX: Duration = Duration::from_mins(10);
/// How long a page waits for what is being written, and how far a receipt is moved for a page that was not before it.
const OVERLAP_MAX: Duration = Duration::from_secs(5);

/// All pages. Only the writer applies; anyone renders.
///
/// Rendering can take tens of milliseconds and more than one thread: not for an async task. While a page is rendered the
/// writer goes on.
#[derive(Debug)]
pub struct Pages {
    sizes: Sizes,
    timestamp_family: bool,
    clusters: RwLock<BTreeMap<(TenantId, ClusterId), Arc<ClusterPage>>>,
    moments: Mutex<Moments>,
    account: Account,
    helpers: Helpers,
}

#[derive(Debug)]
struct ClusterPage {
    /// Whoever looks lets the writer in every few lines.
    schedule: Mutex<Schedule>,
    /// The last page without a window, and of which version of the schedule. Whoever looks at the schedule holds it.
    last: Mutex<Option<(View, u64, Arc<Shown>)>>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Moments {
    /// The latest moment a page was made of.
    shown: Timestamp,
    /// When that was received which is being written.
    receiving: Option<Timestamp>,
    /// When idle pages were last looked for.
    swept: Timestamp,
}

/// Commands on their way into the log. Hold it until they are applied: pages do not get ahead of them.
#[derive(Debug)]
pub struct Receipt<'a> {
    pages: &'a Pages,
    /// The time of receipt to write and to apply them with.
    pub received: Timestamp,
}

/// A page that is asked for, with what it is made of.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    tenant: &'a Tenant,
    cluster: ClusterId,
    pages: &'a ClusterPage,
    request: &'a PageRequest,
    own: &'a str,
    view: View,
    now: Timestamp,
    room: Room<'a>,
    effort: &'a Effort,
}

impl Drop for Receipt<'_> {
    fn drop(&mut self) {
        self.pages.moments.lock().receiving = None;
    }
}

impl Pages {
    /// No pages yet.
    pub fn new(options: &Options) -> Self {
        let (clusters, moments) = Default::default();
        let (timestamp_family, account, helpers) = (options.timestamp_family, options.account.clone(), options.helpers.clone());
        Self { sizes: Sizes::of(options), timestamp_family, clusters, moments, account, helpers }
    }

    /// All that the log is folded into, in lines; moments are of this process alone.
    #[cfg(test)]
    pub(crate) fn state(&self) -> Vec<String> {
        let Self { sizes: _, timestamp_family: _, clusters, moments: _, account: _, helpers: _ } = self;
        let mut all = Vec::new();
        for ((tenant, cluster), page) in &*clusters.read() {
            let ClusterPage { schedule, last: _, cache: _ } = &**page;
            all.extend(schedule.lock().state().iter().map(|line| format!("page of {} {}: {line}", tenant.0, cluster.0)));
        }
        all
    }

    /// Forgets everything, before a log is folded in.
    pub fn begin(&self) {
        for cluster in std::mem::take(&mut *self.clusters.write()).into_values() {
            self.account.keep(kept(&cluster.schedule.lock()), 0);
        }
        *self.moments.lock() = Moments::default();
    }

    /// Begins to take in commands that were received at `now`. A page that was already given out stays in their past:
    /// otherwise an edge could take a place before one that a scraper has seen.
    pub fn receive(&self, now: Timestamp) -> Receipt<'_> {
        let mut moments = self.moments.lock();
        let received = moments.shown.min(now.plus(OVERLAP_MAX)).max(now);
        moments.receiving = Some(received);
        Receipt { pages: self, received }
    }

    /// Folds in what the log applied, duplicates excepted. `received` never decreases.
    pub fn apply(&self, received: Timestamp, edge: &AppliedEdge) -> Exposure {
        let sample = Sample {
            series: edge.series,
            at: edge.at,
            value: edge.value,
            tie: u32::try_from(edge.id.0 & u128::from(u32::MAX)).unwrap_or_default(),
            heartbeat: edge.kind == SampleKind::Heartbeat,
        };
        let key = (edge.tenant.id(), edge.cluster);
        if let Some(cluster) = self.clusters.read().get(&key) {
            return self.change(cluster, |schedule| schedule.apply(received, &sample));
        }
        let cluster = Arc::new(ClusterPage::new(self.sizes));
        self.account.keep(0, kept(&cluster.schedule.lock()));
        self.clusters.write().insert(key, Arc::clone(&cluster));
        self.change(&cluster, |schedule| schedule.apply(received, &sample))
    }

    /// Folds in that an event no longer has a sample. `received` never decreases.
    pub fn withdraw(&self, received: Timestamp, sample: &Withdrawn) {
        let cluster = self.clusters.read().get(&(sample.tenant.id(), sample.cluster)).map(Arc::clone);
        if let Some(cluster) = cluster {
            let reach = match sample.cause {
                Cause::Replaced => Reach::Waiting,
                Cause::Deleted => Reach::Exposed,
            };
            self.change(&cluster, |schedule| schedule.withdraw(received, sample.series, sample.at, reach));
        }
    }

    /// Changes a schedule and counts what it takes by then.
    fn change<T>(&self, cluster: &ClusterPage, change: impl FnOnce(&mut Schedule) -> T) -> T {
        let mut schedule = cluster.schedule.lock();
        let before = kept(&schedule);
        let done = change(&mut schedule);
        self.account.keep(before, kept(&schedule));
        done
    }

    /// The page of a cluster at `now`. `own` are our own metrics in the format asked for, without the closing `# EOF`; with
    /// `match[]` they are on the page only when it asks for some of them by name. [`Full`] when there is no memory for it, not
    /// even after what is kept for later pages was given up.
    pub fn render(
        &self,
        tenant: Option<&Tenant>,
        cluster: ClusterId,
        request: &PageRequest,
        own: &str,
        now: Timestamp,
    ) -> Result<Page, Full> {
        self.render_within(tenant, cluster, request, own, now, &Effort::boundless())
    }

    /// The same within some steps, which the selectors take; what comes when these do not do is no page.
    pub fn render_within(
        &self,
        tenant: Option<&Tenant>,
        cluster: ClusterId,
        request: &PageRequest,
        own: &str,
        now: Timestamp,
        effort: &Effort,
    ) -> Result<Page, Full> {
        self.forget_idle(now);
        let pages = tenant.and_then(|tenant| self.clusters.read().get(&(tenant.id(), cluster)).map(|pages| (tenant, Arc::clone(pages))));
        let own = if filter::has_own(&request.selectors) { own } else { "" };
        let is_shared = request.selectors.is_empty() && request.window.is_none() && request.keep.is_none();
        let item = if is_shared { Item::Pages } else { Item::PrivatePages };
        let room = Room { account: &self.account, item, helpers: &self.helpers };
        let Some((tenant, pages)) = pages else {
            let empty = |family| Section { family, blocks: Arc::default() };
            return page(own, &self.families(&request.selectors).map(empty).collect::<Vec<_>>(), request, &Shown::default(), room);
        };
        let view = View::new(self.moment_of_page(now), request.window, request.keep, &self.sizes);
        let asked = Asked { tenant, cluster, pages: &pages, request, own, view, now, room, effort };
        let render = || if request.selectors.is_empty() { self.shared(&asked) } else { self.filtered(&asked) };
        // Nobody else's page is given up for one of somebody's own.
        let give_ups: &[fn(&mut Cache)] = if is_shared { &[Cache::forget_unused, Cache::forget] } else { &[Cache::forget_unused] };
        for give_up in give_ups {
            if let Ok(page) = render() {
                return Ok(page);
            }
            self.all_clusters().iter().filter_map(|cluster| cluster.cache.try_lock()).for_each(|mut cache| give_up(&mut cache));
        }
        render()
    }

    /// A page of blocks that are kept for the next one.
    fn shared(&self, asked: &Asked<'_>) -> Result<Page, Full> {
        let Asked { tenant, cluster, pages, request, own, view, now, room, effort: _ } = *asked;
        let mut cache = pages.cache.lock();
        let shown = pages.shown(view);
        let edges = cache.edges(&shown, tenant, room)?;
        let open = cache.open(tenant, cluster, now, room)?;
        let section = |family| Section { family, blocks: Arc::clone(if family == Family::Open { &open } else { &edges }) };
        let sections: Vec<Section> = self.families(&[]).map(section).collect();
        let page = page(own, &sections, request, &shown, room);
        drop((sections, open, edges));
        cache.end_render(now);
        page
    }

    /// A page of what its selectors select.
    fn filtered(&self, asked: &Asked<'_>) -> Result<Page, Full> {
        let Asked { tenant, cluster, pages, request, own, view, now, room, effort } = *asked;
        let (shown, open) = (pages.shown(view), cache::open_entries(tenant, cluster, now));
        let section = |(family, filter): (Family, Filter<'_>)| {
            let entries = if family == Family::Open { &open } else { &shown.rows };
            let selected = filter.select(family, tenant, entries, effort);
            let (known, mut scratch) = (Known::new(), String::new());
            let block = |entries| Block::of(family, entries, &known, tenant, &mut scratch, room).map(Arc::new);
            let blocks = block::cut(&selected).map(block);
            Ok(Section { family, blocks: blocks.collect::<Result<_, Full>>()? })
        };
        let families = self.families(&request.selectors);
        let filters = families.filter_map(|family| Some((family, Filter::of(family, &request.selectors)?)));
        page(own, &filters.map(section).collect::<Result<Vec<_>, Full>>()?, request, &shown, room)
    }

    /// What pages show and do not show at `now`.
    pub fn stats(&self, now: Timestamp) -> PageStats {
        let now = self.moment_of_page(now);
        let view = View::new(now, None, None, &self.sizes);
        let mut stats = PageStats::default();
        for cluster in self.all_clusters() {
            let shown = cluster.shown(view);
            let (waiting, counts) = cluster.waiting(now);
            stats.shown += shown.rows.len();
            stats.cut += shown.cut;
            stats.queued += waiting.queued;
            stats.scheduled += waiting.scheduled;
            stats.lag = stats.lag.max(waiting.lag);
            stats.coalesced += counts.coalesced;
            stats.late += counts.late;
            stats.old += counts.old;
            stats.duplicate += counts.duplicate;
            stats.crowded += counts.crowded;
            stats.beyond += counts.beyond;
        }
        stats
    }

    /// How many blocks are kept for the next page.
    #[cfg(test)]
    pub(super) fn cached_blocks(&self) -> usize {
        self.clusters.read().values().map(|cluster| cluster.cache.lock().len()).sum()
    }

    /// The families of a page with these selectors, in their order.
    fn families(&self, selectors: &[Vec<crate::store::Matcher>]) -> impl Iterator<Item = Family> {
        let families = [Some(Family::Open), Some(Family::Edges), self.timestamp_family.then_some(Family::Times)];
        families.into_iter().flatten().filter(|family| selectors.is_empty() || Filter::of(*family, selectors).is_some())
    }

    /// The moment a page of `now` is made of: not after what is being written was received, unless that takes long.
    fn moment_of_page(&self, now: Timestamp) -> Timestamp {
        let mut moments = self.moments.lock();
        let moment = moments.receiving.map_or(now, |received| received.max(now.minus(OVERLAP_MAX)).min(now));
        moments.shown = moments.shown.max(moment);
        moment
    }

    fn forget_idle(&self, now: Timestamp) {
        let mut moments = self.moments.lock();
        if now.since(moments.swept) < IDLE_MAX / 4 {
            return;
        }
        moments.swept = now;
        drop(moments);
        for cluster in self.all_clusters() {
            if let Some(mut cache) = cluster.cache.try_lock()
                && now.since(cache.used) > IDLE_MAX
            {
                cache.forget();
                if let Some(mut last) = cluster.last.try_lock() {
                    *last = None;
                }
            }
        }
    }

    /// Every cluster's page. The writer is not held up by what is done with them.
    fn all_clusters(&self) -> Vec<Arc<ClusterPage>> {
        self.clusters.read().values().map(Arc::clone).collect()
    }
}

/// What a schedule takes, with what surrounds it, and what the allocator adds to its pieces.
fn kept(schedule: &Schedule) -> usize {
    let bytes = size_of::<ClusterPage>() + schedule.bytes();
    bytes + bytes / 10
}

impl ClusterPage {
    fn new(sizes: Sizes) -> Self {
        Self { schedule: Mutex::new(Schedule::new(sizes)), last: Mutex::default(), cache: Mutex::default() }
    }

    /// The samples of a page; of a page without a window again the same while nothing changes.
    fn shown(&self, view: View) -> Arc<Shown> {
        let mut last = self.last.lock();
        let mut schedule = self.schedule.lock();
        let version = schedule.version();
        if let Some((known, of, shown)) = &*last
            && *of == version
            && known.is_like(&view)
            && (known.now..shown.until).contains(&view.now)
        {
            return Arc::clone(shown);
        }
        let mut look = schedule.begin_look(&view);
        while schedule.look(&mut look, LOOKED_AT_ONCE) {
            MutexGuard::bump(&mut schedule);
        }
        let changed = schedule.end_look();
        drop(schedule);
        let shown = Arc::new(look.end(&changed));
        if !view.is_windowed() {
            *last = Some((view, version, Arc::clone(&shown)));
        }
        shown
    }

    /// What waits for a page without a window, and what never came onto one.
    fn waiting(&self, now: Timestamp) -> (Waiting, Counts) {
        let _looks = self.last.lock();
        let mut schedule = self.schedule.lock();
        let mut count = schedule.begin_count(now);
        while schedule.count(&mut count, LOOKED_AT_ONCE) {
            MutexGuard::bump(&mut schedule);
        }
        (schedule.end_count(&count), schedule.counts)
    }
}

fn page(own: &str, sections: &[Section], request: &PageRequest, shown: &Shown, room: Room<'_>) -> Result<Page, Full> {
    let (own, format) = (own.to_owned(), request.format);
    let body = if request.gzip { PageBody::zipped(own, sections, format, room)? } else { PageBody::plain(own, sections, format) };
    Ok(Page { body, content_type: format.content_type(), gzip: request.gzip, samples: shown.rows.len(), cut: shown.cut })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::AGE_MAX;
    use crate::store::SeriesId;
    use crate::time::millis_of;

    /// Who scrapes with a window, or asks for less, does not make the others' page be looked up again.
    #[test]
    fn a_page_is_looked_up_once_while_nothing_changes() {
        let sizes = Sizes::of(&Options::default());
        let cluster = ClusterPage::new(sizes);
        let ms = Timestamp::from_millis;
        let put = |at| {
            let series = SeriesId { number: 1, generation: 1 };
            let sample = Sample { series, at: ms(at), value: 1.0, tie: 0, heartbeat: false };
            cluster.schedule.lock().apply(ms(at), &sample);
        };
        let view = |now, window| View::new(ms(now), window, None, &sizes);
        let at = |shown: &Shown| shown.rows.iter().map(|row| row.at.millis()).collect::<Vec<_>>();
        put(1000);
        let page = cluster.shown(view(1000, None));
        assert_eq!(at(&page), [1000]);
        let until = 1000 + millis_of(AGE_MAX);
        assert_eq!(page.until, ms(until));
        assert_eq!(at(&cluster.shown(view(2000, Some(Duration::from_hours(2))))), [1000]);
        for now in [1000, 1001, until - 1] {
            assert!(Arc::ptr_eq(&cluster.shown(view(now, None)), &page), "at {now}");
        }
        assert_eq!(at(&cluster.shown(view(until, None))), [0; 0]);
        let page = cluster.shown(view(2000, None));
        assert!(Arc::ptr_eq(&cluster.shown(view(3000, None)), &page));
        assert_eq!(at(&cluster.shown(view(1999, None))), [1000]);
        put(140_000);
        assert_eq!(at(&cluster.shown(view(140_000, None))), [140_000]);
        let shorter = View::new(ms(260_000), None, Some(Duration::from_mins(2)), &sizes);
        assert_eq!(at(&cluster.shown(shorter)), [0; 0]);
        assert_eq!(at(&cluster.shown(view(260_000, None))), [140_000]);
    }
}
