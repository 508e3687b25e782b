//! What systems call the end of a thing, as data: a row each, and the words that mean the same wherever they stand.
//!
//! Words are written in small letters; a `_` stands where a sender may write `-`, `_`, a blank or nothing.

/// The words of one system, by what they mean to whoever is on call.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// What it is called.
    pub name: &'static str,
    /// It worked.
    pub success: &'static [&'static str],
    /// It did not.
    pub failure: &'static [&'static str],
    /// It was not done, or taken back on purpose: nobody is paged, and nothing is mended by it.
    pub neutral: &'static [&'static str],
    /// It is not over, or the word does not say.
    pub undecided: &'static [&'static str],
}

const fn system(
    name: &'static str,
    success: &'static [&'static str],
    failure: &'static [&'static str],
    neutral: &'static [&'static str],
    undecided: &'static [&'static str],
) -> System {
    System { name, success, failure, neutral, undecided }
}

/// All systems whose words are known. A word counts for any sender, and stands under one meaning only.
#[rustfmt::skip]
pub const SYSTEMS: [System; 30] = [
    system("GitHub Actions", &["success"], &["failure", "timed_out", "startup_failure"], &["neutral", "cancelled", "skipped", "stale"], &["action_required"]),
    system("GitHub deployment status", &["success"], &["failure", "error"], &["inactive"], &["queued", "pending", "in_progress"]),
    system("GitLab", &["success"], &["failed"], &["canceled", "canceling", "skipped"], &["created", "waiting_for_resource", "preparing", "pending", "running", "manual", "scheduled"]),
    system("Jenkins", &["success"], &["failure"], &["aborted", "not_built"], &["unstable"]),
    system("CircleCI", &["success", "fixed"], &["failed", "error", "infrastructure_fail", "timedout", "failing"], &["canceled", "not_run", "retried", "no_tests"], &["unauthorized", "on_hold", "running", "queued"]),
    system("Buildkite", &["passed"], &["failed", "broken", "timed_out", "expired", "waiting_failed"], &["canceled", "canceling", "skipped", "not_run"], &["blocked", "finished"]),
    system("Azure Pipelines", &["succeeded"], &["failed", "partially_succeeded"], &["canceled"], &[]),
    system("Travis, Concourse, TeamCity, Bamboo", &["passed", "succeeded", "success", "successful"], &["failed", "errored", "failure", "error"], &["canceled", "aborted"], &["unknown"]),
    system("Drone, Woodpecker", &["success"], &["failure", "error", "killed"], &["skipped", "declined"], &["blocked"]),
    system("Cloud Build", &["success"], &["failure", "internal_error", "timeout", "expired"], &["cancelled"], &["queued", "working"]),
    system("CodeBuild, CodeDeploy, ECS", &["succeeded", "completed"], &["failed", "fault", "timed_out"], &["stopped"], &["in_progress", "ready"]),
    system("CloudFormation", &["create_complete", "update_complete", "delete_complete", "import_complete"], &["create_failed", "update_rollback_failed", "rollback_complete", "update_rollback_complete", "import_rollback_complete"], &[], &["create_in_progress", "update_rollback_in_progress"]),
    system("Argo CD", &["healthy", "synced", "succeeded"], &["degraded", "failed", "error"], &[], &["progressing", "suspended", "missing", "unknown", "out_of_sync", "running", "terminating"]),
    system("Argo Workflows", &["succeeded"], &["failed", "error"], &["skipped", "omitted"], &[]),
    system("Flux", &["reconciliation_succeeded"], &["reconciliation_failed", "rollback_succeeded"], &[], &["progressing"]),
    system("Spinnaker", &["succeeded"], &["terminal", "failed_continue"], &["canceled", "skipped", "stopped"], &["not_started", "running", "paused", "buffered"]),
    system("Tekton", &["succeeded", "completed"], &["failed", "pipeline_run_timeout", "task_run_timeout", "internal_error"], &["cancelled", "cancelled_run_finally", "stopped_run_finally"], &["running"]),
    system("Kubernetes", &["complete", "completed", "succeeded"], &["failed", "backoff_limit_exceeded", "deadline_exceeded", "oom_killed", "error", "evicted", "crash_loop_back_off", "image_pull_back_off"], &[], &["suspended", "pending", "running", "unknown"]),
    system("Helm", &["deployed"], &["failed"], &["superseded", "uninstalled"], &["pending_install", "pending_upgrade", "pending_rollback"]),
    system("Terraform", &["applied", "planned_and_finished"], &["errored", "policy_soft_failed"], &["discarded", "canceled", "force_canceled"], &[]),
    system("Heroku, Vercel, Netlify", &["succeeded"], &["failed", "error", "expired"], &["canceled"], &["pending", "building", "queued"]),
    system("Harness", &["success"], &["failed", "errored", "expired", "auto_aborted"], &["aborted", "approval_rejected"], &["ignore_failed"]),
    system("Octopus, Rundeck", &["success", "succeeded"], &["failed", "timed_out", "timedout", "failed_with_retry"], &["canceled", "aborted"], &[]),
    system("Airflow, Dagster", &["success"], &["failed", "upstream_failed", "failure"], &["skipped", "canceled"], &[]),
    system("Nomad", &["successful"], &["failed"], &["cancelled"], &["paused", "blocked"]),
    system("Datadog, CDEvents, OpenTelemetry", &["success", "pass", "succeeded"], &["failed", "fail", "error", "failure"], &["cancel", "skip"], &[]),
    system("ETS", &["success"], &["fail"], &[], &["pending"]),
    system("Last9", &["success", "succeeded"], &["failure", "failed", "terminal"], &["cancelled", "aborted"], &["unstable"]),
    system("change-events exec", &["success"], &["failure"], &["cancelled"], &[]),
    system("Signals", &[], &["sighup", "sigint", "sigquit", "sigill", "sigtrap", "sigabrt", "sigbus", "sigfpe", "sigkill", "sigusr1", "sigsegv", "sigusr2", "sigpipe", "sigalrm", "sigterm"], &[], &[]),
];

