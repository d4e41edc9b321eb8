//! Words of a template of another panel, made to fit ours: names, titles, sentences, categories, versions.

/// A template's name from any text.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars() {
        match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => slug.push(letter),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    let slug: String = slug.chars().take(38).collect();
    let slug = slug.trim_matches('-');
    match slug.len() {
        0 => "app".to_owned(),
        1 => format!("{slug}-app"),
        _ => slug.to_owned(),
    }
}

/// `uptime-kuma` as "Uptime Kuma".
pub fn title(slug: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    let words: Vec<String> = slug.split(['-', '_', ' ']).filter(|part| !part.is_empty()).map(word).collect();
    words.join(" ")
}

/// One line without marks, and without braces that a template would read.
pub fn line(text: &str) -> String {
    let mut out = String::new();
    let mut tag = false;
    for letter in text.chars() {
        match letter {
            '<' => tag = true,
            '>' if tag => tag = false,
            _ if tag => {}
            letter => out.push(letter),
        }
    }
    // A < that no > ends was no mark.
    let out = if tag { text.to_owned() } else { out };
    let words: Vec<&str> = out.split_whitespace().collect();
    unbraced(&words.join(" "))
}

/// A title of at most 40 letters (bytes, as the rule has it).
pub fn short_title(text: &str, name: &str) -> String {
    let clean = line(text);
    let mut short = String::new();
    for word in clean.split(' ') {
        if short.len() + word.len() + 1 > 40 {
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    if short.is_empty() { title(name) } else { short }
}

/// One sentence of at most 140 letters, with its full stop.
pub fn sentence(text: &str, title: &str) -> String {
    let clean = line(text);
    let first = clean
        .split(". ")
        .next()
        .unwrap_or_default()
        .trim_end_matches(['.', '!', ' ', ':', ';', ',']);
    let mut short = String::new();
    for word in first.split(' ') {
        if short.chars().count() + word.chars().count() > 137 {
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    match short.trim_end_matches([',', ';', ':']) {
        "" => format!("{title}."),
        short => format!("{short}."),
    }
}

/// Text of several lines in which `{{` means nothing.
pub fn unbraced(text: &str) -> String {
    text.replace("{{", "{ {").replace("}}", "} }")
}

/// Our category for a word of theirs.
pub fn category(word: &str) -> Option<&'static str> {
    let word = word.trim().to_ascii_lowercase();
    let known = crate::template::CATEGORIES.iter().copied().find(|own| *own == word);
    known.or(match word.as_str() {
        "database" | "db" | "sql" | "nosql" | "cache" => Some("databases"),
        "blog" | "webserver" | "website" | "wiki" => Some("cms"),
        "git" | "devtools" | "developer-tools" | "ci" | "ci-cd" | "backend" | "api" | "serverless" | "development tools" => {
            Some("development")
        }
        "messaging" | "matrix" => Some("chat"),
        "auth" | "authentication" | "sso" => Some("identity"),
        "rss" | "news" => Some("media"),
        "helpdesk" | "crm" | "erp" | "project-management" | "invoicing" => Some("business"),
        "email" => Some("mail"),
        "proxy" | "vpn" | "dns" | "network" => Some("networking"),
        "file-sharing" | "files" | "object-storage" | "s3" | "file-storage" => Some("storage"),
        "observability" | "log management" | "logging" | "metrics" => Some("monitoring"),
        "search-engine" => Some("search"),
        "llm" | "artificial-intelligence" | "machine-learning" | "mcp" => Some("ai"),
        "photo" | "gallery" => Some("photos"),
        "game" | "gaming" => Some("games"),
        "smart-home" | "home-automation" | "iot" | "edge" => Some("home"),
        "workflow" => Some("automation"),
        "docs" | "documentation" | "pdf" => Some("documents"),
        "shop" | "e-commerce" => Some("ecommerce"),
        "video" | "music" | "streaming" => Some("media"),
        _ => None,
    })
}

/// The version of an image's tag with a first revision; `0-1` when it says none.
pub fn version(image: &str) -> String {
    let name = image.split('@').next().unwrap_or_default();
    let tag = name
        .rsplit_once(':')
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.contains('/'))
        .unwrap_or_default();
    let tag = tag
        .strip_prefix('v')
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        .unwrap_or(tag);
    let clean: String = tag
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || ".+_-".contains(*letter))
        .take(60)
        .collect();
    let clean = clean.trim_start_matches(['.', '+', '_', '-']);
    if clean.is_empty() { "0-1".to_owned() } else { format!("{clean}-1") }
}

/// A drawn monogram's letters and colour, the same each time.
pub fn icon(title: &str) -> (String, String) {
    const COLORS: [&str; 8] = [
        "#2f6f9f", "#8a4baf", "#2e7d5b", "#b0532a", "#3b5bdb", "#a33b5e", "#5f6c2f", "#46607a",
    ];
    let letters: String = title.chars().filter(|letter| letter.is_alphanumeric()).take(2).collect();
    let sum: usize = title.bytes().map(usize::from).sum();
    let text = if letters.is_empty() { "Ap".to_owned() } else { letters };
    (text, COLORS[sum % COLORS.len()].to_owned())
}

/// An address as the links of a template take it.
pub fn https(text: &str) -> Option<String> {
    let text = text.trim();
    let text = match text.strip_prefix("http://") {
        Some(rest) => format!("https://{rest}"),
        None => text.to_owned(),
    };
    (text.starts_with("https://") && text.len() > 8 && !text.contains(|letter: char| letter.is_whitespace() || letter == '{'))
        .then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (text, expected) in [
            ("Uptime Kuma", "uptime-kuma"),
            ("", "app"),
            ("X", "x-app"),
            ("--Ä b--", "b-app"),
            ("a.b/c", "a-b-c"),
        ] {
            assert_eq!(slug(text), expected, "{text}");
        }
        assert_eq!(sentence("It keeps <b>notes</b>. And more.", "X"), "It keeps notes.");
        assert_eq!(sentence("", "X"), "X.");
        assert!(sentence(&"word ".repeat(90), "X").chars().count() <= 140);
        assert_eq!(version("ghcr.io/a/b:v1.2.3"), "1.2.3-1");
        assert_eq!(version("localhost:5000/a"), "0-1");
        assert_eq!(https("http://a.example"), Some("https://a.example".into()));
        assert_eq!(category("RSS"), Some("media"));
        assert_eq!(short_title("", "uptime-kuma"), "Uptime Kuma");
    }
}
