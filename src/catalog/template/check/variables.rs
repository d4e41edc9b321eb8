//! The variables of a template, what is made of them, and where they are used.

use super::Checker;
use crate::template::{Alphabet, Asked, AskedKind, Values, derived_from, hashes::FUNCTIONS, values::MEMORY};
use regex::Regex;
use std::collections::BTreeSet;

impl Checker<'_> {
    pub(super) fn variables(&mut self) {
        let template = self.template;
        let mut seen = BTreeSet::from(["app".to_owned()]);
        if template.main.web {
            seen.insert("url".to_owned());
            let first = template.variables.first();
            self.unless(
                first.is_some_and(|first| first.name == "domain" && first.kind == AskedKind::Domain),
                "the first variable must be `domain` of type domain",
            );
        } else {
            self.unless(
                template.variables.iter().all(|asked| asked.kind != AskedKind::Domain),
                "main.web is false, so nothing leads to it and it asks for no domain",
            );
        }
        for (index, asked) in template.variables.iter().enumerate() {
            let name = &asked.name;
            let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
                && name.len() <= 40;
            self.unless(
                fits,
                format!("the variable `{name}` must be of a-z, 0-9 and _, with a letter first"),
            );
            self.unless(seen.insert(name.clone()), format!("the variable `{name}` is there twice"));
            self.unless(
                name != MEMORY,
                format!("no variable may be called `{name}`: it is the size of the main service"),
            );
            self.unless(
                asked.kind != AskedKind::Domain || index == 0,
                format!("`{name}`: only the first variable may be the domain"),
            );
            self.one_variable(asked);
        }
        for derived in &template.derived {
            let known = seen.clone();
            for used in names_in(&derived.value) {
                self.unless(
                    known.contains(&used),
                    format!("derived `{}` uses `{used}`, which is not there before it", derived.name),
                );
            }
            self.unless(
                seen.insert(derived.name.clone()),
                format!("the name `{}` is there twice", derived.name),
            );
        }
        let texts = [&template.first_login, &template.upgrade_notes, &template.differs];
        for text in texts.into_iter().flatten().chain([&template.details]) {
            for used in names_in(text) {
                self.unless(
                    seen.contains(&used),
                    format!("a text uses `{{{{ {used} }}}}`, which is no variable"),
                );
            }
        }
        for step in &template.post_install {
            self.unless(!step.command.is_empty(), "a step of post_install has no command");
            for used in step.command.iter().flat_map(|word| names_in(word)) {
                self.unless(
                    seen.contains(&used),
                    format!("post_install uses `{{{{ {used} }}}}`, which is no variable"),
                );
            }
        }
    }

    fn one_variable(&mut self, asked: &Asked) {
        let name = &asked.name;
        let is_secret = asked.is_secret();
        self.unless(
            is_secret || (asked.length.is_none() && asked.alphabet.is_none()),
            format!("`{name}`: length and alphabet are for secrets and passwords"),
        );
        let is_words = asked.alphabet == Some(Alphabet::Words);
        let least = if is_words { 3 } else { 8 };
        self.unless(
            asked.length.is_none_or(|length| (least..=256).contains(&length)),
            format!("`{name}`: length must be {least} to 256"),
        );
        self.unless(
            asked.generate.is_none() || is_secret,
            format!("`{name}`: generate is for secrets and passwords"),
        );
        self.unless(
            asked.generate != Some(false) || (asked.length.is_none() && asked.alphabet.is_none()),
            format!("`{name}`: length and alphabet are for what is generated"),
        );
        self.unless(
            !is_secret || asked.default.is_none(),
            format!("`{name}`: a secret has no default, it is generated"),
        );
        self.unless(
            (asked.kind == AskedKind::Enum) != asked.options.is_empty(),
            format!("`{name}`: options are for enum, and needed there"),
        );
        self.unless(
            asked.pattern.is_none() || asked.kind == AskedKind::Text,
            format!("`{name}`: pattern is for text"),
        );
        self.unless(
            !asked.must_accept || asked.kind == AskedKind::Boolean,
            format!("`{name}`: must_accept is for boolean"),
        );
        self.unless(
            !asked.must_accept || (asked.default.is_none() && asked.required != Some(false)),
            format!("`{name}`: what must be accepted is said by a person, so it has no default and is not left out"),
        );
        if let Some(pattern) = &asked.pattern {
            self.unless(
                Regex::new(pattern).is_ok(),
                format!("`{name}`: the pattern is not a regular expression"),
            );
        }
        self.unless(
            asked.required != Some(true) || asked.default.is_none(),
            format!("`{name}`: what has a default is not required"),
        );
        if let Some(default) = asked.default_text()
            && let Err(why) = asked.accepts(&default)
        {
            self.say(format!("`{name}`: its default {why}"));
        }
        if asked.kind != AskedKind::Domain {
            self.unless(
                asked.title.as_ref().is_some_and(|title| !title.trim().is_empty()),
                format!("`{name}` has no title"),
            );
        }
    }

    pub(super) fn unused(&mut self, values: &Values) {
        let template = self.template;
        let mut used: BTreeSet<String> = values.used().into_iter().collect();
        self.unless(
            template.main.web || !used.contains("url"),
            "main.web is false, so `{{ url }}` is empty",
        );
        let texts = template
            .first_login
            .iter()
            .cloned()
            .chain(template.post_install.iter().flat_map(|step| step.command.clone()));
        used.extend(texts.flat_map(|text| names_in(&text)));
        let names = template
            .variables
            .iter()
            .map(|asked| &asked.name)
            .chain(template.derived.iter().map(|derived| &derived.name));
        for name in names {
            self.unless(name == "domain" || used.contains(name), format!("`{name}` is never used"));
        }
    }
}

/// Names of variables in the `{{ … }}` of a text.
pub(in crate::template) fn names_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((expression, next)) = after.split_once("}}") else { break };
        names.extend(derived_from(expression.trim()));
        rest = next;
    }
    names.retain(|name| !FUNCTIONS.iter().any(|(function, _)| function == name));
    names
}
