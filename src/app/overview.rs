//! What somebody wants to see first.

use crate::{
    apps::{AppView, views},
    deployments::DeploymentView,
    ground::Ground,
    job_runs,
    observed::AppState,
    servers::{ServerView, Servers},
    sight::{of, owned},
};
use std::{sync::Arc, time::Duration};
use types::{Action, Actor, App, AppJob, Certificate, CertificateState, EngineStatus, Event, Kind, Result, RunPhase, Time};

#[derive(Debug, Clone)]
pub struct Overview {
    pub servers: Vec<ServerView>,
    pub attention: Vec<Attention>,
    pub apps: Vec<AppView>,
    pub deployments: Vec<DeploymentView>,
    pub events: Vec<Event>,
    pub counts: Counts,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// True for what is broken, false for what will be.
    pub problem: bool,
    /// One plain sentence.
    pub text: String,
    /// A page of the panel.
    pub link: String,
    /// What the button says.
    pub action: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub apps: usize,
    pub running: usize,
    pub failed: usize,
    pub projects: usize,
}

#[derive(Clone)]
pub struct Overviews {
    ground: Arc<Ground>,
}

impl Overviews {
    pub(crate) fn new(ground: Arc<Ground>) -> Overviews {
        Overviews { ground }
    }

    pub async fn get(&self, actor: &Actor) -> Result<Overview> {
        actor.may_somewhere(Action::View)?;
        let ground = &self.ground;
        let apps = views(ground, actor, |app, _, _| app.trashed_at.is_none())?;
        let servers = match actor.may(Action::ViewServers) {
            Ok(()) => Servers::new(ground.clone()).list(actor).await?,
            Err(_) => Vec::new(),
        };
        let mut deployments: Vec<_> = crate::Deployments::new(ground.clone()).list(actor, None, false).await?;
        deployments.truncate(10);
        let is_bad = |app: &&AppView| matches!(app.state, AppState::Failed | AppState::Crashing | AppState::Unhealthy);
        let counts = Counts {
            apps: apps.len(),
            running: apps.iter().filter(|app| app.state == AppState::Running).count(),
            failed: apps.iter().filter(is_bad).count(),
            projects: of(ground, actor, ground.store.projects.list()?)?.len(),
        };
        let mut attention = engine_attention(&servers);
        attention.extend(apps.iter().filter_map(app_attention));
        for app in &apps {
            attention.extend(job_attention(ground, &app.app)?);
        }
        attention.extend(self.certificates(actor)?);
        attention.extend(servers.iter().filter_map(disk_attention));
        let events = ground.events.list(actor, None, false, None, 20).await?;
        Ok(Overview {
            servers,
            attention,
            apps,
            deployments,
            events,
            counts,
        })
    }

    fn certificates(&self, actor: &Actor) -> Result<Vec<Attention>> {
        let store = &self.ground.store;
        let now = self.ground.world.now();
        let mut found = Vec::new();
        for certificate in store.certificates.list()? {
            let domain = store.domains.find(certificate.host.as_str())?;
            let host = certificate.host.as_str();
            if owned(&self.ground, actor, Action::View, domain, Kind::Domain, host).is_ok() {
                let link = format!("/domains/{}/certificate", certificate.host);
                found.extend(certificate_attention(&certificate, certificate.host.as_str(), link, now));
            }
        }
        for shared in store.shared_certificates.list()? {
            if shared.organization == actor.organization
                && actor.sees_all()
                && let Some(name) = shared.names.first()
            {
                let link = "/certificates".to_owned();
                found.extend(certificate_attention(&shared.certificate, name.as_str(), link, now));
            }
        }
        Ok(found)
    }
}

fn certificate_attention(certificate: &Certificate, name: &str, link: String, now: Time) -> Option<Attention> {
    let why = certificate.last_error.as_deref().unwrap_or_default();
    let text = match (certificate.state, certificate.not_after) {
        (CertificateState::Failed, _) => format!("No certificate for {name}: {why}"),
        (CertificateState::Waiting, _) => match &certificate.next_step {
            Some(step) => format!("The certificate for {name} waits: {why}; {step}"),
            None => format!("The certificate for {name} waits: {why}"),
        },
        (_, Some(end)) if end.since(now) < Duration::from_secs(7 * 86_400) => {
            format!("The certificate for {name} ends in {} days", end.since(now).as_secs() / 86_400)
        }
        _ => return None,
    };
    Some(Attention {
        problem: certificate.state == CertificateState::Failed,
        text,
        link,
        action: "See the certificate".into(),
    })
}

