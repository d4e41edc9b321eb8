//! The browsers that people have signed in with: one that is remembered needs no code of a second factor, and a new one is told.

use super::SecondFactors;
use crate::{
    access::{Access, Visitor, settled},
    sessions::Known,
};
use identity::token;
use std::time::Duration;
use store::{Batch, Stored};
use types::{Device, Error, Fact, Kind, Result, Scope, Secret, User, UserId};

/// How long a remembered browser needs no code.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);
/// How long a browser keeps the cookie by which it is known again.
pub const DEVICE: Duration = Duration::from_secs(400 * 86_400);
/// Browsers of one person that are kept; the one that was not used for longest goes.
const DEVICES: usize = 20;

/// A browser that is known.
#[derive(Debug, Clone)]
pub struct DeviceInfo {
    pub device: Device,
    /// The one that asks.
    pub current: bool,
}

impl SecondFactors {
    /// The browsers that the one who asks has signed in with, newest use first.
    pub fn devices(&self, known: &Known) -> Result<Vec<DeviceInfo>> {
        let Some(user) = known.actor.user() else { return Ok(Vec::new()) };
        let current = known.session.as_ref().and_then(|session| session.device.clone());
        let mut devices = self.access.devices_of(user)?;
        devices.sort_by_key(|device| std::cmp::Reverse(device.last_used_at));
        Ok(devices
            .into_iter()
            .map(|device| DeviceInfo {
                current: current.as_ref() == Some(&device.id),
                device: device.value,
            })
            .collect())
    }

    /// Forgets one of the own browsers: it needs a code again, and the next sign-in with it is told as a new one. A token needs the
    /// scope admin.
    pub async fn forget(&self, known: &Known, id: &str) -> Result<()> {
        let store = &self.access.store;
        let own = store.devices.find(id)?.filter(|device| known.actor.user() == Some(&device.user));
        let own = own.ok_or_else(|| Error::not_found(Kind::Device, id))?;
        known.actor.reaches(Scope::Admin)?;
        let user = self.access.person(known)?;
        store.devices.remove(own.id.as_str()).await.or_else(settled)?;
        let fact = Fact::DeviceForgotten {
            user: user.id.clone(),
            email: user.email.to_string(),
        };
        self.access.events.emit(&known.actor, fact).await;
        Ok(())
    }
}

impl Access {
    pub(crate) fn devices_of(&self, user: &UserId) -> Result<Vec<Stored<Device>>> {
        let mut devices = self.store.devices.list()?;
        devices.retain(|device| device.user == *user);
        Ok(devices)
    }

    /// Adds to `batch` that no browser of this person is trusted any more.
    pub(crate) fn end_trust(&self, mut batch: Batch, user: &UserId) -> Result<Batch> {
        for mut device in self.devices_of(user)? {
            if device.trusted_until.take().is_some() {
                batch = batch.save(device);
            }
        }
        Ok(batch)
    }

    /// The browser whose cookie this is, if it is one of this person.
    pub(crate) fn device(&self, user: &UserId, cookie: Option<&str>) -> Result<Option<Stored<Device>>> {
        let Some((id, word)) = cookie.and_then(|cookie| cookie.split_once('.')) else {
            return Ok(None);
        };
        let found = self.store.devices.find(id)?;
        Ok(found.filter(|device| device.user == *user && token::matches(word, &device.hash)))
    }

    /// Whether the password is enough in this browser.
    pub(crate) fn is_trusted(&self, device: Option<&Stored<Device>>) -> bool {
        let now = self.world.now();
        device.is_some_and(|device| device.trusted_until.is_some_and(|end| now < end))
    }

    /// Notes that this person signs in with this browser: the one that is known, or a new one with its cookie's value.
    pub(crate) async fn note_device(
        &self,
        user: &User,
        known: Option<Stored<Device>>,
        remember: bool,
        visitor: &Visitor,
    ) -> Result<(Device, Option<Secret>)> {
        let now = self.world.now();
        let trusted_until = remember.then(|| now.plus(REMEMBERED));
        if let Some(mut device) = known {
            device.agent = visitor.short_agent();
            device.address = visitor.address.clone().unwrap_or_default();
            device.last_used_at = now;
            device.trusted_until = trusted_until.or(device.trusted_until);
            match self.store.devices.save(device).await {
                Ok(saved) => return Ok((saved.value, None)),
                // Forgotten, or no longer trusted, in this moment: it is a new one then.
                Err(Error::Stale { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let word = token::word(&self.world);
        let device = Device {
            id: self.world.id(),
            organization: user.organization.clone(),
            user: user.id.clone(),
            hash: token::hash(&word),
            agent: visitor.short_agent(),
            address: visitor.address.clone().unwrap_or_default(),
            created_at: now,
            last_used_at: now,
            trusted_until,
        };
        let mut others = self.devices_of(&user.id)?;
        others.sort_by_key(|device| std::cmp::Reverse(device.last_used_at));
        for old in others.iter().skip(DEVICES - 1) {
            self.store.devices.remove(old.id.as_str()).await.or_else(settled)?;
        }
        let device = self.store.devices.insert(device).await?.value;
        let cookie = format!("{}.{word}", device.id);
        Ok((device, Some(cookie.into())))
    }
}
