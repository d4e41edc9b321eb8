//! ID tokens that a forge signs for a job of its CI: no person, no browser, no nonce. GitHub Actions, GitLab CI and whatever else speaks
//! OpenID Connect Discovery 1.0.
//!
//! Looking at a token never asks its issuer for anything: keys are read beforehand and again and again, and a token that no known key
//! fits only says that they are wanted. So nobody can have the panel ask somebody, nor tell by its time whom it asks.

use crate::{
    external::is_this_machine,
    oidc::{Expected, check_good, signed_for},
    web::Web,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use egress::Egress;
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use types::{Error, OrganizationId, Result, Time, World, report};
use url::Url;

/// A key that was taken back is believed no longer than this.
const KEPT: Duration = Duration::from_secs(600);
/// Keys are read again before that.
const RENEWED: Duration = Duration::from_secs(300);
/// After a reading that failed.
const RETRIED: Duration = Duration::from_secs(60);
/// Between two readings for tokens that no known key fits.
const AGAIN: Duration = Duration::from_secs(10);
/// No reading takes longer.
const READING: Duration = Duration::from_secs(60);
/// A token is for one job: one that lasts longer is something else.
const LONGEST: i64 = 24 * 60 * 60;
/// Longer ones are not looked at.
const BYTES: usize = 16 << 10;

/// Who signs. Each organization has its issuers read for itself: what is there already, and since when, would tell whom others trust.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadIssuer {
    pub organization: OrganizationId,
    pub issuer: String,
    /// Certificates in PEM that are believed of it, beside this machine's own.
    pub authority: Option<String>,
}

/// How the last readings of an issuer's keys went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyState {
    pub read_at: Option<Time>,
    /// Why they could not be read at the last try.
    pub problem: Option<String>,
}

/// The keys of issuers that somebody trusts, in memory.
pub struct Workloads {
    world: World,
    known: Mutex<HashMap<WorkloadIssuer, Known>>,
    news: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    keys: Value,
    state: KeyState,
    begun_at: Option<Time>,
    is_reading: bool,
    /// A token came that no key fits.
    is_wanted: bool,
}

/// What a token says of the job, and what makes it unlike all others of its issuer.
#[derive(Debug, Clone)]
pub struct Workload {
    pub claims: Value,
    /// Its `jti`.
    pub id: String,
    /// It is over then.
    pub ends_at: Time,
}

impl Workloads {
    pub fn new(world: World) -> Workloads {
        Workloads {
            world,
            known: Mutex::default(),
            news: watch::Sender::new(()),
        }
    }

    /// The token's claims, if a key of the issuer that is known now signed it for `audience`, and it is good now.
    pub fn check(&self, token: &str, issuer: &WorkloadIssuer, audience: &str) -> Option<Workload> {
        let now = self.world.now();
        let mut all = self.known();
        let known = all.get_mut(issuer)?;
        let expected = Expected {
            issuer: &issuer.issuer,
            audience,
            now,
        };
        let is_fresh = known.state.read_at.is_some_and(|read_at| now.since(read_at) < KEPT);
        let signed = is_fresh.then(|| signed_for(token, &known.keys, &expected).ok()).flatten();
        let workload = signed.and_then(|claims| workload(claims, now).ok());
        known.is_wanted |= workload.is_none();
        workload
    }

    /// Which of those that are trusted should be read now; they count as being read from then on. Forgets all others.
    pub fn due(&self, trusted: &BTreeSet<WorkloadIssuer>) -> Vec<WorkloadIssuer> {
        let now = self.world.now();
        let mut all = self.known();
        all.retain(|issuer, _| trusted.contains(issuer));
        let mut due = Vec::new();
        for issuer in trusted {
            let known = all.entry(issuer.clone()).or_default();
            if known.is_due(now) {
                (known.begun_at, known.is_reading, known.is_wanted) = (Some(now), true, false);
                due.push(issuer.clone());
            }
        }
        due
    }

