//! The form of an imported template: what another panel generates or asks for, as variables of ours.

use crate::template::{Alphabet, Asked, AskedKind, Derived};
use regex::Regex;
use std::collections::BTreeMap;

/// Variables in the order in which they were met, the domain first.
pub struct Form {
    pub asked: Vec<Asked>,
    pub derived: Vec<Derived>,
    /// What the source calls them, to our names.
    known: BTreeMap<String, String>,
}

impl Form {
    pub fn new() -> Form {
        Form {
            asked: vec![asked("domain", AskedKind::Domain, "Domain")],
            derived: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// As it stands in a text: `{{ name }}`. Asked for once under this name of the source.
    pub fn ask(&mut self, source: &str, kind: AskedKind, title: &str, more: impl FnOnce(&mut Asked)) -> String {
        if let Some(name) = self.known.get(source) {
            return format!("{{{{ {name} }}}}");
        }
        let name = self.free(source);
        let mut one = asked(&name, kind, title);
        more(&mut one);
        self.asked.push(one);
        self.known.insert(source.to_owned(), name.clone());
        format!("{{{{ {name} }}}}")
    }

    /// A generated value of this length; a person who signs in with it gets it shown.
    pub fn secret(&mut self, source: &str, length: usize, alphabet: Alphabet) -> String {
        let is_login = source.to_ascii_lowercase().contains("admin");
        let kind = if is_login { AskedKind::Password } else { AskedKind::Secret };
        self.ask(source, kind, &title_of(source), |one| {
            one.length = Some(length.clamp(8, 256));
            one.alphabet = (alphabet != Alphabet::Alnum || !is_login).then_some(alphabet);
        })
    }

    /// Random bytes in base64: as many letters, so that decoding them gives back their number.
    pub fn random_base64(&mut self, source: &str, bytes: usize) -> String {
        if let Some(name) = self.known.get(source) {
            return format!("{{{{ {name} }}}}");
        }
        let seed = self.secret(&format!("{source} seed"), bytes, Alphabet::Alnum);
        let seed = seed.trim_matches(['{', '}', ' ']).to_owned();
        self.derive(source, format!("{{{{ {seed} | base64 }}}}"))
    }

    /// A value made from others.
    pub fn derive(&mut self, source: &str, value: String) -> String {
        if let Some(name) = self.known.get(source) {
            return format!("{{{{ {name} }}}}");
        }
        let name = self.free(source);
        self.derived.push(Derived { name: name.clone(), value });
        self.known.insert(source.to_owned(), name.clone());
        format!("{{{{ {name} }}}}")
    }

    /// An environment variable that the source leaves to whoever installs it: what it may be is seen from its name.
    pub fn by_name(&mut self, source: &str, title: Option<&str>, required: bool) -> String {
        let usual = title_of(source);
        let title = title.filter(|title| !title.trim().is_empty()).unwrap_or(&usual);
        if is_secret(source) && !is_foreign(source) {
            let shown = self.secret(source, 32, Alphabet::Alnum);
            return shown;
        }
        let kind = if is_mail(source) { AskedKind::Mail } else { AskedKind::Text };
        self.ask(source, kind, title, |one| one.required = Some(required))
    }

    pub fn has(&self, source: &str) -> bool {
        self.known.contains_key(source)
    }

    /// A name of our alphabet that is not taken.
    fn free(&self, source: &str) -> String {
        let mut base = String::new();
        for letter in source.chars() {
            match letter.to_ascii_lowercase() {
                letter @ ('a'..='z' | '0'..='9') => base.push(letter),
                _ if base.ends_with('_') => {}
                _ => base.push('_'),
            }
        }
        let base: String = base.trim_matches('_').chars().take(34).collect();
        let base = base.trim_end_matches('_');
        let base = match base.chars().next() {
            Some('a'..='z') => base.to_owned(),
            _ => format!("v_{base}").trim_end_matches('_').to_owned(),
        };
        let is_taken = |name: &str| {
            matches!(name, "app" | "url")
                || self.asked.iter().any(|one| one.name == name)
                || self.derived.iter().any(|one| one.name == name)
        };
        let mut name = base.clone();
        let mut number = 1;
        while is_taken(&name) {
            number += 1;
            name = format!("{base}_{number}");
        }
        name
    }

    /// Leaves only what `used` says is used; the domain stays.
    pub fn keep(&mut self, used: &dyn Fn(&str) -> bool) {
        while let Some(at) = self
            .derived
            .iter()
            .rposition(|one| !used(&one.name) && !is_in(&self.derived, &one.name))
        {
            self.derived.remove(at);
        }
        let derived = std::mem::take(&mut self.derived);
        self.asked
            .retain(|one| one.name == "domain" || used(&one.name) || is_in(&derived, &one.name));
        self.derived = derived;
    }
}

fn is_in(derived: &[Derived], name: &str) -> bool {
    derived.iter().any(|one| mentions(&one.value, name))
}

/// Whether an expression of a text names this variable.
pub fn mentions(text: &str, name: &str) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let (expression, next) = after.split_once("}}").unwrap_or((after, ""));
        if crate::template::derived_from(expression.trim()).iter().any(|one| one == name) {
            return true;
        }
        rest = next;
    }
    false
}

