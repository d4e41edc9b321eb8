//! How long a password would stand against guessing: the estimate of zxcvbn (Wheeler, USENIX Security 2016), which knows
//! words, names, dates, keyboard runs and the passwords that leaked most, in place of rules about kinds of characters.

use types::{Email, Error, Result, Secret};
use zxcvbn::{Score, feedback::Feedback, zxcvbn};

const SHORTEST: usize = 10;
/// Bytes; more is somebody's attempt to keep us busy.
pub(crate) const LONGEST: usize = 1024;
/// Characters that are looked at: the estimate's work grows faster than the text, and what is that long is strong.
const LOOKED_AT: usize = 72;
/// The least score: 100 million guesses and more.
const LEAST: u8 = 3;

/// What the estimate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strength {
    /// 0: at once, 1: 1000 guesses, 2: a million, 3: 100 million, 4: 10 billion.
    pub score: u8,
    /// Why it is refused; `None`: it is taken.
    pub refused: Option<String>,
    /// What makes it weak, in a sentence.
    pub warning: Option<String>,
    /// What would make it stronger, a sentence each.
    pub suggestions: Vec<String>,
}

/// `known` are words that somebody who guesses knows too: the mail address, the name.
pub fn estimate(password: &Secret, known: &[&str]) -> Strength {
    let refused = |why: &str| Strength {
        score: 0,
        refused: Some(why.into()),
        warning: None,
        suggestions: Vec::new(),
    };
    let Some(text) = password.expose_str() else {
        return refused("must be text");
    };
    if text.len() > LONGEST {
        return refused("must have at most 1024 bytes");
    }
    let looked_at: String = text.chars().take(LOOKED_AT).collect();
    let found = zxcvbn(&looked_at, &words(known));
    let score = match found.score() {
        Score::Zero => 0,
        Score::One => 1,
        Score::Two => 2,
        Score::Three => 3,
        _ => 4,
    };
    let warning = found.feedback().and_then(Feedback::warning).map(|warning| warning.to_string());
    let suggestions = found.feedback().map(Feedback::suggestions).unwrap_or_default();
    let mut strength = Strength {
        score,
        refused: None,
        warning: warning.map(|words| sentence(&words)),
        suggestions: suggestions.iter().map(|suggestion| sentence(&suggestion.to_string())).collect(),
    };
    if text.chars().count() < SHORTEST {
        strength.score = strength.score.min(1);
        strength.refused = Some(format!("must have at least {SHORTEST} characters"));
    } else if score < LEAST {
        let why = strength
            .warning
            .as_deref()
            .map(|warning| format!(": {}", lower(warning)))
            .unwrap_or_default();
        strength.refused = Some(format!("is too easy to guess{why}; a few random words are better"));
    }
    strength
}

/// Fails with `Invalid`, saying why, when it is short, absurdly long, or too easy to guess for somebody who knows the address.
pub fn check_strength(password: &Secret, email: &Email) -> Result<()> {
    match estimate(password, &[email.as_str()]).refused {
        Some(why) => Err(Error::invalid("password", why)),
        None => Ok(()),
    }
}

/// An address gives its parts too.
fn words<'a>(known: &[&'a str]) -> Vec<&'a str> {
    let mut words = Vec::new();
    for text in known {
        words.push(*text);
        words.extend(
            text.split(|letter: char| !letter.is_alphanumeric())
                .filter(|word| word.chars().count() > 2),
        );
        words.extend(text.split('@').next().filter(|name| !name.is_empty()));
    }
    words
}

/// Without the full stop.
fn sentence(words: &str) -> String {
    words.trim().trim_end_matches('.').to_owned()
}

fn lower(words: &str) -> String {
    let mut letters = words.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn weak_passwords_are_refused_with_the_reason() {
        let email = "ada.lovelace@example.com".parse().expect("an address");
        for (password, why) in [
            ("", "at least 10"),
            ("ninechars", "at least 10"),
            ("ada.lovelace@example.com", "too easy"),
            ("Ada.Lovelace", "too easy"),
            ("password123", "too easy"),
            ("Qwertyuiop", "too easy"),
            ("1234567890", "too easy"),
            ("0987654321", "too easy"),
            ("aaaaaaaaaaaa", "too easy"),
            ("abcabcabcabc", "too easy"),
            ("abcdefghijklm", "too easy"),
            ("P@ssw0rd2024", "too easy"),
        ] {
            let error = check_strength(&password.into(), &email).expect_err(password).to_string();
            assert!(error.contains(why), "{password}: {error}");
            assert!(password.is_empty() || !error.contains(password), "{error}");
        }
        assert!(check_strength(&"x".repeat(2000).into(), &email).is_err());
        assert!(check_strength(&Secret::new([0xff; 20]), &email).is_err());
        for good in [
            "correct horse battery",
            "пароль-длинный-очень",
            "🦀🦞🐢🐙🦑🐬🐳🦈🐟🐡",
            "vK4-ruined-plinth",
            "seven quiet otters swim north",
        ] {
            check_strength(&good.into(), &email).expect(good);
        }
    }

    #[test]
    fn what_makes_it_weak_is_told() {
        let strength = estimate(&"qwertyuiop".into(), &[]);
        assert!(strength.score < 3);
        assert!(strength.warning.is_some() && !strength.suggestions.is_empty(), "{strength:?}");
        let name = "quillfeatherpemberton".into();
        assert_eq!(estimate(&name, &[]).refused, None);
        assert!(
            estimate(&name, &["Pemberton Quillfeather"]).refused.is_some(),
            "who guesses knows the name too"
        );
        assert_eq!(estimate(&"seven quiet otters swim north".into(), &[]).score, 4);
    }

    #[test]
    fn no_text_keeps_us_busy() {
        for text in [
            "a".repeat(1024),
            "password1".repeat(100),
            "qaz".repeat(300),
            "1/2/99 ".repeat(140),
            "4@$!0)".repeat(170),
        ] {
            let begun = Instant::now();
            estimate(&text.clone().into(), &["ada@example.com", "Ada"]);
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{} took {:?}",
                &text[..9],
                begun.elapsed()
            );
        }
    }
}
