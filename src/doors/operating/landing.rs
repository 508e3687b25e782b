//! The page that says where things are.

use axum::http::HeaderValue;
use axum::http::header;
use axum::response::Response;

use crate::http::app::App;
use crate::http::html::escape;
use crate::http::html::text;

/// A page that names the endpoints.
pub(super) fn landing(app: &App) -> Response {
    let prefix = escape(app.web.link_prefix());
    let telemetry_path = escape(&app.web.telemetry_path);
    let base = app.web.external_url.as_deref().map_or_else(|| format!("http://HOST:PORT{prefix}"), escape);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>change events</title>\n<h1>change events</h1>\n\
         <p>Takes in change events and exposes them to Prometheus as timestamped samples.</p>\n\
         <ul>\n<li><a href=\"{prefix}{telemetry_path}\">{prefix}{telemetry_path}</a>: samples and own metrics\n\
         <li>{prefix}/clusters/NAME/metrics: samples of one cluster (<code>data_source_name</code>)\n\
         <li>{prefix}/api/v4/organizations/ORG/change_events: send events with PUT, list them with GET\n\
         <li>{prefix}/v1/accounts/ACCOUNT/events: the same events by the API of ApiTraffic\n\
         <li>{prefix}/api/v1/event/: and by that of ETS; {prefix}/event/ID/ draws the tree of one\n\
         <li>{prefix}/api/annotations: and by that of Grafana's annotations\n\
         <li><a href=\"{prefix}/api/openapi.json\">{prefix}/api/openapi.json</a>: all of it as an OpenAPI document\n\
         <li>{prefix}/api/v4/oauth/access_token: exchange a refresh token with POST\n\
         <li><a href=\"{prefix}/-/healthy\">{prefix}/-/healthy</a>, <a href=\"{prefix}/-/ready\">{prefix}/-/ready</a>\n</ul>\n\
         <pre>curl -X PUT {base}/api/v4/organizations/ORG/change_events \\\n  -H 'Content-Type: application/json' \\\n  \
         -d '{{\"event_name\":\"deployment\",\"event_state\":\"start\",\"attributes\":{{\"service_name\":\"api\"}}}}'</pre>\n</html>\n"
    );
    let mut response = text("text/html; charset=utf-8", page);
    let policy = HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
