//! Amounts as people type them: `10m`, `512m`, `1.5`.

use std::time::Duration;
use types::Time;

/// A span: `90s`, `10m`, `2h`, `3d`, `1w`; a bare number is seconds.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time; use for example 30s, 10m, 2h or 3d");
    let text = text.trim();
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..split].parse().map_err(|_| wrong())?;
    let unit = match text[split..].trim() {
        "" | "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds <= 100 * 366 * 86_400)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

/// A span in whole seconds.
pub fn seconds(text: &str) -> Result<u32, String> {
    let span = span(text)?;
    u32::try_from(span.as_secs()).map_err(|_| format!("`{text}` is too long"))
}

/// A moment: RFC 3339, or a span before `now`.
pub fn moment(text: &str, now: Time) -> Result<Time, String> {
    if let Some(at) = crate::output::parse_time(text.trim()) {
        return Ok(at);
    }
    span(text)
        .map(|span| now.minus(span))
        .map_err(|_| format!("`{text}` is no moment; use for example 10m, 2h, 3d or 2026-01-31T12:00:00Z"))
}

/// An amount of memory: `512m`, `1.5g`, `1GiB`; a bare number is bytes. `k`, `m`, `g` are powers of 1024, as with Docker.
pub fn memory(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no amount of memory; use for example 512m or 1.5g");
    let lower = text.trim().to_lowercase();
    let split = lower
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(lower.len());
    let shift = match lower[split..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = lower[..split].parse::<u64>() {
        return whole.checked_mul(1 << shift).ok_or_else(wrong);
    }
    let number: f64 = lower[..split].parse().map_err(|_| wrong())?;
    let bytes = number * f64::from(1_u32 << 10).powi(shift / 10);
    if !(0.0..1e18).contains(&bytes) {
        return Err(wrong());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 1e18
    Ok(bytes as u64)
}

/// A number of cores, in thousandths: `2`, `0.5`, `250m`.
pub fn cores(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is no number of cores; use for example 2 or 0.5");
    let text = text.trim();
    if let Some(millis) = text.strip_suffix('m') {
        return millis.parse().map_err(|_| wrong());
    }
    let number: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.001..=4096.0).contains(&number) {
        return Err(wrong());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 1 and 4096000
    Ok((number * 1000.0).round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, expected) in [
            ("10m", Some(600)),
            ("90s", Some(90)),
            ("90", Some(90)),
            ("2h", Some(7_200)),
            (" 3d ", Some(259_200)),
            ("1w", Some(604_800)),
            ("", None),
            ("m", None),
            ("-5m", None),
            ("5y", None),
            ("99999999999999999999d", None),
            ("999999999w", None),
        ] {
            assert_eq!(span(text).ok().map(|span| span.as_secs()), expected, "{text}");
        }
    }

    #[test]
    fn moments() {
        let now = Time(1_700_000_000_000);
        assert_eq!(moment("10m", now), Ok(Time(1_699_999_400_000)));
        assert_eq!(moment("2023-11-14T22:13:20Z", now), Ok(now));
        assert!(moment("yesterday", now).is_err());
    }

    #[test]
    fn amounts_of_memory() {
        for (text, expected) in [
            ("512m", Some(512 << 20)),
            ("512MiB", Some(512 << 20)),
            ("1.5g", Some(1536 << 20)),
            ("1048576", Some(1 << 20)),
            ("1 GB", Some(1 << 30)),
            ("", None),
            ("-1m", None),
            ("1.2.3m", None),
            ("1x", None),
            ("99999999999g", None),
        ] {
            assert_eq!(memory(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn numbers_of_cores() {
        for (text, expected) in [
            ("2", Some(2000)),
            ("0.5", Some(500)),
            ("250m", Some(250)),
            ("0", None),
            ("-1", None),
            ("nan", None),
            ("x", None),
        ] {
            assert_eq!(cores(text).ok(), expected, "{text}");
        }
    }
}
