//! Gathers what the rooms count into metrics: names, units, labels and a sentence each.
//!
//! The whole list of metrics is here. Each label's values are a closed set; none names an agent, a host or a task.

use std::sync::{Arc, OnceLock};

use super::VERSION;
use super::reload::Reload;
use crate::accept::ca::Ca;
use crate::call::meter::Histogram;
use crate::call::{Lease, LeaseState};
use crate::pep::Pep;
use crate::record::Follow;
use crate::telemetry::{Family, Followers, Labels, Lag, Series};
use crate::web::NoticeMeters;

/// Whom to ask.
pub(super) struct Measured {
    pub(super) pep: Arc<Pep>,
    pub(super) ca: Arc<Ca>,
    pub(super) reload: Arc<Reload>,
    /// Looks at the journal's end.
    pub(super) end: Follow,
    /// There once they are started.
    pub(super) followers: Arc<OnceLock<Arc<Followers>>>,
    /// How notices went.
    pub(super) notices: Arc<NoticeMeters>,
}

impl Measured {
    /// Everything, as of now.
    pub(super) fn families(&self) -> Vec<Family> {
        let mut all = vec![gauge("remit.build.info", "Always 1; the version is a label.", "1", {
            vec![(vec![("version", VERSION)], 1.0)]
        })];
        self.walk(&mut all);
        self.holds(&mut all);
        self.leases(&mut all);
        self.rules(&mut all);
        self.journal(&mut all);
        self.network(&mut all);
        self.export(&mut all, &self.lag());
        all
    }

    /// How far behind those are who tell others.
    pub(super) fn lag(&self) -> Vec<Lag> {
        self.followers.get().map(|followers| followers.lag()).unwrap_or_default()
    }

    fn walk(&self, all: &mut Vec<Family>) {
        let calls = self.pep.meters.calls();
        let calls = calls.map(|(class, decision, n)| (vec![("class", class), ("decision", decision)], n));
        let help = "Calls, by the class of what they would do and by what was decided.";
        all.push(sum("remit.calls", help, "{call}", calls.collect()));
        let observed = self.pep.meters.observations().map(|(decision, n)| (vec![("decision", decision)], n));
        let help = "Calls whose policies are only observed, by what these say.";
        all.push(sum("remit.observed.calls", help, "{call}", observed.collect()));
        let compared = self.pep.meters.comparisons();
        let compared =
            compared.map(|(live, candidate, n)| (vec![("live", live), ("candidate", candidate)], n));
        let help = "Calls that the candidate policies were asked about, by what those in force say and what it says.";
        all.push(sum("remit.candidate.calls", help, "{call}", compared.collect()));
        let refusals = self.pep.meters.refusals().map(|(code, n)| (vec![("code", code)], n));
        let help = "Refusals, by code; connections that were turned away and origins that failed among them.";
        all.push(sum("remit.refusals", help, "{refusal}", refusals.collect()));
        let ends = self.pep.meters.outcomes().map(|(outcome, n)| (vec![("outcome", outcome.as_str())], n));
        all.push(sum("remit.call.ends", "Ends of forwarded calls, by outcome.", "{call}", ends.collect()));
        let open = vec![(Vec::new(), number(self.pep.meters.open()))];
        all.push(gauge("remit.calls.open", "Calls that are on their way.", "{call}", open));
        let steps = self.pep.meters.steps().map(|(step, took)| (vec![("stage", step.as_str())], took));
        let help = "How long each stage of remit holds a call up; recognise waits for the agent's body where it must.";
        all.push(durations("remit.call.stage.duration", help, steps));
        let help = "From the moment a call may go out until the head of its answer is there.";
        let origin = std::iter::once((Vec::new(), self.pep.meters.origin()));
        all.push(durations("remit.origin.response.duration", help, origin));
        let tasks = vec![(Vec::new(), number(self.pep.tasks.list().len() as u64))];
        all.push(gauge("remit.tasks.open", "Tasks that are open.", "{task}", tasks));
    }

    fn holds(&self, all: &mut Vec<Family>) {
        let waiting = vec![(Vec::new(), number(self.pep.desk.waiting() as u64))];
        all.push(gauge("remit.holds.waiting", "Calls that wait for a person.", "{hold}", waiting));
        let states = self.pep.desk.counts().map(|(state, n)| (vec![("state", state)], n)).collect();
        let help = "How often holds came into each state; waiting: how often people were asked.";
        all.push(sum("remit.holds", help, "{hold}", states));
        let NoticeMeters { told, failed, dropped } = &*self.notices;
        let results = [("told", told), ("failed", failed), ("dropped", dropped)];
        let results = results.map(|(result, counter)| (vec![("result", result)], counter.count()));
        let help = "Attempts to tell people of holds ([[notify]]): told, failed (tried again), dropped (given up, or not worth telling any more).";
        all.push(sum("remit.notices", help, "{notice}", results.into()));
    }

