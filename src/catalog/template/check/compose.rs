//! The Compose file of a template as it is written and as it comes out: rights, passwords that are written down, ports that nobody chose.

use super::Checker;
use crate::{
    compose::{self, Ask, NoFiles},
    template::{Asked, Values, examples::examples, memory, versions::pick},
    yaml::{self, Node, Value},
};
use regex::Regex;
use types::Notice;

impl Checker<'_> {
    pub(super) fn compose(&mut self, text: &str, secret: &dyn Fn(&Asked) -> String) {
        let template = self.template;
        let text = &pick(text, self.version);
        let given = examples(template, secret);
        let domain = given.get("domain").cloned().unwrap_or_default();
        let url = if template.main.web {
            format!("https://{domain}")
        } else {
            String::new()
        };
        let values = match Values::new(template, &given, &template.name, &url, "check") {
            Ok(values) => values.in_file(text),
            Err(why) => return self.say(why),
        };
        let outside = |_: &str| None;
        let evaluate = |expression: &str| values.evaluate(expression);
        let read = compose::read(&Ask {
            text,
            files: &NoFiles,
            variable: &outside,
            template: Some(&evaluate),
            profiles: &[],
        });
        let composed = match read {
            Ok(composed) => composed,
            Err(problems) => {
                for Notice { line, what, .. } in problems {
                    self.compose_says(line, what);
                }
                return;
            }
        };
        for hint in &composed.hints {
            self.compose_says(hint.line, hint.what.clone());
        }
        for right in &composed.rights {
            if !template.rights.iter().any(|own| own == right.right) {
                self.compose_says(
                    right.line,
                    format!(
                        "`{}` {}, and `{}` is not among the template's rights",
                        right.service, right.what, right.right
                    ),
                );
            }
        }
        for right in &template.rights {
            let used = composed.rights.iter().any(|one| one.right == right);
            self.unless(used, format!("the right `{right}` is asked for and not used"));
        }
        self.unused(&values);
        if let Ok(node) = yaml::parse(text, 0) {
            self.raw(&node);
            for (line, what) in memory::findings(&node, &template.main.service) {
                self.compose_says(line, what);
            }
        }
        self.stack(&composed.stack);
    }

    /// What is seen only before values are in place: passwords that are written down, ports that nobody chose.
    fn raw(&mut self, node: &Node) {
        let secret = Regex::new(r"(?i)(passw(or)?d|passwd|_pass$|secret|token|api_?key|private_?key|encryption_?key|signing_?key)")
            .expect("a literal pattern");
        let Some(services) = node.get("services").and_then(Node::map) else {
            return;
        };
        for (name, service) in services {
            for (key, value, line) in environment(service) {
                let is_path_or_switch =
                    key.ends_with("_FILE") || value.starts_with('/') || matches!(value, "" | "true" | "false" | "yes" | "no" | "0" | "1");
                let is_number = value.parse::<f64>().is_ok();
                if secret.is_match(key) && !value.contains("{{") && !is_path_or_switch && !is_number {
                    self.compose_says(line, format!("`{}`: {key} has a fixed value; make it a variable", name.text));
                }
            }
            for port in service.get("ports").and_then(Node::list).unwrap_or_default() {
                let published = port
                    .text()
                    .or_else(|| port.get("published").and_then(Node::text))
                    .unwrap_or_default();
                if !published.contains("{{") {
                    self.compose_says(
                        port.at.line,
                        format!(
                            "`{}`: a port of the server must be a variable of type port; HTTP goes through the edge",
                            name.text
                        ),
                    );
                }
            }
            if service.get("container_name").is_some() {
                self.compose_says(
                    name.at.line,
                    format!("`{}`: container_name keeps it from being installed twice", name.text),
                );
            }
        }
    }
}

fn environment(service: &Node) -> Vec<(&str, &str, u32)> {
    match service.get("environment").map(|node| &node.value) {
        Some(Value::Map(map)) => map
            .iter()
            .filter_map(|(key, node)| Some((key.text.as_str(), node.text()?, key.at.line)))
            .collect(),
        Some(Value::List(list)) => list
            .iter()
            .filter_map(|node| {
                let (key, value) = node.text()?.split_once('=')?;
                Some((key, value, node.at.line))
            })
            .collect(),
        _ => Vec::new(),
    }
}