fn engine_attention(servers: &[ServerView]) -> Vec<Attention> {
    let down = |server: &ServerView| match &server.engine {
        Some(EngineStatus::Down { why, fix }) => Some(Attention {
            problem: true,
            text: format!("The Docker engine of {} does not answer: {why}. {fix}", server.server.name),
            link: "/servers".into(),
            action: "See the doctor".into(),
        }),
        _ => None,
    };
    servers.iter().filter_map(down).collect()
}

fn app_attention(app: &AppView) -> Option<Attention> {
    let name = &app.app.name;
    let detail = app.state_detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let (text, tab, action) = match app.state {
        AppState::Failed => (
            format!("The deployment of {name} failed{detail}"),
            "/deployments",
            "See the deployment",
        ),
        AppState::Crashing => (format!("{name} keeps crashing{detail}"), "/logs", "See the logs"),
        AppState::Unhealthy => (format!("{name} fails its health check{detail}"), "/logs", "See the logs"),
        _ => match &app.deployment {
            Some(last) if last.phase == types::Phase::Failed => {
                let why = last.error.as_deref().unwrap_or("see its log");
                (
                    format!("The last deployment of {name} failed, the one before still serves: {why}"),
                    "/deployments",
                    "See the deployment",
                )
            }
            _ => return None,
        },
    };
    Some(Attention {
        problem: true,
        text,
        link: format!("/apps/{}{tab}", app.app.id),
        action: action.into(),
    })
}

/// Jobs whose newest run went wrong.
fn job_attention(ground: &Ground, app: &App) -> Result<Vec<Attention>> {
    let jobs = ground.store.app_jobs.prefix(&format!("{}/", app.id))?;
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let runs = job_runs::of_app(ground, &app.id)?;
    let told = |job: &AppJob| {
        let mut own = runs.iter().rev().filter(|run| run.job.as_ref() == Some(&job.id));
        let last = own.find(|run| run.phase.is_final() && !matches!(run.phase, RunPhase::Skipped | RunPhase::Cancelled))?;
        let why = last.error.as_deref().unwrap_or("see its output");
        last.phase.is_bad().then(|| Attention {
            problem: true,
            text: format!("The job {} of {} failed: {why}", job.name, app.name),
            link: format!("/apps/{}/jobs", app.id),
            action: "See the run".into(),
        })
    };
    Ok(jobs.iter().filter(|job| job.enabled).filter_map(|job| told(job)).collect())
}

fn disk_attention(server: &ServerView) -> Option<Attention> {
    let sample = server.sample.as_ref()?;
    let free = sample.disk_total_bytes.saturating_sub(sample.disk_used_bytes);
    let scarce = sample.disk_total_bytes > 0 && (free < sample.disk_total_bytes / 10 || free < 2 << 30);
    scarce.then(|| Attention {
        problem: free < 1 << 30,
        text: format!(
            "server {} has {:.1} GiB of disk left",
            server.server.name,
            free as f64 / f64::from(1 << 30)
        ),
        link: "/servers".into(),
        action: "See the server".into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use types::{CertificateOrigin, World};

    #[test]
    fn certificates_that_need_somebody() {
        let now = World::system().now();
        let told = |state, days: u64, error: Option<&str>, step: Option<&str>| {
            let certificate = Certificate {
                host: "blog.example.com".parse().unwrap(),
                origin: CertificateOrigin::Acme,
                state,
                chain_pem: String::new(),
                key: None,
                issuer: String::new(),
                fingerprint: String::new(),
                not_before: None,
                not_after: Some(now.plus(Duration::from_secs(days * 86_400))),
                challenge: None,
                last_error: error.map(str::to_owned),
                next_step: step.map(str::to_owned),
                failures: 0,
                next_try_at: None,
                renewal: None,
                warned_days: None,
                created_at: now,
                updated_at: now,
            };
            let found = certificate_attention(&certificate, "blog.example.com", "/here".into(), now);
            found.map(|attention| (attention.problem, attention.text))
        };
        let waiting = |step| told(CertificateState::Waiting, 90, Some("it has no address"), step).unwrap();
        assert_eq!(told(CertificateState::Valid, 8, None, None), None);
        assert_eq!(told(CertificateState::Pending, 90, None, None), None);
        let (problem, text) = told(CertificateState::Valid, 6, None, None).unwrap();
        assert!(!problem && text.ends_with("ends in 6 days"), "{text}");
        let (problem, text) = told(CertificateState::Failed, 90, Some("no answer"), None).unwrap();
        assert!(problem && text == "No certificate for blog.example.com: no answer", "{text}");
        assert_eq!(waiting(None).1, "The certificate for blog.example.com waits: it has no address");
        assert_eq!(
            waiting(Some("set an A record")),
            (
                false,
                "The certificate for blog.example.com waits: it has no address; set an A record".to_owned()
            )
        );
    }
}
