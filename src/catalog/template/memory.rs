//! The rules about memory: what an app is told of its memory follows the size of its service, and leaves room.

use super::values::MEMORY;
use crate::yaml::{Node, Value};
use regex::Regex;

/// Most of a limit that one figure may take; the rest is for what a program needs besides.
const MOST_PERCENT: u64 = 90;

/// What breaks them in a Compose file with this main service, by line.
pub(super) fn findings(file: &Node, main: &str) -> Vec<(u32, String)> {
    let part = Regex::new(&format!(r"\b{MEMORY}\s*\*\s*([0-9]+)\s*%")).expect("a literal pattern");
    let fixed = Regex::new(r"(-Xm[sx]|MaxDirectMemorySize=|--maxmemory |--wiredTigerCacheSizeGB )[0-9]").expect("a literal pattern");
    let mut findings = Vec::new();
    for (line, text) in texts(file) {
        for found in part.captures_iter(&text) {
            // What is no number that fits is too much as well.
            if found[1].parse::<u64>().is_ok_and(|percent| percent <= MOST_PERCENT) {
                continue;
            }
            let what = format!("`{{{{ {MEMORY} * {}% }}}}` leaves no room: at most {MOST_PERCENT}%", &found[1]);
            findings.push((line, what));
        }
    }
    let Some(service) = file.get("services").and_then(|services| services.get(main)) else {
        return findings;
    };
    for (line, text) in texts(service) {
        if fixed.is_match(&text) {
            let what =
                format!("`{main}`: an amount of memory that stays when the size changes; say it as a part, `{{{{ {MEMORY} * 60% }}}}`");
            findings.push((line, what));
        }
    }
    findings
}

/// Every text below a node with its line; those of a list together, since a command is one.
fn texts(node: &Node) -> Vec<(u32, String)> {
    match &node.value {
        Value::Null => Vec::new(),
        Value::Text { text, .. } => vec![(node.at.line, text.clone())],
        Value::Map(map) => map.iter().flat_map(|(_, node)| texts(node)).collect(),
        Value::List(list) => {
            let words: Vec<&str> = list.iter().filter_map(Node::text).collect();
            let mut all = vec![(node.at.line, words.join(" "))];
            all.extend(list.iter().filter(|node| node.text().is_none()).flat_map(texts));
            all
        }
    }
}
