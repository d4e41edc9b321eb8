//! Templates with a part taken out, doubled or replaced, and texts that are none.

use super::*;
use proptest::prelude::*;

/// A text with one part taken out, doubled or replaced.
fn bent(text: &'static str) -> impl Strategy<Value = String> {
    (0..text.len(), 0..60usize, ".{0,6}|\\$\\{|\\}\\}|\\{\\{|: |\n  - |\"|~|null|\\[|\\]").prop_map(move |(at, length, with)| {
        let from = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let to = (from..=(from + length).min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(from);
        format!("{}{with}{}", &text[..from], &text[to..])
    })
}

/// What comes out is read again, whatever went in.
fn holds(result: Result<Vec<Imported>, Vec<Notice>>) -> Result<(), TestCaseError> {
    match result {
        Err(notices) => prop_assert!(!notices.is_empty()),
        Ok(all) => {
            for one in all.iter().filter(|one| one.is_ready()) {
                let whole = template::whole(&one.name, &one.template, &one.compose);
                prop_assert!(whole.is_ok(), "{:?}\n{}\n{}", whole.err(), one.template, one.compose);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn bent_templates_do_no_harm(portainer in bent(PORTAINER), caprover in bent(CAPROVER), coolify in bent(COOLIFY), compose in bent(DOKPLOY), toml in bent(DOKPLOY_TOML)) {
        holds(import(Some(Format::Portainer), &portainer, &More::new()))?;
        holds(import(Some(Format::Caprover), &caprover, &More::new()))?;
        holds(import(Some(Format::Coolify), &coolify, &More::new()))?;
        holds(import(Some(Format::Dokploy), &compose, &more(&[(dokploy::TOML, DOKPLOY_TOML)])))?;
        holds(import(Some(Format::Dokploy), DOKPLOY, &more(&[(dokploy::TOML, &toml)])))?;
    }
    #[test]
    fn any_text_does_no_harm(text in "(?s).{0,80}|(services:|\n  |- |\\[|\\{|\\}|image|: |\\$\\$cap_appname|\\$\\{|\"|x|SERVICE_URL_X|environment){0,40}") {
        for format in [None, Some(Format::Portainer), Some(Format::Caprover), Some(Format::Coolify), Some(Format::Dokploy)] {
            holds(import(format, &text, &more(&[(dokploy::TOML, &text)])))?;
            holds(import(format, &text, &More::new()))?;
        }
    }
}
