//! A small blocking HTTP client: every status is an answer, a refused connection is none.

use std::time::Duration;

use serde_json::Value;

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON ({error}): {} {}", self.status, self.text))
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(20))).build().new_agent()
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<Answer> {
    let mut response = response.ok()?;
    let text = response.body_mut().with_config().limit(1 << 30).read_to_string().ok()?;
    Some(Answer { status: response.status().as_u16(), text })
}

pub(crate) fn get(url: &str) -> Option<Answer> {
    answer(agent().get(url).call())
}

/// GET with query parameters, percent-encoded here.
pub(crate) fn get_with(url: &str, parameters: &[(&str, &str)]) -> Option<Answer> {
    answer(agent().get(url).query_pairs(parameters.iter().copied()).call())
}

pub(crate) fn put(url: &str, content_type: &str, body: &[u8]) -> Option<Answer> {
    answer(agent().put(url).header("Content-Type", content_type).send(body))
}

/// POST of nothing by whoever has the token.
pub(crate) fn post_as(token: &str, url: &str) -> Option<Answer> {
    answer(agent().post(url).header("Authorization", format!("Bearer {token}")).send_empty())
}

/// Whether a GET of the URL answers 200.
pub(crate) fn is_ok(url: &str) -> bool {
    get(url).is_some_and(|answer| answer.status == 200)
}

/// The sum of all series of one metric on a page in the text format; `None` when the page has none.
pub(crate) fn metric(page: &str, name: &str) -> Option<f64> {
    let values: Vec<f64> = page
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '{']))
        .map(|rest| {
            let after_labels = rest.rsplit_once('}').map_or(rest, |(_, value)| value);
            after_labels.split_whitespace().next().unwrap().parse().unwrap()
        })
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}
