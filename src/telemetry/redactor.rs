//! Takes secrets out of text, in every spelling that [`crate::encodings`] knows.
//!
//! A mask says that somebody has this secret. So what an organization reads is masked by its own secrets and the panel's own, never by
//! those of others: it could find them out by writing guesses, and would lose words of its own to them.

use crate::encodings::spellings;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    iter::once,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use types::{OrganizationId, Secret};

/// What stands in place of a secret.
const MASK: &str = "••••";

/// Knows every secret of a panel, and whose it is. Clones share what they know; looking at a text takes no lock.
#[derive(Clone, Default)]
pub struct Redactor {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The panel's own.
    own: Known,
    /// Copied when an organization is new in it, so that looking takes no lock.
    organizations: ArcSwap<HashMap<OrganizationId, Arc<Known>>>,
}

/// The secrets of one of them.
#[derive(Default)]
struct Known {
    /// Every spelling of every secret. The lock also orders rebuilding.
    spellings: Mutex<BTreeSet<String>>,
    /// `spellings` has grown since `matcher` was built. Building waits for the next text, so that learning many secrets
    /// in a row costs one build.
    stale: AtomicBool,
    /// `None` until something is known.
    matcher: ArcSwapOption<AhoCorasick>,
}

impl Redactor {
    pub fn new() -> Redactor {
        Redactor::default()
    }

    /// From now on nothing that this organization reads has `secret` in it. Secrets under 4 bytes are not learnt: they are found
    /// everywhere.
    pub fn learn(&self, whose: &OrganizationId, secret: &Secret) {
        let organizations = self.shared.organizations.load();
        if let Some(known) = organizations.get(whose) {
            return known.learn(secret);
        }
        self.shared.organizations.rcu(|all| {
            let mut all = HashMap::clone(all);
            all.entry(whose.clone()).or_default();
            all
        });
        if let Some(known) = self.shared.organizations.load().get(whose) {
            known.learn(secret);
        }
    }

    /// From now on no text at all passes with `secret` in it: it is the panel's own. Only for what nobody could guess.
    pub fn learn_own(&self, secret: &Secret) {
        self.shared.own.learn(secret);
    }

    /// `text` with `••••` in place of every secret of an organization and of the panel: for what its people read. Borrowed when
    /// there is none in it.
    pub fn redact_for<'a>(&self, whose: &OrganizationId, text: &'a str) -> Cow<'a, str> {
        let organizations = self.shared.organizations.load();
        masked(once(&self.shared.own).chain(organizations.get(whose).map(Arc::as_ref)), text)
    }

    /// The same for every secret there is: for what only those who run the panel read.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let organizations = self.shared.organizations.load();
        masked(once(&self.shared.own).chain(organizations.values().map(Arc::as_ref)), text)
    }
}

impl Known {
    fn learn(&self, secret: &Secret) {
        let spellings = spellings(secret.expose());
        let mut known = self.spellings.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.extend(
            spellings
                .into_iter()
                .filter(|spelling| !spelling.chars().all(|letter| MASK.contains(letter))),
        );
        if known.len() > before {
            self.stale.store(true, Ordering::Release);
        }
    }

    /// Where its secrets stand in `text`. All spellings are UTF-8, so a match begins and ends between letters.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        if self.stale.load(Ordering::Acquire) {
            self.rebuild();
        }
        match self.matcher.load().as_deref() {
            Some(matcher) => matcher.find_overlapping_iter(text).map(|found| found.range()).collect(),
            None => Vec::new(),
        }
    }

    /// `stale` falls only once the new matcher is in place: whoever sees it fallen sees the matcher.
    fn rebuild(&self) {
        let known = self.spellings.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.stale.load(Ordering::Acquire) {
            return;
        }
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(known.iter())
            .expect("fewer than 2^31 patterns of fewer than 2^31 bytes");
        self.matcher.store(Some(Arc::new(matcher)));
        self.stale.store(false, Ordering::Release);
    }
}

fn masked<'a, 'k>(known: impl Iterator<Item = &'k Known>, text: &'a str) -> Cow<'a, str> {
    let hidden = merged(known.flat_map(|known| known.find(text)).collect());
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut shown = 0;
    for range in hidden {
        out.push_str(&text[shown..range.start]);
        out.push_str(MASK);
        shown = range.end;
    }
    out.push_str(&text[shown..]);
    Cow::Owned(out)
}

