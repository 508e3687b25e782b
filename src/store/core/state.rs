//! What of a core is state: all that is not here follows from it, or only makes looking faster. A field that is added does not
//! compile until it is said which it is.

use super::Core;
use super::IdentityRow;
use super::LabelIndex;
use super::SeriesRow;

impl Core {
    /// The state, in lines. Labels are said by their texts: the numbers of names and values are free to differ.
    pub(in crate::store) fn state(&self, index: &LabelIndex) -> Vec<String> {
        let Self {
            edges,
            identities,
            series,
            born,
            groups,
            skews,
            values,
            attributes,
            details,
            past,
            replaced,
            renewed,
            deleted_by,
            arrivals,
            // What follows from these.
            by_edge: _,
            by_identity: _,
            by_series: _,
            series_by_cluster: _,
            unused_clusters: _,
            start_series: _,
            stop_series: _,
            label_bytes: _,
            by_time: _,
            open: _,
            odd: _,
            received: _,
            seed: _,
            // What is not followed up yet.
            unpublished,
            changed,
            rivalled,
        } = self;
        assert!(unpublished.is_empty() && changed.is_empty() && rivalled.is_empty(), "something is not followed up");
        let mut all = vec![format!("{born} series ever")];
        all.extend(skews.state());
        all.extend(edges.state().map(|(number, row)| format!("edge {number}: {row:?}")));
        let identity = |IdentityRow { key, members: _, lapses }: &IdentityRow| format!("{key:?} {lapses}");
        all.extend(identities.state().map(|(number, row)| format!("identity {number}: {}", identity(row))));
        let text = |SeriesRow { labels, edges: _, cluster, end, hash: _, born }: &SeriesRow| {
            let mut text = format!("{cluster:?} {end:?} {born}");
            index.texts(labels, |name, value| text.extend([" ", name, "=", value]));
            text
        };
        all.extend(series.state().map(|(number, row)| format!("series {number}: {}", text(row))));
        all.push(format!("vacant {:?} {:?} {:?}", edges.vacant(), identities.vacant(), series.vacant()));
        all.extend(groups.state().chain(details.state()));
        all.push(format!("values {values:?}, attributes {:?}", attributes.state()));
        all.push(format!("past {past:?}, replaced {replaced:?}"));
        all.push(format!("renewed {renewed:?}, deleted {deleted_by:?}"));
        all.push(format!("arrivals {:?}", arrivals.iter().collect::<Vec<_>>()));
        all
    }
}
