//! From which country somebody signs in, where a database says so.

use crate::access::{Access, Visitor};
use store::Batch;
use types::{Actor, Fact, KnownCountries, Result, User};

impl Access {
    /// The country of an address: two letters; `None` without a database, and where it does not know.
    pub(crate) fn country(&self, address: &str) -> Result<Option<String>> {
        let Some(path) = self.security()?.countries else { return Ok(None) };
        Ok(address.parse().ok().and_then(|address| self.countries.of(&path, address)))
    }

    /// Where somebody has signed in from until now: as it was noted, else by the browsers they are known by.
    fn countries_until_now(&self, user: &User) -> Result<Vec<String>> {
        if let Some(known) = self.store.known_countries.find(user.id.as_str())? {
            return Ok(known.value.codes);
        }
        let mut codes = Vec::new();
        for device in self.devices_of(&user.id)? {
            codes.extend(self.country(&device.address)?);
        }
        Ok(codes)
    }

    /// Notes from where somebody signs in, before anything else is noted of it. The country, if it is new for them: the first
    /// one is not.
    pub(crate) async fn note_country(&self, user: &User, visitor: &Visitor) -> Result<Option<String>> {
        let Some(here) = self.country(visitor.address.as_deref().unwrap_or_default())? else {
            return Ok(None);
        };
        let mut codes = self.countries_until_now(user)?;
        let is_new = !codes.is_empty() && !codes.contains(&here);
        if !codes.contains(&here) {
            codes.push(here.clone());
        }
        codes.sort();
        codes.dedup();
        let batch = match self.store.known_countries.find(user.id.as_str())? {
            Some(known) if known.codes == codes => return Ok(None),
            Some(mut known) => {
                known.codes = codes;
                Batch::new().save(known)
            }
            None => Batch::new().insert(KnownCountries {
                user: user.id.clone(),
                organization: user.organization.clone(),
                codes,
            }),
        };
        // Of two sign-ins at once one notes it, and tells.
        match self.store.commit(batch).await {
            Ok(()) => Ok(Some(here).filter(|_| is_new)),
            Err(types::Error::Stale { .. } | types::Error::Taken { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn tell_country(&self, actor: &Actor, user: &User, country: String) {
        let fact = Fact::NewCountry {
            user: user.id.clone(),
            email: user.email.to_string(),
            country,
        };
        self.events.emit(actor, fact).await;
    }
}
