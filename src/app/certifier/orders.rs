//! One order: whether it would work, whether the budget allows it, how it ended, and when to try again.

use super::{Certifier, Ended, Wanted, account::Authority};
use crate::{certificates, challenges::Shown, forecasts};
use acme::{OrderError, Wish, budget};
use std::collections::BTreeSet;
use types::{CertificateOrigin, CertificateState, OrderFailure, OrderLog, OrderTry, OrganizationId, Result, Settings, Time};

impl Certifier {
    /// Plans, asks the budget, orders. The old certificate serves until the new one is there.
    pub(super) async fn turn(&self, wanted: &Wanted, settings: &Settings, authority: &Result<Authority, OrderError>) -> Result<Ended> {
        let ground = &self.ground;
        if !self.still_wanted(&wanted.slot)? {
            return Ok(Ended::Gone);
        }
        let authority = match authority {
            Ok(authority) => authority,
            Err(error) => return self.failed(wanted, error).await,
        };
        let Some(organization) = self.organization_of(wanted)? else {
            return Ok(Ended::Gone);
        };
        let forecast = forecasts::plan(
            ground,
            settings,
            &organization,
            &wanted.names,
            wanted.wish,
            wanted.provider.as_ref(),
            &authority.says,
        )
        .await?;
        if let Some(problem) = forecast.problem() {
            return self.waits(wanted, &problem.words, &problem.next_step, None).await;
        }
        let now = ground.world.now();
        let renewal = wanted.certificate.origin == CertificateOrigin::Acme;
        for domain in self.domains_of(wanted) {
            let log = self.log(&domain)?;
            if let Err(exhausted) = budget::allows(&log, &wanted.names, renewal, now) {
                let next = format!("nothing: the next order is sent after {}", exhausted.until);
                return self.waits(wanted, &exhausted.words, &next, Some(exhausted.until)).await;
            }
        }
        let shown = Shown {
            ground: ground.clone(),
            organization,
            provider: wanted.provider.clone(),
            names: forecasts::resolver(ground, settings),
        };
        let wish = Wish {
            names: &wanted.names,
            challenge: forecast.challenge,
            replaces: renewal.then_some(wanted.certificate.chain_pem.as_str()),
        };
        let ordered = authority.client.order(wish, &shown).await;
        self.save_account(&authority.directory, &authority.client).await?;
        self.note_order(wanted, renewal, ordered.as_ref().err().map(|error| error.kind))
            .await?;
        let issued = match ordered {
            Ok(issued) => issued,
            Err(error) => return self.failed(wanted, &error).await,
        };
        let mut record = certificates::record(
            ground,
            &wanted.certificate.host,
            &issued,
            CertificateOrigin::Acme,
            CertificateState::Valid,
            wanted.certificate.created_at,
        )?;
        record.challenge = Some(forecast.challenge);
        self.change(&wanted.slot, |certificate| *certificate = record.clone()).await?;
        Ok(Ended::Issued { issuer: issued.issuer })
    }

    pub(super) fn organization_of(&self, wanted: &Wanted) -> Result<Option<OrganizationId>> {
        if let Some(organization) = &wanted.organization {
            return Ok(Some(organization.clone()));
        }
        Ok(crate::organizations::host(&self.ground.store)?.map(|organization| organization.value.id))
    }

    /// The registered domains of its names.
    pub(super) fn domains_of(&self, wanted: &Wanted) -> BTreeSet<String> {
        wanted.names.iter().map(budget::registered_domain).collect()
    }

    pub(super) fn log(&self, domain: &str) -> Result<OrderLog> {
        let found = self.ground.store.order_logs.find(domain)?;
        Ok(found.map(|stored| stored.value).unwrap_or_else(|| OrderLog {
            domain: domain.to_owned(),
            orders: Vec::new(),
        }))
    }

    pub(super) async fn note_order(&self, wanted: &Wanted, renewal: bool, failure: Option<OrderFailure>) -> Result<()> {
        // What never reached the authority costs nothing there.
        if failure == Some(OrderFailure::Unreachable) {
            return Ok(());
        }
        let order = OrderTry {
            at: self.ground.world.now(),
            names: budget::set_of(&wanted.names),
            renewal,
            failure,
        };
        let logs = &self.ground.store.order_logs;
        for domain in self.domains_of(wanted) {
            let note = |log: &mut OrderLog| {
                budget::note(log, order.clone());
                Ok(())
            };
            match logs.update(&domain, note).await {
                Err(types::Error::NotFound { .. }) => {
                    let mut log = self.log(&domain)?;
                    budget::note(&mut log, order.clone());
                    logs.insert(log).await?;
                }
                done => drop(done?),
            }
        }
        Ok(())
    }

    /// Remembers why no order is sent, and looks again; soon at first, since people are about to change DNS.
    pub(super) async fn waits(&self, wanted: &Wanted, why: &str, next_step: &str, until: Option<Time>) -> Result<Ended> {
        let (now, share) = (self.ground.world.now(), self.ground.world.share());
        self.change(&wanted.slot, |certificate| {
            let same = certificate.state == CertificateState::Waiting && certificate.last_error.as_deref() == Some(why);
            certificate.failures = if same { certificate.failures + 1 } else { 1 };
            // One from the authority that still serves stays valid in people's eyes; the words say what is wrong.
            let serves = certificate.origin == CertificateOrigin::Acme && certificate.not_after.is_some_and(|end| end > now);
            certificate.state = if serves {
                CertificateState::Valid
            } else {
                CertificateState::Waiting
            };
            certificate.last_error = Some(why.to_owned());
            certificate.next_step = Some(next_step.to_owned()).filter(|step| !step.is_empty());
            certificate.next_try_at = Some(until.unwrap_or_else(|| now.plus(acme::look_after(certificate.failures, share))));
        })
        .await?;
        let known = wanted.certificate.last_error.as_deref() == Some(why);
        Ok(if known { Ended::Gone } else { Ended::Waiting(why.to_owned()) })
    }

    /// Remembers why it failed, and when to try again.
    pub(super) async fn failed(&self, wanted: &Wanted, error: &OrderError) -> Result<Ended> {
        let (now, share) = (self.ground.world.now(), self.ground.world.share());
        self.change(&wanted.slot, |certificate| {
            if certificate.state == CertificateState::Waiting {
                certificate.failures = 0;
            }
            certificate.failures += 1;
            certificate.state = CertificateState::Failed;
            certificate.last_error = Some(error.words.clone());
            certificate.next_step = Some(error.next_step.clone()).filter(|step| !step.is_empty());
            let wait = acme::retry_after(error.kind, certificate.failures, error.retry_after, share);
            certificate.next_try_at = Some(now.plus(wait));
        })
        .await?;
        Ok(Ended::Failed(error.words.clone()))
    }
}
