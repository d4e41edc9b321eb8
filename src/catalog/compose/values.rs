//! Values as Compose writes them: durations, sizes, numbers, command lines, ports, mounts.
//! Source: the Compose Specification, "Specifying durations", "Specifying byte values", and the short syntaxes of `ports` and `volumes`.

use types::Transport;

/// `1h30m`, `90s`, `500ms`, `1.5s`; in milliseconds.
pub fn duration(text: &str) -> Result<u64, String> {
    let invalid = || format!("`{text}` is not a duration such as 30s or 1m30s");
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic() && c != 'µ').unwrap_or(rest.len());
        let factor = match &rest[..letters] {
            "d" => 86_400_000.0,
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1000.0,
            "ms" => 1.0,
            "us" | "µs" => 0.001,
            "ns" => 0.000_001,
            _ => return Err(invalid()),
        };
        total += number * factor;
        rest = &rest[letters..];
    }
    if total > 1e12 {
        return Err(invalid());
    }
    // Below a millisecond the engine refuses it anyway.
    Ok(total.round() as u64)
}

/// `512m`, `1.5gb`, `1024`; in bytes, units by powers of 1024.
pub fn bytes(text: &str) -> Result<u64, String> {
    let invalid = || format!("`{text}` is not a size such as 512m or 1gb");
    let clean = text.trim().to_ascii_lowercase();
    let digits = clean.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(clean.len());
    let number: f64 = clean[..digits].parse().map_err(|_| invalid())?;
    let shift = match clean[digits..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(invalid()),
    };
    let size = number * f64::from(1u32 << shift.min(30)) * if shift == 40 { 1024.0 } else { 1.0 };
    if size >= 1e15 { Err(invalid()) } else { Ok(size as u64) }
}

/// Cores such as `0.5`; in thousandths.
pub fn cores(text: &str) -> Result<u32, String> {
    match text.trim().parse::<f64>() {
        Ok(cores) if (0.0..=1024.0).contains(&cores) => Ok((cores * 1000.0).round() as u32),
        _ => Err(format!("`{text}` is not a number of cores such as 0.5")),
    }
}

/// Splits a command line as a POSIX shell splits words: quotes and backslashes, nothing else.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut begun) = (Vec::new(), String::new(), false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                begun = true;
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(letter) => word.push(letter),
                        None => return Err("a ' is not closed".into()),
                    }
                }
            }
            '"' => {
                begun = true;
                loop {
                    match letters.next() {
                        Some('"') => break,
                        Some('\\') => match letters.next() {
                            Some(letter @ ('"' | '\\' | '$' | '`')) => word.push(letter),
                            Some('\n') => {}
                            Some(letter) => word.extend(['\\', letter]),
                            None => return Err("a \" is not closed".into()),
                        },
                        Some(letter) => word.push(letter),
                        None => return Err("a \" is not closed".into()),
                    }
                }
            }
            '\\' => match letters.next() {
                Some('\n') => {}
                Some(letter) => {
                    begun = true;
                    word.push(letter);
                }
                None => return Err("it ends with a \\".into()),
            },
            letter if letter.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            letter => word.push(letter),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// A range with more of them is a slip, or wants the host's network.
const MOST_PORTS: u16 = 100;

/// One port of the short syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub target: u16,
    pub published: Option<u16>,
    pub protocol: Transport,
}

/// `80`, `8080:80`, `127.0.0.1:8080:80/tcp`, `3000-3002:4000-4002`, `[::1]:80:80`.
pub fn ports(text: &str) -> Result<Vec<Port>, String> {
    let invalid = || format!("`{text}` is not a port such as 80, 8080:80 or 53:53/udp");
    let (front, protocol) = match text.trim().rsplit_once('/') {
        Some((front, "tcp")) => (front, Transport::Tcp),
        Some((front, "udp")) => (front, Transport::Udp),
        Some((_, other)) => return Err(format!("the protocol `{other}` is not supported; use tcp or udp")),
        None => (text.trim(), Transport::Tcp),
    };
    let (host, target) = front.rsplit_once(':').map_or((None, front), |(host, target)| (Some(host), target));
    let published = host.map(|host| match host.rsplit_once(':') {
        Some((address, published)) if address.starts_with('[') == address.ends_with(']') => published,
        _ => host,
    });
    let (first, last) = range(target).ok_or_else(invalid)?;
    if last - first >= MOST_PORTS {
        return Err(format!("`{target}` is more than {MOST_PORTS} ports; name those that are needed"));
    }
    let published = match published {
        None | Some("") => None,
        Some(text) => {
            let (from, to) = range(text).ok_or_else(invalid)?;
            // One port of the container may take any of a range of the host.
            if to - from != last - first && to != from && last != first {
                return Err(format!("`{text}` and `{target}` are ranges of different length"));
            }
            Some(from)
        }
    };
    let one = |(offset, target): (u16, u16)| Port {
        target,
        published: published.map(|from| from.saturating_add(offset)),
        protocol,
    };
    Ok((0..).zip(first..=last).map(one).collect())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    (first <= last).then_some((first, last))
}

