//! The search over the catalog, by the rules of the panel's own (`ui-dist/lib/fuzzy.js`): letters that are left out, doubled or swapped are
//! forgiven, as is a name written as one word; where nothing has all the words, what has most of them fits.

/// Weighs less the later a word stands, since the most important ones stand first.
const FALL: f64 = 0.004;

/// Places of the texts that fit, the best first.
pub fn find(query: &str, texts: &[String]) -> Vec<usize> {
    let clean = |word: &str| word.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
    let words: Vec<String> = query
        .to_lowercase()
        .split_whitespace()
        .map(clean)
        .filter(|word| !word.is_empty())
        .collect();
    let mut found = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let text = text.to_lowercase();
        let parts: Vec<&str> = text
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|part| !part.is_empty())
            .collect();
        let each: Vec<f64> = words.iter().map(|word| best(word, &parts)).collect();
        let fitting = each.iter().filter(|one| **one > 0.0).count();
        if fitting > 0 {
            found.push((place, fitting, each.iter().sum::<f64>()));
        }
    }
    let most = found.iter().map(|(_, fitting, _)| *fitting).max().unwrap_or(0);
    found.retain(|(_, fitting, _)| *fitting == most);
    found.sort_by(|(_, _, one), (_, _, other)| other.total_cmp(one));
    found.into_iter().map(|(place, ..)| place).collect()
}

/// How well a word fits the best of the parts.
fn best(word: &str, parts: &[&str]) -> f64 {
    let mut best = 0.0_f64;
    let mut fall = 0.0;
    for (at, part) in parts.iter().enumerate() {
        best = best.max(likeness(word, part) - fall);
        // "uptimekuma" is Uptime Kuma.
        let mut joined = (*part).to_owned();
        for next in &parts[at + 1..] {
            if joined.len() >= word.len() || !word.starts_with(&joined) {
                break;
            }
            joined.push_str(next);
            best = best.max(likeness(word, &joined) - fall);
        }
        fall += FALL;
    }
    best
}

/// 0 to 1: whole, from its beginning, within it, or with few mistakes.
fn likeness(word: &str, part: &str) -> f64 {
    let length = word.chars().count();
    if word == part {
        return 1.0;
    }
    if part.starts_with(word) {
        return 0.9;
    }
    if length > 2 && part.contains(word) {
        return 0.7;
    }
    let allowed = match length {
        0..4 => return 0.0,
        4..8 => 1,
        _ => 2,
    };
    let begin = |letters: usize| part.chars().take(letters).collect::<String>();
    let mut others = vec![part.to_owned()];
    // What is cut short is compared with as much of the word.
    if part.chars().count() > length + 1 {
        others.extend([begin(length), begin(length + 1)]);
    }
    let mut mistakes = others.iter().map(|other| strsim::osa_distance(word, other));
    match mistakes.find(|mistakes| *mistakes <= allowed) {
        Some(0) => 0.6,
        Some(1) => 0.5,
        Some(_) => 0.4,
        None => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_finds_what_they_mean() {
        let catalog = [
            "WordPress wordpress blog cms The site builder.",
            "Uptime Kuma uptime-kuma monitoring Watches over addresses.",
            "PostgreSQL postgresql sql relational databases The relational database.",
            "Nextcloud nextcloud files storage Files, calendars and contacts.",
            "MariaDB mariadb sql mysql databases A relational database.",
        ]
        .map(str::to_owned);
        for (query, expected) in [
            ("wordpress", &["WordPress"][..]),
            ("wrodpress", &["WordPress"][..]),
            ("wordpres", &["WordPress"][..]),
            ("uptimekuma", &["Uptime"][..]),
            ("uptime-kuma", &["Uptime"][..]),
            ("postgers", &["PostgreSQL"][..]),
            ("mysql", &["MariaDB"][..]),
            ("relational sql", &["PostgreSQL", "MariaDB"][..]),
            // Nothing has both words.
            ("nextcloud wiki", &["Nextcloud"][..]),
            ("zzzz", &[][..]),
            ("?!", &[][..]),
        ] {
            let found: Vec<&str> = find(query, &catalog)
                .into_iter()
                .map(|place| catalog[place].split(' ').next().unwrap_or_default())
                .collect();
            assert_eq!(found, expected, "{query}");
        }
    }
}
