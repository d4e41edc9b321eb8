//! The order in which services start: each after those that it depends on, otherwise as the file has them.

use super::{context::Context, services::Read};
use types::StackService;

pub fn sorted(context: &Context<'_>, mut waiting: Vec<Read>) -> Vec<StackService> {
    let mut sorted: Vec<StackService> = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |read: &Read| {
            let there = |name: &str| sorted.iter().any(|service| service.name == name);
            read.service.depends_on.iter().all(|one| there(&one.service))
        };
        match waiting.iter().position(is_ready) {
            Some(at) => sorted.push(waiting.remove(at).service),
            None => {
                let names: Vec<_> = waiting.iter().map(|read| format!("`{}`", read.service.name)).collect();
                context.error(
                    waiting[0].depends_at,
                    format!("{} wait for each other in a circle", names.join(", ")),
                );
                return sorted;
            }
        }
    }
    sorted
}
