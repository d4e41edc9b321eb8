//! Whether CAA records allow an authority (RFC 8659, with the parameters of RFC 8657).

use hickory_proto::rr::RData;
use types::ChallengeKind;

/// One CAA record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caa {
    pub critical: bool,
    pub tag: String,
    pub value: String,
}

impl Caa {
    pub(crate) fn of(record: &RData) -> Option<Caa> {
        match record {
            RData::CAA(caa) => Some(Caa {
                critical: caa.issuer_critical,
                tag: caa.tag.to_ascii_lowercase(),
                value: String::from_utf8_lossy(&caa.value).into_owned(),
            }),
            _ => None,
        }
    }
}

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// What the authority calls itself; empty when that is not known.
    pub identities: &'a [String],
    pub account: &'a str,
    pub challenge: ChallengeKind,
    pub wildcard: bool,
}

/// Whether this set of records, the one nearest to the name, allows it; else why not.
pub(crate) fn permits(records: &[Caa], asker: Asker<'_>) -> Result<(), String> {
    const KNOWN: [&str; 5] = ["issue", "issuewild", "iodef", "contactemail", "contactphone"];
    if let Some(strange) = records
        .iter()
        .find(|record| record.critical && !KNOWN.contains(&record.tag.as_str()))
    {
        return Err(format!(
            "it holds the critical property `{}`, which no authority may ignore",
            strange.tag
        ));
    }
    let tagged = |tag: &str| -> Vec<&Caa> { records.iter().filter(|record| record.tag == tag).collect() };
    let mut relevant = tagged("issue");
    let wild = tagged("issuewild");
    if asker.wildcard && !wild.is_empty() {
        relevant = wild;
    }
    if relevant.is_empty() {
        return Ok(());
    }
    let mut allowed = Vec::new();
    for record in relevant {
        let mut parts = record.value.split(';').map(str::trim);
        let domain = parts.next().unwrap_or_default().to_ascii_lowercase();
        if domain.is_empty() {
            continue;
        }
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        if asker.identities.is_empty() || asker.identities.contains(&domain) {
            let value = |name: &str| {
                let found = parameters.iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.trim())
            };
            let method = value("validationmethods");
            if method.is_some_and(|methods| !methods.split(',').any(|method| method.trim() == asker.challenge.name())) {
                allowed.push(format!("{domain} by {}", method.unwrap_or_default()));
                continue;
            }
            if value("accounturi").is_some_and(|uri| !asker.account.is_empty() && uri != asker.account) {
                allowed.push(format!("{domain} for another account"));
                continue;
            }
            return Ok(());
        }
        allowed.push(domain);
    }
    Err(match allowed.as_slice() {
        [] => "it allows no authority at all".to_owned(),
        some => format!("it allows {}", some.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(records: &[(&str, &str)], wildcard: bool, challenge: ChallengeKind) -> Result<(), String> {
        let records: Vec<_> = records
            .iter()
            .map(|(tag, value)| Caa {
                critical: tag.starts_with('!'),
                tag: tag.trim_start_matches('!').to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        let identities = ["letsencrypt.org".to_owned()];
        let asker = Asker {
            identities: &identities,
            account: "https://acme.example/acct/1",
            challenge,
            wildcard,
        };
        permits(&records, asker)
    }

    #[test]
    fn records_allow_or_forbid() {
        use ChallengeKind::{Dns, Http};
        for (records, wildcard, challenge, allowed) in [
            (&[][..], false, Http, true),
            (&[("issue", "letsencrypt.org")], false, Http, true),
            (&[("issue", "LetsEncrypt.org ; x=y")], false, Http, true),
            (&[("issue", "digicert.com")], false, Http, false),
            (&[("issue", "digicert.com"), ("issue", "letsencrypt.org")], false, Http, true),
            (&[("issue", ";")], false, Http, false),
            (&[("iodef", "mailto:a@example.com")], false, Http, true),
            (&[("issuewild", ";")], false, Http, true),
            (&[("issue", "letsencrypt.org"), ("issuewild", ";")], true, Dns, false),
            (&[("issue", "letsencrypt.org")], true, Dns, true),
            (&[("issue", "letsencrypt.org; validationmethods=dns-01")], false, Http, false),
            (&[("issue", "letsencrypt.org; validationmethods=dns-01,http-01")], false, Http, true),
            (
                &[("issue", "letsencrypt.org; accounturi=https://acme.example/acct/1")],
                false,
                Http,
                true,
            ),
            (
                &[("issue", "letsencrypt.org; accounturi=https://acme.example/acct/2")],
                false,
                Http,
                false,
            ),
            (&[("!tbs", "unknown")], false, Http, false),
        ] {
            assert_eq!(check(records, wildcard, challenge).is_ok(), allowed, "{records:?} {wildcard}");
        }
        assert_eq!(
            check(&[("issue", "digicert.com")], false, Http),
            Err("it allows digicert.com".into())
        );
    }
}
