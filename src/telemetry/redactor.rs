//! Takes secrets out of text, in every spelling that [`crate::encodings`] knows.

use crate::encodings::spellings;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use arc_swap::ArcSwapOption;
use std::{
    borrow::Cow,
    collections::BTreeSet,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use types::Secret;

/// What stands in place of a secret.
const MASK: &str = "••••";

/// Knows every secret of a panel. Clones share what they know; looking at a text takes no lock.
#[derive(Clone, Default)]
pub struct Redactor {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Every spelling of every secret. The lock also orders rebuilding.
    known: Mutex<BTreeSet<String>>,
    /// `known` has grown since `matcher` was built. Building waits for the next text, so that learning many secrets
    /// in a row costs one build.
    stale: AtomicBool,
    /// `None` until something is known.
    matcher: ArcSwapOption<AhoCorasick>,
}

impl Redactor {
    pub fn new() -> Redactor {
        Redactor::default()
    }

    /// From now on no text passes with `secret` in it. Secrets under 4 bytes are not learnt: they are found everywhere.
    pub fn learn(&self, secret: &Secret) {
        let spellings = spellings(secret.expose());
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.extend(
            spellings
                .into_iter()
                .filter(|spelling| !spelling.chars().all(|letter| MASK.contains(letter))),
        );
        if known.len() > before {
            self.shared.stale.store(true, Ordering::Release);
        }
    }

    /// `text` with `••••` in place of every secret; borrowed when there is none in it.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.shared.stale.load(Ordering::Acquire) {
            self.rebuild();
        }
        let matcher = self.shared.matcher.load();
        let hidden = match matcher.as_deref() {
            Some(matcher) => hidden(matcher, text),
            None => Vec::new(),
        };
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

    /// `stale` falls only once the new matcher is in place: whoever sees it fallen sees the matcher.
    fn rebuild(&self) {
        let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.shared.stale.load(Ordering::Acquire) {
            return;
        }
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(known.iter())
            .expect("fewer than 2^31 patterns of fewer than 2^31 bytes");
        self.shared.matcher.store(Some(Arc::new(matcher)));
        self.shared.stale.store(false, Ordering::Release);
    }
}

/// Where secrets stand, in order, those that overlap as one. All spellings are UTF-8, so a match begins and ends
/// between letters.
fn hidden(matcher: &AhoCorasick, text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = matcher.find_overlapping_iter(text).map(|found| found.range()).collect();
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
            redactor.learn(&Secret::from(*secret));
        }
        redactor
    }

    fn check(secrets: &[&str], text: &str, expected: &str) {
        assert_eq!(knowing(secrets).redact(text), expected, "{text:?} knowing {secrets:?}");
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
        redactor.learn(&Secret::from("hunter2"));
        assert_eq!(clone.redact("hunter2"), MASK);
    }

    #[test]
    fn a_thousand_secrets_take_little_memory() {
        let redactor = Redactor::new();
        for number in 0..1000_u64 {
            let word = BASE64_URL_SAFE_NO_PAD.encode((number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes().repeat(3));
            redactor.learn(&Secret::from(word));
        }
        redactor.redact("");
        let matcher = redactor.shared.matcher.load();
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
                redactor.learn(&Secret::from(*secret));
            }
            prop_assume!(!secrets.iter().any(|secret| {
                crate::encodings::spellings(secret.as_bytes()).iter().any(|spelling| text.contains(spelling))
            }));
            prop_assert!(matches!(redactor.redact(&text), Cow::Borrowed(same) if same == text));
        }
    }
}
