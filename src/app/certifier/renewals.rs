//! When the authority wants a certificate renewed (RFC 9773).

use super::{Certifier, Wanted, account::Authority};
use std::time::Duration;
use types::{CertificateOrigin, CertificateState, Renewal, Result, Time};

/// How often the authority is asked when to renew, where it says nothing of that, or nothing of use (RFC 9773, 4.3.3).
const ASK_EVERY: Duration = Duration::from_secs(6 * 3600);

impl Certifier {
    /// Whether it is time to ask when this one is to be renewed.
    pub(super) fn asks(&self, wanted: &Wanted, now: Time) -> bool {
        let certificate = &wanted.certificate;
        let issued = certificate.origin == CertificateOrigin::Acme && certificate.state == CertificateState::Valid;
        let next = match (&certificate.renewal, self.asked.get(&wanted.slot)) {
            (Some(renewal), _) => renewal.ask_at,
            (None, Some(asked)) => asked.plus(ASK_EVERY),
            (None, None) => now,
        };
        issued && next <= now
    }

    /// Asks the authority when to renew (RFC 9773), and moves the next try there.
    pub(super) async fn ask(&mut self, wanted: &Wanted, authority: &Authority) -> Result<()> {
        let (now, share) = (self.ground.world.now(), self.ground.world.share());
        self.asked.insert(wanted.slot.clone(), now);
        let answered = authority.client.renewal(&wanted.certificate.chain_pem).await;
        if let Err(error) = &answered {
            tracing::warn!("asking when to renew {}: {error}", wanted.words());
        }
        let Ok(Some(window)) = answered else {
            // What it said before holds, and it is not asked in every turn.
            return self
                .change(&wanted.slot, |certificate| {
                    if let Some(known) = &mut certificate.renewal {
                        known.ask_at = now.plus(ASK_EVERY);
                    }
                })
                .await;
        };
        self.change(&wanted.slot, |certificate| {
            let known = certificate
                .renewal
                .is_some_and(|known| (known.from, known.to) == (window.from, window.to));
            if !known {
                certificate.next_try_at = Some(acme::renew_within(window.from, window.to, share));
            }
            certificate.renewal = Some(Renewal {
                from: window.from,
                to: window.to,
                ask_at: now.plus(window.ask_after),
            });
        })
        .await
    }
}