pub fn asked(name: &str, kind: AskedKind, title: &str) -> Asked {
    Asked {
        name: name.to_owned(),
        kind,
        title: Some(title.to_owned()),
        description: None,
        required: None,
        default: None,
        length: None,
        alphabet: None,
        options: Vec::new(),
        pattern: None,
        must_accept: false,
        generate: None,
    }
}

/// `DB_ROOT_PASSWORD` as "Db root password".
pub fn title_of(source: &str) -> String {
    let words: Vec<String> = source
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let title = words.join(" ");
    let mut letters = title.chars();
    match letters.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + letters.as_str(),
        None => "Value".to_owned(),
    }
}

/// Its value must not be known to others.
pub fn is_secret(name: &str) -> bool {
    fits(
        name,
        r"(?i)(passw(or)?d|passwd|(^|_)(pass|pwd)$|secret|token|(api|app|private|encryption|signing|master|session)_?key|_key$|(^|_)salt$)",
    ) && !fits(
        name,
        r"(?i)(_(file|path|user(name)?|id|length|expir[a-z]*|ttl|lifetime|enabled?|url|host|name)$|public)",
    )
}

/// Its default says that it is about secrets and none itself: a switch, such as `ALLOW_EMPTY_PASSWORD`, or a number, such as
/// `PASSWORD_RESET_HOURS`; a number for what is called a password is one.
pub fn is_setting(name: &str, default: &str) -> bool {
    fits(default, r"(?i)^(true|false|yes|no|on|off)$")
        || fits(default, r"^[0-9]+(\.[0-9]+)?$") && !fits(name, r"(?i)(passw(or)?d|passwd|pass|pwd|secret|token|key|salt)[0-9_]*$")
}

/// It comes from somewhere else, so nothing can be generated for it.
pub fn is_foreign(name: &str) -> bool {
    fits(
        name,
        r"(?i)(smtp|mail|openai|anthropic|gemini|azure|aws|s3|github|gitlab|google|facebook|twitter|linkedin|discord|slack|telegram|twilio|stripe|paypal|oauth|oidc|saml|ldap|client|licen[cs]e|cloudflare|hugging|webhook|sentry|captcha|access_?key|api_?key|bot|proxy|auth_?token|api_?token|access_?token|vapid)",
    )
}

fn is_mail(name: &str) -> bool {
    fits(name, r"(?i)(^|_)(e?mail)(_?addr(ess)?)?$") && !is_foreign(name.trim_end_matches(|letter: char| letter != '_'))
}

fn fits(name: &str, pattern: &str) -> bool {
    Regex::new(pattern).expect("a literal pattern").is_match(name)
}