/// In order, those that overlap as one.
fn merged(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in found {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn knowing(secrets: &[&str]) -> Redactor {
        let redactor = Redactor::new();
        for secret in secrets {
            redactor.learn(&organization("a"), &Secret::from(*secret));
        }
        redactor
    }

    fn organization(letter: &str) -> OrganizationId {
        format!("org_{}", letter.repeat(26)).parse().unwrap()
    }

    fn check(secrets: &[&str], text: &str, expected: &str) {
        let redactor = knowing(secrets);
        assert_eq!(redactor.redact(text), expected, "{text:?} knowing {secrets:?}");
        assert_eq!(
            redactor.redact_for(&organization("a"), text),
            expected,
            "{text:?} knowing {secrets:?}"
        );
        assert_eq!(redactor.redact_for(&organization("b"), text), text, "{text:?} of another one");
    }

    #[test]
    fn texts() {
        check(&[], "hunter2", "hunter2");
        check(&["hunter2"], "", "");
        check(&["hunter2"], "the password is hunter2!", "the password is ••••!");
        check(&["hunter2"], "hunter2hunter2", "••••••••");
        check(&["hunter2"], "hunter hunter 2", "hunter hunter 2");
        check(&["abc"], "abc", "abc");
        check(&["abcdef", "defghi"], "-abcdefghi-", "-••••-");
        check(&["abcd", "abcdefgh"], "abcdefgh abcde", "•••• ••••e");
        check(&["p@ss w/rd"], "postgres://u:p%40ss%20w%2Frd@db", "postgres://u:••••@db");
        check(&["p\"q\\r"], r#"{"password":"p\"q\\r"}"#, r#"{"password":"••••"}"#);
        check(&["Grüße"], "viele Grüße!", "viele ••••!");
        check(&["••••"], "••••", "••••");
    }

    #[test]
    fn basic_authentication_is_hidden_with_its_user() {
        let header = BASE64_STANDARD.encode("deploy:hunter22");
        let redacted = knowing(&["hunter22"]).redact(&header).into_owned();
        let end = header.split_at(header.len() - 6).1;
        assert!(redacted.contains(MASK) && !redacted.ends_with(end), "{redacted}");
    }

    #[test]
    fn a_clone_knows_what_is_learnt_later() {
        let redactor = Redactor::new();
        let clone = redactor.clone();
        assert!(matches!(clone.redact("hunter2"), Cow::Borrowed(_)));
        redactor.learn(&organization("a"), &Secret::from("hunter2"));
        assert_eq!(clone.redact("hunter2"), MASK);
    }

    #[test]
    fn others_learn_nothing_of_what_an_organization_keeps() {
        let (redactor, ours, theirs) = (Redactor::new(), organization("a"), organization("b"));
        redactor.learn(&ours, &Secret::from("hunter2"));
        redactor.learn(&theirs, &Secret::from("http"));
        redactor.learn_own(&Secret::from("the panel's key"));
        let text = "http hunter2 the panel's key";
        assert_eq!(redactor.redact_for(&ours, text), "http •••• ••••");
        assert_eq!(redactor.redact_for(&theirs, text), "•••• hunter2 ••••");
        assert_eq!(redactor.redact_for(&organization("c"), text), "http hunter2 ••••");
        assert_eq!(redactor.redact(text), "•••• •••• ••••");
        // What overlaps is one, whosever each is.
        redactor.learn_own(&Secret::from("ter2 the"));
        assert_eq!(redactor.redact_for(&ours, text), "http ••••");
    }

    #[test]
    fn a_thousand_secrets_take_little_memory() {
        let redactor = Redactor::new();
        for number in 0..1000_u64 {
            let word = BASE64_URL_SAFE_NO_PAD.encode((number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes().repeat(3));
            redactor.learn_own(&Secret::from(word));
        }
        redactor.redact("");
        let matcher = redactor.shared.own.matcher.load();
        let bytes = matcher.as_deref().expect("built").memory_usage();
        assert!(bytes < 24 << 20, "{bytes} bytes");
    }

    /// Printable secrets of the kinds that people have; the mask's own letter is no part of any.
    fn secret() -> impl Strategy<Value = String> {
        prop_oneof!["[a-zA-Z0-9]{4,40}", "[ -~]{4,40}", "[!-~][ -~äöüß€😀\n\t]{4,20}"]
            .prop_filter("blank", |secret| !secret.trim().is_empty())
    }

    proptest! {
        #[test]
        fn no_spelling_passes(secret in secret(), before in "[ -~]{0,7}", after in "[ -~]{0,7}", others in proptest::collection::vec(secret(), 0..3)) {
            let mut secrets = vec![secret.as_str()];
            secrets.extend(others.iter().map(String::as_str));
            let redactor = knowing(&secrets);
            let json = serde_json::to_string(&secret).unwrap();
            let spellings = [
                secret.clone(),
                BASE64_STANDARD.encode(&secret),
                BASE64_URL_SAFE_NO_PAD.encode(&secret),
                utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string(),
                json[1..json.len() - 1].to_owned(),
            ];
            for spelling in spellings {
                let redacted = redactor.redact(&format!("{before}{spelling}{after}")).into_owned();
                prop_assert!(!redacted.contains(&spelling), "{spelling:?} is in {redacted:?}");
                prop_assert!(redacted.contains(MASK));
            }
            // Inside a longer text in base64, only letters that the secret shares with its neighbours stay.
            let whole = BASE64_STANDARD.encode(format!("{before}{secret}{after}"));
            let redacted = redactor.redact(&whole).into_owned();
            let first = (before.len() * 8).div_ceil(6);
            let end = (before.len() + secret.len()) * 8 / 6;
            prop_assert!(!redacted.contains(&whole[first..end]));
        }

        #[test]
        fn other_text_is_not_touched(secrets in proptest::collection::vec("[A-Z]{6,12}", 0..4), text in "[a-z0-9 .,:/äöü]{0,200}") {
            let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let redactor = Redactor::new();
            for secret in &secrets {
                redactor.learn_own(&Secret::from(*secret));
            }
            prop_assume!(!secrets.iter().any(|secret| {
                crate::encodings::spellings(secret.as_bytes()).iter().any(|spelling| text.contains(spelling))
            }));
            prop_assert!(matches!(redactor.redact(&text), Cow::Borrowed(same) if same == text));
        }
    }
}
