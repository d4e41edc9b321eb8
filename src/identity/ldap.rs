//! LDAP (RFC 4511) and Active Directory: the entry of a person is searched for, then bound as with their password. What
//! somebody types is escaped (RFC 4515), an empty password is never sent (RFC 4513, section 5.1.2: it would succeed), and
//! nothing secret goes without TLS but to this machine.

use crate::external::{Finding, Person, is_this_machine, tls};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, ldap_escape};
use std::{sync::Arc, time::Duration};
use types::{Error, Result, Secret, innermost};
use url::Url;

const CONNECTING: Duration = Duration::from_secs(5);
const ANSWERING: Duration = Duration::from_secs(10);
/// Groups of one person that are looked at.
const GROUPS: i32 = 2000;
/// What stands for what somebody types, in a filter.
const TYPED: &str = "{user}";
/// What stands for the name of the entry that was found, in a filter of groups.
const ENTRY: &str = "{dn}";
/// Names of an entry that stay when it is renamed: RFC 4530, 389 Directory Server, Active Directory.
const LASTING: [&str; 3] = ["entryUUID", "nsUniqueId", "objectGUID"];

/// A directory and how to look into it.
#[derive(Clone)]
pub struct Directory {
    /// `ldaps://HOST[:PORT]`, or `ldap://` with `start_tls`.
    pub url: Url,
    pub start_tls: bool,
    /// More authorities to believe, in PEM.
    pub authority: Option<String>,
    /// Who searches; `None`: anybody may.
    pub bind: Option<(String, Secret)>,
    /// Below which people are.
    pub base: String,
    /// Finds the one entry of a person: `(&(objectClass=person)(uid={user}))`.
    pub filter: String,
    pub email_attribute: String,
    pub name_attribute: String,
    /// The attribute of a person with their groups, such as `memberOf`.
    pub groups_attribute: Option<String>,
    /// Below which groups are, and what finds those of a person: `(&(objectClass=groupOfNames)(member={dn}))`.
    pub groups: Option<(String, String)>,
}

/// What came of showing a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    Right(Person),
    /// There is no such person, or several, or the password is not theirs: not told apart.
    Wrong,
}

impl Directory {
    /// Fails with `Invalid` for the field that cannot be used.
    pub fn check(&self) -> Result<()> {
        match (self.url.scheme(), self.start_tls) {
            ("ldaps", false) | ("ldap", true) => {}
            ("ldaps", true) => return Err(Error::invalid("start_tls", "is for ldap:// only; ldaps:// has TLS from the start")),
            ("ldap", false) if is_this_machine(&self.url) => {}
            ("ldap", false) => return Err(Error::invalid("start_tls", "must be on: passwords do not travel without TLS")),
            _ => return Err(Error::invalid("url", "must begin with ldaps:// or ldap://")),
        }
        if self.url.host_str().is_none_or(str::is_empty) {
            return Err(Error::invalid("url", "names no host"));
        }
        if !self.filter.contains(TYPED) {
            return Err(Error::invalid(
                "filter",
                format!("must hold {TYPED}, in whose place the typed name is put"),
            ));
        }
        is_filter("filter", &self.filter)?;
        if let Some((_, filter)) = &self.groups {
            if !filter.contains(ENTRY) && !filter.contains(TYPED) {
                return Err(Error::invalid("group_filter", format!("must hold {ENTRY} or {TYPED}")));
            }
            is_filter("group_filter", filter)?;
        }
        tls(self.authority.as_deref()).map(drop)
    }

    /// Whether this is somebody's name and password. Fails with `Unavailable` when the directory does not answer as it
    /// should.
    pub async fn show(&self, user: &str, password: &Secret) -> Result<Shown> {
        let Some(password) = password.expose_str().filter(|text| !text.is_empty()) else {
            return Ok(Shown::Wrong);
        };
        if user.trim().is_empty() || user.len() > 256 {
            return Ok(Shown::Wrong);
        }
        let (this, user, password) = (self.clone(), user.trim().to_owned(), Secret::from(password));
        contained(async move {
            let mut ldap = this.open().await?;
            let Some((dn, person)) = this.find(&mut ldap, &user).await? else {
                return Ok(Shown::Wrong);
            };
            let answer = ldap
                .with_timeout(ANSWERING)
                .simple_bind(&dn, password.expose_str().unwrap_or_default())
                .await;
            let _ = ldap.unbind().await;
            match answer.map_err(|error| this.unavailable(&error))?.rc {
                0 => Ok(Shown::Right(person)),
                // Invalid credentials; an account that is locked or expired says so with these two.
                49 | 53 | 19 => Ok(Shown::Wrong),
                code => Err(Error::unavailable(format!(
                    "{} answers the sign-in with the code {code}",
                    named(&this.url)
                ))),
            }
        })
        .await
    }

