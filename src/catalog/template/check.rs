//! The rules that every template of a catalog keeps: `serverkit catalog check`.

mod compose;
mod facts;
mod stack;
mod variables;
mod versions;

pub(super) use variables::names_in;

use super::{Asked, Template, Version, generated};
use types::World;

/// What breaks a rule, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// `template.yaml` or `compose.yaml`.
    pub file: &'static str,
    /// From 1; 0: the file as a whole.
    pub line: u32,
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.what),
            line => write!(f, "{}:{line}: {}", self.file, self.what),
        }
    }
}

pub(super) const TEMPLATE: &str = "template.yaml";
pub(super) const COMPOSE: &str = "compose.yaml";
/// Everything that is wrong with a template; `folder` is the name it lies under.
pub fn check(folder: &str, template: &str, compose: &str, world: &World) -> Vec<Finding> {
    checked(folder, template, compose, &|asked| generated(asked, world).unwrap_or_default())
}

/// The same with secrets that everybody knows, where the world's chance is not at hand.
pub(crate) fn findings(folder: &str, template: &str, compose: &str) -> Vec<Finding> {
    checked(folder, template, compose, &|_| "example1".to_owned())
}

fn checked(folder: &str, template: &str, compose: &str, secret: &dyn Fn(&Asked) -> String) -> Vec<Finding> {
    let template_node = match super::read(template) {
        Ok(template) => template,
        Err(notice) => {
            return vec![Finding {
                file: TEMPLATE,
                line: notice.line,
                what: notice.what,
            }];
        }
    };
    let of = |version| Checker {
        template: &template_node,
        version,
        findings: Vec::new(),
    };
    let mut checker = of(template_node.versions.first());
    checker.facts(folder);
    checker.variables();
    checker.versions(compose);
    checker.compose(compose, secret);
    for version in template_node.versions.iter().skip(1) {
        let mut other = of(Some(version));
        other.compose(compose, secret);
        // What is wrong with all of them is told once.
        other.findings.retain(|finding| !checker.findings.contains(finding));
        for finding in &mut other.findings {
            finding.what = format!("version {}: {}", version.name, finding.what);
        }
        checker.findings.append(&mut other.findings);
    }
    checker.findings.sort();
    checker.findings.dedup();
    checker.findings
}

struct Checker<'a> {
    template: &'a Template,
    /// Of whose Compose file is spoken.
    version: Option<&'a Version>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn say(&mut self, what: impl Into<String>) {
        self.findings.push(Finding {
            file: TEMPLATE,
            line: 0,
            what: what.into(),
        });
    }
    fn compose_says(&mut self, line: u32, what: impl Into<String>) {
        self.findings.push(Finding {
            file: COMPOSE,
            line,
            what: what.into(),
        });
    }
    fn unless(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.say(what);
        }
    }
}