    /// Reads an issuer's keys. What goes wrong is kept for who asks how it is.
    ///
    /// `egress`: how far its address may lead, and that of its keys.
    pub async fn read(&self, issuer: &WorkloadIssuer, egress: &Egress) {
        let read = read_keys(&issuer.issuer, issuer.authority.as_deref(), egress).await;
        if let Some(known) = self.known().get_mut(issuer) {
            known.is_reading = false;
            match read {
                Ok(keys) => {
                    known.keys = keys;
                    known.state = KeyState {
                        read_at: Some(self.world.now()),
                        problem: None,
                    };
                }
                Err(error) => known.state.problem = Some(report(&error)),
            }
        }
        self.news.send_replace(());
    }

    /// Changes whenever keys were read.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    pub fn state(&self, issuer: &WorkloadIssuer) -> KeyState {
        self.known().get(issuer).map(|known| known.state.clone()).unwrap_or_default()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<WorkloadIssuer, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_due(&self, now: Time) -> bool {
        let Some(begun_at) = self.begun_at else { return true };
        let rest = match () {
            () if self.is_reading => READING,
            () if self.is_wanted => AGAIN,
            () if self.state.problem.is_some() => RETRIED,
            () => RENEWED,
        };
        // A clock that was put back must not hold it up either.
        begun_at > now || now.since(begun_at) >= rest
    }
}

async fn read_keys(issuer: &str, authority: Option<&str>, egress: &Egress) -> Result<Value> {
    let web = Web::new(authority, egress)?;
    let base = issuer.trim_end_matches('/');
    let address = Url::parse(&format!("{base}/.well-known/openid-configuration"));
    let document = web
        .get(&address.map_err(|_| Error::invalid("issuer", "is no address"))?, None)
        .await?;
    let wrong = |why: String| Error::unavailable(format!("the issuer {issuer}: {why}"));
    let own = document["issuer"].as_str().unwrap_or_default();
    if own != issuer {
        return Err(wrong(format!("it calls itself `{own}`")));
    }
    let keys = document["jwks_uri"].as_str().and_then(|text| Url::parse(text).ok());
    let keys = keys.filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(url)));
    web.get(&keys.ok_or_else(|| wrong("it names no https address of its keys".into()))?, None)
        .await
}

/// What a token says of itself, before anything of it is believed; fails with `Unauthenticated` for what can be said of it by
/// looking at it alone: it is not for `audience`, or not good now. So whoever made it up learns nothing from it.
pub fn claimed(token: &str, audience: &str, now: Time) -> Result<Value> {
    let claims = decoded(token).ok_or_else(|| refused("it is none"))?;
    let issuer = claims["iss"].as_str().ok_or_else(|| refused("it is none"))?;
    let expected = Expected { issuer, audience, now };
    check_good(&claims, &expected).map_err(|why| match why.contains("client") {
        true => refused(&format!("it is not for the audience {audience}")),
        false => refused(&why),
    })?;
    workload(claims, now).map(|workload| workload.claims)
}

fn decoded(token: &str) -> Option<Value> {
    if token.len() > BYTES {
        return None;
    }
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}

fn workload(claims: Value, now: Time) -> Result<Workload> {
    let ends = claims["exp"].as_f64().map_or(0, |seconds| seconds as i64);
    if ends > (now.0 / 1000).saturating_add(LONGEST) {
        return Err(refused("it lasts longer than a day"));
    }
    let id = claims["jti"].as_str().filter(|id| !id.is_empty() && id.len() <= 255);
    let id = id.ok_or_else(|| refused("it has no id (jti), so nobody could tell whether it came before"))?;
    Ok(Workload {
        id: id.to_owned(),
        ends_at: Time(ends.saturating_mul(1000)),
        claims,
    })
}

/// An issuer as people write it: https, or http on this machine, without query and end. Fails with `Invalid { field: "issuer" }`.
pub fn checked_issuer(text: &str) -> Result<String> {
    let text = text.trim();
    let wrong = || {
        Error::invalid(
            "issuer",
            "must be an https address such as https://token.actions.githubusercontent.com",
        )
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(&url));
    let is_plain = url.host_str().is_some() && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match is_safe && is_plain && text.len() <= 255 {
        true => Ok(text.to_owned()),
        false => Err(wrong()),
    }
}