    /// Somebody as they are now, without their password; `None`: they are not there any more.
    pub async fn look_up(&self, user: &str) -> Result<Option<Person>> {
        let (this, user) = (self.clone(), user.to_owned());
        contained(async move {
            let mut ldap = this.open().await?;
            let found = this.find(&mut ldap, &user).await?;
            let _ = ldap.unbind().await;
            Ok(found.map(|(_, person)| person))
        })
        .await
    }

    /// Tries what can be tried without a person; with a name, also what is found of them.
    pub async fn test(&self, user: Option<&str>) -> Vec<Finding> {
        if let Err(error) = self.check() {
            return vec![Finding::bad("settings", error.to_string())];
        }
        let (this, user) = (self.clone(), user.map(str::to_owned));
        let tried = contained(async move { Ok(this.try_all(user.as_deref()).await) }).await;
        tried.unwrap_or_else(|error| vec![Finding::bad("connection", error.to_string())])
    }

    async fn try_all(&self, user: Option<&str>) -> Vec<Finding> {
        let mut ldap = match self.connect().await {
            Ok(ldap) => ldap,
            Err(error) => return vec![Finding::bad("connection", error.to_string())],
        };
        let how = if self.url.scheme() == "ldaps" || self.start_tls {
            "with TLS"
        } else {
            "on this machine, without TLS"
        };
        let mut findings = vec![Finding::good("connection", format!("{} answers, {how}", named(&self.url)))];
        if let Err(error) = self.bind(&mut ldap).await {
            findings.push(Finding::bad("search account", error.to_string()));
            return findings;
        }
        findings.push(match &self.bind {
            Some((dn, _)) => Finding::good("search account", format!("{dn} is let in")),
            None => Finding::good("search account", "none: searching without signing in"),
        });
        let searched = ldap
            .with_timeout(ANSWERING)
            .search(&self.base, Scope::Base, "(objectClass=*)", vec!["1.1"])
            .await
            .and_then(ldap3::SearchResult::success);
        findings.push(match searched {
            Ok((entries, _)) if !entries.is_empty() => Finding::good("base", format!("{} is there", self.base)),
            Ok(_) => Finding::bad("base", format!("{} is not there, or may not be seen", self.base)),
            Err(error) => Finding::bad("base", format!("{}: {}", self.base, words(&error))),
        });
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            findings.push(match self.find(&mut ldap, user).await {
                Ok(Some((dn, person))) => Finding::good(
                    "person",
                    format!(
                        "{dn}, {}, {}",
                        person.email.as_deref().unwrap_or("without a mail address"),
                        match person.groups.len() {
                            0 => "in no group".to_owned(),
                            count => format!(
                                "in {count} groups: {}",
                                person.groups.iter().take(10).cloned().collect::<Vec<_>>().join("; ")
                            ),
                        }
                    ),
                ),
                Ok(None) => Finding::bad("person", format!("`{user}` finds nobody, or several: see the filter")),
                Err(error) => Finding::bad("person", error.to_string()),
            });
        }
        let _ = ldap.unbind().await;
        findings
    }

    async fn open(&self) -> Result<Ldap> {
        let mut ldap = self.connect().await?;
        self.bind(&mut ldap).await?;
        Ok(ldap)
    }

    async fn connect(&self) -> Result<Ldap> {
        self.check()?;
        let settings = LdapConnSettings::new()
            .set_conn_timeout(CONNECTING)
            .set_starttls(self.start_tls)
            .set_config(Arc::new(tls(self.authority.as_deref())?));
        let opened = LdapConnAsync::from_url_with_settings(settings, &self.url).await;
        let (connection, ldap) = opened.map_err(|error| self.unavailable(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!("a connection to a directory ended: {error}");
            }
        });
        Ok(ldap)
    }

    async fn bind(&self, ldap: &mut Ldap) -> Result<()> {
        let Some((dn, password)) = &self.bind else { return Ok(()) };
        let password = password.expose_str().unwrap_or_default();
        let answer = ldap.with_timeout(ANSWERING).simple_bind(dn, password).await;
        match answer.map_err(|error| self.unavailable(&error))?.rc {
            0 => Ok(()),
            49 => Err(Error::unavailable(format!(
                "{} does not let {dn} in: wrong name or password",
                named(&self.url)
            ))),
            code => Err(Error::unavailable(format!(
                "{} does not let {dn} in: code {code}",
                named(&self.url)
            ))),
        }
    }

    /// The one entry of somebody, and who they are.
    async fn find(&self, ldap: &mut Ldap, user: &str) -> Result<Option<(String, Person)>> {
        let filter = self.filter.replace(TYPED, &ldap_escape(user));
        let mut attributes = vec![self.email_attribute.as_str(), &self.name_attribute];
        attributes.extend(LASTING);
        attributes.extend(self.groups_attribute.as_deref());
        ldap.with_search_options(SearchOptions::new().sizelimit(2));
        let found = ldap
            .with_timeout(ANSWERING)
            .search(&self.base, Scope::Subtree, &filter, attributes)
            .await;
        let found = found.map_err(|error| self.unavailable(&error))?;
        // More than were asked for: not one person.
        if found.1.rc == 4 {
            return Ok(None);
        }
        let (entries, _) = found.success().map_err(|error| self.unavailable(&error))?;
        let Ok([entry]) = <[_; 1]>::try_from(entries) else {
            return Ok(None);
        };
        let entry = SearchEntry::construct(entry);
        let mut person = self.person(&entry);
        if let Some((base, filter)) = &self.groups {
            let filter = filter
                .replace(ENTRY, &ldap_escape(entry.dn.as_str()))
                .replace(TYPED, &ldap_escape(user));
            ldap.with_search_options(SearchOptions::new().sizelimit(GROUPS));
            let groups = ldap
                .with_timeout(ANSWERING)
                .search(base, Scope::Subtree, &filter, vec!["1.1"])
                .await;
            let (groups, _) = groups
                .and_then(ldap3::SearchResult::success)
                .map_err(|error| self.unavailable(&error))?;
            person
                .groups
                .extend(groups.into_iter().map(|group| SearchEntry::construct(group).dn));
        }
        Ok(Some((entry.dn, person)))
    }

    fn person(&self, entry: &SearchEntry) -> Person {
        let all = |name: &str| {
            let found = entry.attrs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, values)| values.as_slice()).unwrap_or_default()
        };
        let bytes = |name: &str| {
            let found = entry.bin_attrs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let hex = |value: &Vec<u8>| value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            found.and_then(|(_, values)| values.first()).map(hex)
        };
        let lasting = LASTING.iter().find_map(|name| all(name).first().cloned().or_else(|| bytes(name)));
        let groups = self.groups_attribute.as_deref().map(all).unwrap_or_default();
        Person {
            subject: lasting.unwrap_or_else(|| entry.dn.to_lowercase()),
            email: all(&self.email_attribute).first().map(|text| text.trim().to_owned()),
            // Whoever keeps the directory says so.
            email_verified: true,
            name: all(&self.name_attribute).first().cloned(),
            groups: groups.to_vec(),
            session: None,
            until: None,
            refresh: None,
        }
    }

    fn unavailable(&self, error: &LdapError) -> Error {
        Error::unavailable(format!("the directory {} cannot be used: {}", named(&self.url), words(error)))
    }
}

