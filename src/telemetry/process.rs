//! The metrics of the process that every Prometheus client exposes: `process_*`, read from /proc when rendered.
//! On a system without /proc they are absent.

use std::fmt;
use std::fs;
use std::str::FromStr;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric as _;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param;
use rustix::process;
use rustix::process::Resource;

/// Fields of /proc/self/stat, counted from the one after the command's name (see `proc_pid_stat(5)`).
const UTIME: usize = 11;
const STIME: usize = 12;
const START_TIME: usize = 19;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;

#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    started: Option<f64>,
}

impl Process {
    pub(super) fn new() -> Self {
        let boot = fs::read_to_string("/proc/stat")
            .ok()
            .and_then(|stat| stat.lines().find_map(|line| line.strip_prefix("btime ").and_then(|at| at.trim().parse::<f64>().ok())));
        let ticks = Stat::read().and_then(|stat| stat.field::<f64>(START_TIME));
        Self { started: boot.zip(ticks).map(|(boot, ticks)| boot + ticks / ticks_per_second()) }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(stat) = Stat::read() {
            if let (Some(user), Some(system)) = (stat.field::<f64>(UTIME), stat.field::<f64>(STIME)) {
                let seconds = ConstCounter::new((user + system) / ticks_per_second());
                let help = "Total user and system CPU time spent in seconds.";
                seconds.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?)?;
            }
            let resident = stat.field::<i64>(RESIDENT_PAGES).and_then(|pages| pages.checked_mul(i64::try_from(param::page_size()).ok()?));
            gauge(&mut encoder, "process_resident_memory_bytes", "Resident memory size in bytes.", resident)?;
            gauge(&mut encoder, "process_virtual_memory_bytes", "Virtual memory size in bytes.", stat.field(VIRTUAL_BYTES))?;
        }
        let open = fs::read_dir("/proc/self/fd").ok().and_then(|entries| i64::try_from(entries.count()).ok());
        gauge(&mut encoder, "process_open_fds", "Number of open file descriptors.", open)?;
        let most = process::getrlimit(Resource::Nofile).current.and_then(|limit| i64::try_from(limit).ok());
        gauge(&mut encoder, "process_max_fds", "Maximum number of open file descriptors.", most)?;
        if let Some(started) = self.started {
            let help = "Start time of the process since unix epoch in seconds.";
            let metric = encoder.encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?;
            ConstGauge::new(started).encode(metric)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: Option<i64>) -> fmt::Result {
    match value {
        Some(value) => ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?),
        None => Ok(()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small number such as 100")]
fn ticks_per_second() -> f64 {
    param::clock_ticks_per_second() as f64
}

struct Stat(String);

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The command's name is in parentheses and may hold spaces and parentheses itself.
        text.rsplit_once(") ").map(|(_, fields)| Self(fields.to_owned()))
    }

    fn field<T: FromStr>(&self, place: usize) -> Option<T> {
        self.0.split_ascii_whitespace().nth(place)?.parse().ok()
    }
}
