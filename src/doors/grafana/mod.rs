//! Grafana's annotations, `/api/annotations`.

pub mod wire;