    fn leases(&self, all: &mut Vec<Family>) {
        let leases = self.pep.leases.leases(None);
        let count = |is: &dyn Fn(&&Lease) -> bool| number(leases.iter().filter(is).count() as u64);
        let states = LeaseState::ALL
            .map(|state| (vec![("state", state.as_str())], count(&|lease| lease.state == state)));
        let help = "Leases, by state; those that are over are counted for as long as they can be shown.";
        all.push(gauge("remit.leases", help, "{lease}", states.into()));
        let now = self.pep.clock.now();
        let overdue = vec![(Vec::new(), count(&|lease| lease.is_overdue(now)))];
        let help = "Leases of tasks that are over which should be gone by now and are not.";
        all.push(gauge("remit.leases.overdue", help, "{lease}", overdue));
        let meters = &self.pep.leases.meters;
        let mints = meters.mints().map(|(result, n)| (vec![("result", result)], n)).collect();
        all.push(sum(
            "remit.lease.mints",
            "Credentials that were asked for, by what came of it.",
            "{credential}",
            mints,
        ));
        let rejected = vec![(Vec::new(), meters.rejected())];
        let help = "Answers by which a service did not take the credential of a lease.";
        all.push(sum("remit.lease.rejections", help, "{answer}", rejected));
        let failed = vec![(Vec::new(), meters.revocations_failed())];
        let help = "Attempts to take a lease back that came to nothing; they are made again.";
        all.push(sum("remit.lease.revocation.failures", help, "{attempt}", failed));
    }

    fn rules(&self, all: &mut Vec<Family>) {
        let loaded = vec![(Vec::new(), self.reload.generation())];
        let help = "How often rules were loaded since the node started, the first time included.";
        all.push(sum("remit.rules.loads", help, "{load}", loaded));
        let refused = vec![(Vec::new(), number(self.reload.has_refused().into()))];
        let help = "1 while the policies or services on disk are not fit and those before stay in force.";
        all.push(gauge("remit.rules.refused", help, "1", refused));
    }

    fn journal(&self, all: &mut Vec<Family>) {
        let commits = self.pep.meters.commits().map(|(class, took)| (vec![("class", class.as_str())], took));
        let help =
            "How long calls wait for their opening entry, by class: acts and delegations for the disk.";
        all.push(durations("remit.journal.commit.duration", help, commits));
        let end = vec![(Vec::new(), self.end.end().0)];
        all.push(sum("remit.journal.entries", "Entries in the journal, ever.", "{entry}", end));
        let failing = vec![(Vec::new(), number(self.pep.journal.failing().is_some().into()))];
        let help = "1 while the journal cannot be written and calls are refused.";
        all.push(gauge("remit.journal.failing", help, "1", failing));
    }

    fn network(&self, all: &mut Vec<Family>) {
        let mints = std::iter::once((Vec::new(), self.ca.mints()));
        all.push(durations("remit.leaf.mint.duration", "How long leaf certificates take to be made.", mints));
        let pool = self.pep.upstream.pool();
        let kept = [("http1_idle", pool.idle_http1), ("http2", pool.shared_http2)];
        let kept = kept.map(|(kind, n)| (vec![("kind", kind)], number(n)));
        let help = "Connections to origins that are kept: idle ones of HTTP/1.1, all of HTTP/2.";
        all.push(gauge("remit.pool.connections", help, "{connection}", kept.into()));
        let served = [("made", pool.made), ("reused", pool.reused)];
        let served = served.map(|(connection, n)| (vec![("connection", connection)], n));
        let help = "Requests to origins, by whether a connection was there.";
        all.push(sum("remit.pool.requests", help, "{request}", served.into()));
    }

    fn export(&self, all: &mut Vec<Family>, lag: &[Lag]) {
        let now = self.pep.clock.now();
        let of = |lag: &Lag| vec![("follower", lag.follower)];
        let behind = lag.iter().map(|lag| (of(lag), number(lag.entries_behind))).collect();
        let help = "Entries of the journal that the collector has not acknowledged.";
        all.push(gauge("remit.export.backlog", help, "{entry}", behind));
        let age = |lag: &Lag| lag.waiting_since.map_or(0.0, |since| now.since(since).as_secs_f64());
        let ages = lag.iter().map(|lag| (of(lag), age(lag))).collect();
        let help = "The age of the oldest entry that the collector has not acknowledged.";
        all.push(gauge("remit.export.lag", help, "s", ages));
        let spans = |result, count: fn(&Lag) -> u64| {
            lag.iter().map(move |lag| (vec![("follower", lag.follower), ("result", result)], count(lag)))
        };
        let spans =
            spans("taken", |lag| lag.spans_exported).chain(spans("rejected", |lag| lag.spans_rejected));
        let help = "Spans that the collector acknowledged, and those that it will never take.";
        all.push(sum("remit.export.spans", help, "{span}", spans.collect()));
        let failed = lag.iter().map(|lag| (of(lag), lag.requests_failed)).collect();
        let help = "Requests that the collector did not take; they are sent again.";
        all.push(sum("remit.export.failures", help, "{request}", failed));
    }
}

fn sum(name: &'static str, help: &'static str, unit: &'static str, series: Vec<(Labels, u64)>) -> Family {
    Family { name, help, unit, series: Series::Sums(series) }
}

fn gauge(name: &'static str, help: &'static str, unit: &'static str, series: Vec<(Labels, f64)>) -> Family {
    Family { name, help, unit, series: Series::Gauges(series) }
}

fn durations<'a>(
    name: &'static str,
    help: &'static str,
    series: impl Iterator<Item = (Labels, &'a Histogram)>,
) -> Family {
    let series = series.map(|(labels, took)| (labels, took.measured())).collect();
    Family { name, help, unit: "s", series: Series::Histograms(series) }
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 nobody counts to the last one")]
fn number(count: u64) -> f64 {
    count as f64
}
