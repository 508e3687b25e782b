//! The query API that Prometheus and VictoriaMetrics share, with times in whole milliseconds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::http;

pub(crate) type Labels = BTreeMap<String, String>;

/// One series of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// Time in milliseconds since 1970, and value; of an instant query just one.
    pub(crate) samples: Vec<(i64, f64)>,
}

impl Series {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    pub(crate) fn times(&self) -> Vec<i64> {
        self.samples.iter().map(|sample| sample.0).collect()
    }
}

/// The answer to an instant query, now or at a time in seconds. With a range selector (`x[1h]`): the raw samples.
/// `None` when the server is not there or refuses.
pub(crate) fn instant(url: &str, query: &str, time: Option<i64>) -> Option<Vec<Series>> {
    let time = time.map(|seconds| seconds.to_string());
    let mut parameters = vec![("query", query)];
    parameters.extend(time.as_deref().map(|time| ("time", time)));
    answered(&format!("{url}/api/v1/query"), &parameters)
}

/// The answer to a range query between two times in seconds, every `step` seconds.
pub(crate) fn range(url: &str, query: &str, start: i64, end: i64, step: u32) -> Option<Vec<Series>> {
    let (start, end, step) = (start.to_string(), end.to_string(), step.to_string());
    answered(&format!("{url}/api/v1/query_range"), &[("query", query), ("start", &start), ("end", &end), ("step", &step)])
}

fn answered(url: &str, parameters: &[(&str, &str)]) -> Option<Vec<Series>> {
    let answer = http::get_with(url, parameters)?;
    assert!(answer.status != 400 && answer.status != 422, "refused {parameters:?}: {}", answer.text);
    let body = answer.json();
    let result = body.pointer("/data/result")?.as_array()?;
    Some(result.iter().map(series).collect())
}

fn series(result: &Value) -> Series {
    let samples = match result.get("values") {
        Some(many) => many.as_array().unwrap().iter().map(sample).collect(),
        None => vec![sample(&result["value"])],
    };
    Series { labels: serde_json::from_value(result["metric"].clone()).unwrap(), samples }
}

fn sample(pair: &Value) -> (i64, f64) {
    let seconds = pair[0].as_f64().unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century fit")]
    let milliseconds = (seconds * 1000.0).round() as i64;
    (milliseconds, pair[1].as_str().unwrap().parse().unwrap())
}
