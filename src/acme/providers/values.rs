//! Values of records between the form of zone files and what services want.

use types::{DnsRecord, DnsRecordKind, Error, Result};

/// `"…"` around a text, with what must be escaped; long ones in pieces of 255 bytes (RFC 1035, 3.3).
pub(super) fn quoted(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let pieces = bytes.chunks(255).map(|piece| {
        let text: String = piece.iter().collect();
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    });
    let joined = pieces.collect::<Vec<_>>().join(" ");
    if joined.is_empty() { "\"\"".to_owned() } else { joined }
}

/// The text without quotes; pieces are joined.
pub(super) fn unquoted(value: &str) -> String {
    if !value.starts_with('"') {
        return value.to_owned();
    }
    let mut text = String::new();
    let (mut inside, mut escaped) = (false, false);
    for letter in value.chars() {
        match letter {
            _ if escaped => {
                text.push(letter);
                escaped = false;
            }
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            letter if inside => text.push(letter),
            _ => {}
        }
    }
    text
}

/// As a zone file has it: texts in quotes, names with their last dot.
pub(super) fn presented(record: &DnsRecord) -> String {
    let dotted = |name: &str| format!("{}.", name.trim_end_matches('.'));
    match record.kind {
        DnsRecordKind::Txt => quoted(&record.value),
        DnsRecordKind::Cname | DnsRecordKind::Ns => dotted(&record.value),
        DnsRecordKind::Mx | DnsRecordKind::Srv => match record.value.rsplit_once(' ') {
            Some((front, name)) => format!("{front} {}", dotted(name)),
            None => record.value.clone(),
        },
        DnsRecordKind::A | DnsRecordKind::Aaaa | DnsRecordKind::Caa => record.value.clone(),
    }
}

/// From a zone file's form to ours.
pub(super) fn plain(kind: DnsRecordKind, value: &str) -> String {
    match kind {
        DnsRecordKind::Txt => unquoted(value),
        DnsRecordKind::Cname | DnsRecordKind::Ns | DnsRecordKind::Mx | DnsRecordKind::Srv => value.trim_end_matches('.').to_owned(),
        DnsRecordKind::A | DnsRecordKind::Aaaa | DnsRecordKind::Caa => value.to_owned(),
    }
}

/// The parts of a CAA value: flags, tag, value without quotes.
pub(super) fn caa(value: &str) -> Result<(u8, String, String)> {
    let wrong = || Error::invalid("value", "a CAA record is like: 0 issue \"letsencrypt.org\"");
    let mut parts = value.splitn(3, ' ');
    let flags = parts.next().and_then(|flags| flags.parse().ok()).ok_or_else(wrong)?;
    let tag = parts.next().ok_or_else(wrong)?;
    let value = parts.next().ok_or_else(wrong)?;
    Ok((flags, tag.to_owned(), unquoted(value)))
}

/// The parts of an MX value: preference and host.
pub(super) fn mx(value: &str) -> Result<(u16, String)> {
    let wrong = || Error::invalid("value", "an MX record is like: 10 mail.example.com");
    let (preference, host) = value.split_once(' ').ok_or_else(wrong)?;
    Ok((preference.parse().map_err(|_| wrong())?, host.trim().to_owned()))
}

/// The parts of an SRV value: priority, weight, port and host.
pub(super) fn srv(value: &str) -> Result<(u16, u16, u16, String)> {
    let wrong = || Error::invalid("value", "an SRV record is like: 10 5 5060 sip.example.com");
    let parts: Vec<&str> = value.split_whitespace().collect();
    let number = |at: usize| parts.get(at).and_then(|part| part.parse().ok()).ok_or_else(wrong);
    let host = parts.get(3).filter(|_| parts.len() == 4).ok_or_else(wrong)?;
    Ok((number(0)?, number(1)?, number(2)?, (*host).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_quoting() {
        let long = "x".repeat(600);
        for text in ["", "a b", "v=spf1 -all", "say \"hi\"", "back\\slash", long.as_str()] {
            assert_eq!(unquoted(&quoted(text)), text);
        }
        assert_eq!(unquoted("\"a\" \"b\""), "ab");
        assert_eq!(unquoted("bare"), "bare");
        assert!(caa("0 issue \"x.org; a=b\"").is_ok_and(|parts| parts == (0, "issue".into(), "x.org; a=b".into())));
        assert!(mx("mail").is_err() && srv("1 2 3").is_err() && caa("issue x").is_err());
    }
}