/// Runs it apart: the library panics on answers that no directory gives.
async fn contained<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(_) => Err(Error::unavailable("the directory gave an answer that cannot be read")),
    }
}

fn is_filter(field: &str, filter: &str) -> Result<()> {
    let filled = filter.replace(TYPED, "x").replace(ENTRY, "x");
    match ldap3::parse_filter(filled.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid(field, "is no LDAP filter (RFC 4515), such as (uid={user})")),
    }
}

fn named(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

fn words(error: &LdapError) -> String {
    match error {
        LdapError::LdapResult { result } if result.rc == 32 => "it has no such entry".to_owned(),
        LdapError::LdapResult { result } => format!("code {} {}", result.rc, result.text),
        LdapError::Timeout { .. } => "it does not answer in time".to_owned(),
        error => innermost(error),
    }
}

/// Whether a group of a directory is meant by what an administrator wrote: its whole name, or its first part alone.
pub fn is_group(group: &str, written: &str) -> bool {
    let first = group.split(',').next().unwrap_or_default();
    let name = first.split_once('=').map_or(first, |(_, name)| name);
    group.eq_ignore_ascii_case(written) || name.trim().eq_ignore_ascii_case(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(url: &str) -> Directory {
        Directory {
            url: Url::parse(url).expect("an address"),
            start_tls: false,
            authority: None,
            bind: None,
            base: "dc=example,dc=com".into(),
            filter: "(&(objectClass=person)(uid={user}))".into(),
            email_attribute: "mail".into(),
            name_attribute: "cn".into(),
            groups_attribute: None,
            groups: None,
        }
    }

    #[test]
    fn passwords_travel_with_tls_or_not_at_all() {
        let with = |url: &str, start_tls: bool| Directory {
            start_tls,
            ..directory(url)
        };
        for (url, start_tls, field) in [
            ("ldaps://ldap.example.com", false, ""),
            ("ldap://ldap.example.com", true, ""),
            ("ldap://127.0.0.1:3890", false, ""),
            ("ldap://localhost:3890", false, ""),
            ("ldap://ldap.example.com", false, "start_tls"),
            ("ldaps://ldap.example.com", true, "start_tls"),
            ("https://ldap.example.com", false, "url"),
            ("ldapi://%2fvar%2frun%2fslapd", false, "url"),
            ("ldaps:///", false, "url"),
        ] {
            match with(url, start_tls).check() {
                Ok(()) => assert_eq!(field, "", "{url}"),
                Err(error) => assert!(error.to_string().contains(field) && !field.is_empty(), "{url}: {error}"),
            }
        }
    }

    #[test]
    fn filters_are_read_before_they_are_kept() {
        for (filter, good) in [
            ("(uid={user})", true),
            ("(|(uid={user})(mail={user}))", true),
            ("(uid=ada)", false),
            ("(uid={user}", false),
            ("uid={user})(", false),
        ] {
            let one = Directory {
                filter: filter.into(),
                ..directory("ldaps://ldap.example.com")
            };
            assert_eq!(one.check().is_ok(), good, "{filter}");
        }
        let groups = |filter: &str| Directory {
            groups: Some(("ou=groups".into(), filter.into())),
            ..directory("ldaps://ldap.example.com")
        };
        assert!(groups("(member={dn})").check().is_ok());
        assert!(groups("(member=all)").check().is_err());
    }

    #[test]
    fn groups_by_their_whole_name_or_the_first_part() {
        let group = "CN=Site Admins,OU=Groups,DC=example,DC=com";
        assert!(is_group(group, "site admins"));
        assert!(is_group(group, "cn=site admins,ou=groups,dc=example,dc=com"));
        for other in ["Groups", "admins", "", "cn=site admins"] {
            assert!(!is_group(group, other), "{other}");
        }
        assert!(is_group("developers", "Developers"));
    }

    #[tokio::test]
    async fn an_empty_password_is_never_sent() {
        let nowhere = directory("ldap://127.0.0.1:1");
        for (user, password) in [("ada", ""), ("", "secret"), ("  ", "secret")] {
            assert_eq!(nowhere.show(user, &password.into()).await.expect("without asking"), Shown::Wrong);
        }
        assert!(matches!(
            nowhere.show("ada", &"secret".into()).await,
            Err(Error::Unavailable { .. })
        ));
        let found = nowhere.test(None).await;
        assert!(!found[0].ok && found[0].what == "connection", "{found:?}");
    }
}
