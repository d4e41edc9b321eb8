//! What a wrong value is called here: the panel names the field of its API, people have typed a flag.

/// Fields whose flags are not called as they are.
const FLAGS: [(&str, &[&str]); 14] = [
    ("cpu_millis", &["--cpus"]),
    ("cron", &["--at"]),
    ("expires_in_days", &["--days"]),
    ("keep_release_days", &["--keep-days"]),
    ("keep_release_bytes", &["--keep-size"]),
    ("cache_bytes", &["--cache-size"]),
    ("build_cache_bytes", &["--cache-size"]),
    ("confirm_minutes", &["--confirm-within"]),
    ("max_error_percent", &["--max-errors"]),
    ("minutes", &["--for"]),
    ("seconds", &["--for", "--period", "--grace"]),
    ("sleep_after_minutes", &["--after"]),
    ("strip_prefix", &["--strip"]),
    ("domain", &["--domain", "-d"]),
];
/// What a field says after the name of its flag.
const UNITS: [&str; 5] = ["_seconds", "_minutes", "_days", "_bytes", "_millis"];

/// The flag among these words that has given the value of a field of the API, such as `--memory` for `memory_bytes`.
pub fn flag_of(field: &str, words: &[String]) -> Option<String> {
    let last = field.rsplit('.').next().unwrap_or(field);
    let known = FLAGS.iter().find(|(name, _)| *name == last);
    let known = known.into_iter().flat_map(|(_, flags)| flags.iter().map(|flag| (*flag).to_owned()));
    let bare = UNITS.iter().find_map(|unit| last.strip_suffix(unit)).unwrap_or(last);
    let one = |name: &str| ["es", "s"].map(|end| name.strip_suffix(end).unwrap_or(name).to_owned());
    let spelt = [last.to_owned(), bare.to_owned()].into_iter().chain(one(last));
    let spelt = spelt
        .filter(|name| !name.is_empty())
        .map(|name| format!("--{}", name.replace('_', "-")));
    let mut flags = known.chain(spelt);
    flags.find(|flag| was_typed(flag, words))
}

/// What comes after `--` is not for this program.
fn was_typed(flag: &str, words: &[String]) -> bool {
    let mut own = words.iter().take_while(|word| *word != "--");
    own.any(|word| word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_called_as_they_were_typed() {
        for (field, line, expected) in [
            ("minutes", "freeze add x --at 1 --for 0h", Some("--for")),
            ("cron", "freeze add x --at=1 --for 2h", Some("--at")),
            ("memory_bytes", "app update x --memory 1kb", Some("--memory")),
            ("limits.memory_bytes", "app update x --memory 1kb", Some("--memory")),
            ("expires_in_days", "token create x --days 99999", Some("--days")),
            ("start", "app hours x --start 1 --stop 2", Some("--start")),
            ("max_p95_millis", "app canary x --max-p95 0", Some("--max-p95")),
            ("keep_releases", "app update x --keep-releases 0", Some("--keep-releases")),
            ("branches", "webhook set x --branch [", Some("--branch")),
            ("paths", "webhook set x --path [", Some("--path")),
            // One that was not typed, or is for the program inside.
            ("name", "app create Wrong --image nginx", None),
            ("memory_bytes", "app update x --memory-more 1", None),
            ("cron", "ssh x -- crontab --at 1", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(flag_of(field, &words).as_deref(), expected, "{field}: {line}");
        }
    }
}
