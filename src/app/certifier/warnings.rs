//! Events for certificates that are about to end.

use super::{Certifier, Slot};
use std::time::Duration;
use types::{Certificate, CertificateOrigin, Fact, HostPattern, Result, Time};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Days before the end at which an event is sent; 0 is the end.
const WARNINGS: [u32; 4] = [21, 7, 2, 0];

impl Certifier {
    /// Events for what is about to end, each once.
    pub(super) async fn warn(&self) -> Result<()> {
        let store = &self.ground.store;
        let hosts = self.hosts(&self.ground.settings()?)?;
        let single = store.certificates.list()?.into_iter();
        let single = single.filter(|one| hosts.contains(&HostPattern::from(&one.host)));
        let mut all: Vec<(Slot, Certificate)> = single.map(|one| (Slot::Host(one.host.clone()), one.value)).collect();
        let shared = store.shared_certificates.list()?.into_iter();
        all.extend(shared.map(|one| (Slot::Shared(one.id.clone()), one.value.certificate)));
        for (slot, certificate) in all {
            if let Some(days) = warning(&certificate, self.ground.world.now()) {
                self.change(&slot, |certificate| certificate.warned_days = Some(days)).await?;
                let host = certificate.host.clone();
                self.tell(&certificate.host, Fact::CertificateExpiring { host, days }).await?;
            }
        }
        Ok(())
    }
}

/// The event that is due for a certificate and was not sent yet: the least of 21, 7 and 2 days, and 0 at its end. The
/// own authority's are renewed without anybody, and short ones are not warned of while most of their life is left.
fn warning(certificate: &Certificate, now: Time) -> Option<u32> {
    let (from, end) = (certificate.not_before?, certificate.not_after?);
    if certificate.origin == CertificateOrigin::Own {
        return None;
    }
    let left = end.since(now);
    let due = WARNINGS.into_iter().filter(|days| left <= DAY * *days).min()?;
    let late = left <= end.since(from) / 4;
    (late && certificate.warned_days.is_none_or(|warned| due < warned)).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::CertificateState;

    fn certificate(life_days: u32, warned: Option<u32>) -> Certificate {
        Certificate {
            host: "a.example.com".parse().expect("a host"),
            origin: CertificateOrigin::Uploaded,
            state: CertificateState::Valid,
            chain_pem: String::new(),
            key: None,
            issuer: String::new(),
            fingerprint: String::new(),
            not_before: Some(Time(0)),
            not_after: Some(Time(0).plus(DAY * life_days)),
            challenge: None,
            last_error: None,
            next_step: None,
            failures: 0,
            next_try_at: None,
            renewal: None,
            warned_days: warned,
            created_at: Time(0),
            updated_at: Time(0),
        }
    }

    #[test]
    fn the_end_is_told_three_times_and_when_it_comes() {
        for (life, left, warned, expected) in [
            (365, 30, None, None),
            (365, 21, None, Some(21)),
            (365, 20, Some(21), None),
            (365, 7, Some(21), Some(7)),
            (365, 2, Some(7), Some(2)),
            (365, 1, Some(2), None),
            (365, 0, Some(2), Some(0)),
            (365, 0, Some(0), None),
            // Nobody looked for a while: one event, for the nearest.
            (365, 1, None, Some(2)),
            // One of six days is renewed at four.
            (6, 5, None, None),
            (6, 1, None, Some(2)),
        ] {
            let now = Time(0).plus(DAY * (life - left));
            assert_eq!(
                warning(&certificate(life, warned), now),
                expected,
                "{left} of {life} days left, told {warned:?}"
            );
        }
    }
}