fn refused(why: &str) -> Error {
    Error::Unauthenticated {
        why: format!("the ID token is not taken: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn issuers_as_people_write_them() {
        for (text, expected) in [
            (" https://gitlab.example.com ", Some("https://gitlab.example.com")),
            (
                "https://ghe.example.com/_services/token",
                Some("https://ghe.example.com/_services/token"),
            ),
            ("http://127.0.0.1:4000", Some("http://127.0.0.1:4000")),
            ("http://gitlab.example.com", None),
            ("https://a.test/?x=1", None),
            ("https://ada@a.test", None),
            ("gitlab.example.com", None),
            ("", None),
        ] {
            assert_eq!(checked_issuer(text).ok().as_deref(), expected, "{text}");
        }
    }

    const NOW: Time = Time(1_800_000_000_000);

    fn issuer(organization: &OrganizationId, address: &str) -> WorkloadIssuer {
        WorkloadIssuer {
            organization: organization.clone(),
            issuer: address.to_owned(),
            authority: None,
        }
    }

    #[test]
    fn what_can_be_said_of_a_token_by_looking_at_it() {
        let token = |claims: &Value| format!("x.{}.y", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
        let seconds = NOW.0 / 1000;
        let good = json!({"iss": "https://a.test", "aud": "https://panel.test", "iat": seconds, "exp": seconds + 300, "jti": "1"});
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            token(&claims)
        };
        let said = |token: &str| match claimed(token, "https://panel.test", NOW) {
            Ok(claims) => claims["iss"].as_str().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(said(&token(&good)), "https://a.test");
        for (token, words) in [
            (String::new(), "it is none"),
            ("a.b".into(), "it is none"),
            ("a.!.c".into(), "it is none"),
            ("x".repeat(BYTES + 1), "it is none"),
            (with("iss", json!(1)), "it is none"),
            (with("aud", json!("https://other.test")), "audience https://panel.test"),
            (with("aud", Value::Null), "audience"),
            (with("exp", json!(seconds - 3600)), "expired"),
            (with("nbf", json!(seconds + 3600)), "another time"),
            (with("exp", json!(seconds + 2 * LONGEST)), "longer than a day"),
            (with("jti", json!("")), "no id"),
        ] {
            let said = said(&token);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn when_keys_are_read() {
        let known = |begun: Option<i64>, is_reading, is_wanted, problem: Option<&str>| Known {
            begun_at: begun.map(|ago| Time(NOW.0 - ago * 1000)),
            is_reading,
            is_wanted,
            state: KeyState {
                read_at: None,
                problem: problem.map(str::to_owned),
            },
            keys: Value::Null,
        };
        for (known, expected) in [
            (known(None, false, false, None), true),
            (known(Some(299), false, false, None), false),
            (known(Some(300), false, false, None), true),
            (known(Some(9), false, true, None), false),
            (known(Some(10), false, true, None), true),
            (known(Some(59), false, false, Some("silent")), false),
            (known(Some(60), false, false, Some("silent")), true),
            (known(Some(30), true, true, None), false),
            (known(Some(60), true, false, None), true),
            (known(Some(-5), true, false, None), true),
        ] {
            assert_eq!(known.is_due(NOW), expected, "{:?} {}", known.begun_at, known.is_reading);
        }
    }

    #[test]
    fn each_organization_has_keys_of_its_own() {
        let world = World::system();
        let (one, other) = (world.id(), world.id());
        let workloads = Workloads::new(world);
        let (ours, theirs) = (issuer(&one, "https://a.test"), issuer(&other, "https://a.test"));
        let both = BTreeSet::from([ours.clone(), theirs.clone()]);
        assert_eq!(workloads.due(&BTreeSet::from([ours.clone()])), std::slice::from_ref(&ours));
        assert_eq!(
            workloads.due(&both),
            std::slice::from_ref(&theirs),
            "ours is being read, theirs is not known by that"
        );
        assert!(workloads.due(&both).is_empty());
        assert_eq!(workloads.due(&BTreeSet::new()), []);
        assert_eq!(workloads.due(&both).len(), 2, "who is trusted no more was forgotten");
    }
}