/// What is a success in `deployment_status`, and undecided elsewhere: Vercel's and Netlify's `READY`, and `finished`.
pub const OF_A_DEPLOYMENT: [&str; 2] = ["ready", "finished"];

/// What a value that begins so has not decided.
pub const UNDECIDED_BEGINNING: &str = "pending";
/// What a value that ends so has not decided.
pub const UNDECIDED_END: &str = "in_progress";
/// A value that holds one of these as a whole word is a failure.
#[rustfmt::skip]
pub const FAILURES: [&str; 23] = [
    "fail", "failed", "failing", "failure", "error", "errored", "fault", "timeout", "timed_out", "roll_back", "rolled_back", "terminal",
    "killed", "expired", "exceeded", "degraded", "crash", "crashed", "evicted", "oom", "oom_killed", "broken", "unhealthy",
];
/// One that ends so is a failure, whatever stands before.
pub const FAILURE_ENDS: [&str; 2] = ["failed", "error"];
/// A value that holds one of these as a whole word is neutral.
#[rustfmt::skip]
pub const NEUTRALS: [&str; 14] = [
    "cancel", "canceled", "cancelled", "abort", "aborted", "skip", "skipped", "reject", "rejected", "declined", "discarded", "superseded",
    "inactive", "not_run",
];
/// A value that is one of these is a success.
#[rustfmt::skip]
pub const SUCCESSES: [&str; 16] = [
    "ok", "pass", "passed", "success", "successful", "succeeded", "complete", "completed", "deployed", "done", "healthy", "applied",
    "fixed", "synced", "green", "0",
];
/// One that ends so is a success, whatever stands before.
pub const SUCCESS_END: &str = "succeeded";
/// What says by itself how something ended, also as a word without an attribute, such as a tag. Others may be about something
/// else there: `green` is a colour, `error` is one in any case.
#[rustfmt::skip]
pub(super) const PLAIN: [&str; 19] = [
    "success", "succeeded", "successful", "pass", "passed", "done", "complete", "completed", "deployed", "fail", "failed", "failure", "error",
    "errored", "timed_out", "canceled", "cancelled", "aborted", "skipped",
];