/// `true` or `false`.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        other => Err(format!("`{other}` is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1500)),
            ("500ms", Some(500)),
            ("2h", Some(7_200_000)),
            ("40us", Some(0)),
            ("0", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("1x", None),
            ("-1s", None),
            ("1..5s", None),
            ("99999999999d", None),
        ] {
            assert_eq!(duration(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn sizes_and_cores() {
        for (text, expected) in [
            ("1024", Some(1024)),
            ("2k", Some(2048)),
            ("512m", Some(512 << 20)),
            ("512M", Some(512 << 20)),
            ("1.5gb", Some(1536 << 20)),
            ("1GiB", Some(1 << 30)),
            ("1t", Some(1 << 40)),
            ("m", None),
            ("", None),
            ("-5m", None),
            ("5x", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
        assert_eq!(cores("0.25"), Ok(250));
        assert!(cores("-1").is_err() && cores("many").is_err());
    }

    #[test]
    fn command_lines() {
        let split = |line: &str| words(line).ok();
        for (line, expected) in [
            ("a b  c", vec!["a", "b", "c"]),
            ("sh -c 'a b'", vec!["sh", "-c", "a b"]),
            (r#"echo "x \"y\" \n" ''"#, vec!["echo", r#"x "y" \n"#, ""]),
            (r"a\ b", vec!["a b"]),
            ("a'b'\"c\"", vec!["abc"]),
            ("", vec![]),
            ("one \\\n two", vec!["one", "two"]),
        ] {
            assert_eq!(split(line), Some(expected.into_iter().map(str::to_owned).collect()), "{line}");
        }
        assert!(words("a 'b").is_err() && words("\"").is_err() && words("\\").is_err());
    }

    #[test]
    fn port_lists() {
        let shown = |text: &str| -> Option<Vec<(u16, Option<u16>, Transport)>> {
            let all = ports(text).ok()?;
            Some(all.into_iter().map(|port| (port.target, port.published, port.protocol)).collect())
        };
        use Transport::{Tcp, Udp};
        for (text, expected) in [
            ("80", Some(vec![(80, None, Tcp)])),
            ("8080:80", Some(vec![(80, Some(8080), Tcp)])),
            ("53:53/udp", Some(vec![(53, Some(53), Udp)])),
            ("127.0.0.1:8080:80", Some(vec![(80, Some(8080), Tcp)])),
            ("127.0.0.1::80", Some(vec![(80, None, Tcp)])),
            ("[::1]:8080:80", Some(vec![(80, Some(8080), Tcp)])),
            ("3000-3001", Some(vec![(3000, None, Tcp), (3001, None, Tcp)])),
            ("4000-4001:3000-3001", Some(vec![(3000, Some(4000), Tcp), (3001, Some(4001), Tcp)])),
            ("4000-4002:3000-3001", None),
            ("4000-4999:3000", Some(vec![(3000, Some(4000), Tcp)])),
            ("3000-3100", None),
            ("0", None),
            ("70000", None),
            ("80/sctp", None),
            ("a:b", None),
            ("", None),
            ("5-4", None),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let told = ports("3000-3100/udp").expect_err("101 ports");
        assert!(told.contains("more than 100 ports"), "{told}");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = (duration(&text), bytes(&text), cores(&text), words(&text), ports(&text));
        }
        #[test]
        fn quoted_words_come_back(all in proptest::collection::vec("[^'\\\\]{0,12}", 0..6)) {
            let line = all.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&line), Ok(all));
        }
    }
}
