//! Certificates that somebody brings, checked before they serve.

use crate::{Issued, facts};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use types::{CertificateName, Error, Result, Secret, Time};
use x509_parser::{certificate::X509Certificate, pem::Pem, x509::X509Name};

/// A chain and its key that belong together.
#[derive(Debug)]
pub struct Upload {
    pub issued: Issued,
    pub names: Vec<CertificateName>,
    /// What is worth knowing though it serves: a sentence each.
    pub remarks: Vec<String>,
}

/// A certificate, as it was pasted and as it was read.
type Pasted<'a> = (&'a Pem, X509Certificate<'a>);

fn bad(why: impl Into<String>) -> Error {
    Error::invalid("chain_pem", why.into())
}

/// Checks a chain and key (PEM) as people paste them: the leaf is the one the key belongs to, the rest is put in order.
/// Fails with `Invalid` in one sentence that says what to bring instead.
pub fn check_upload(chain_pem: &str, key_pem: &Secret, now: Time) -> Result<Upload> {
    let pems = blocks(chain_pem)?;
    let mut others = read(&pems)?;
    let (leaf_pem, leaf) = take_leaf(&mut others, key_pem)?;
    let facts = facts::inspect(&pem_text(leaf_pem))?;
    let chain = in_order((leaf_pem, leaf), &mut others, now)?;
    if let Some((_, stray)) = others.first() {
        return Err(bad(format!(
            "the certificate of {} does not belong to the chain of {}",
            words(stray.subject()),
            facts.names.join(", ")
        )));
    }
    in_time(&chain[0].1, now).map_err(bad)?;
    let names: Vec<CertificateName> = facts.names.iter().filter_map(|name| name.parse().ok()).collect();
    if names.is_empty() {
        return Err(bad(
            "names no host: browsers read the subject alternative names, and there are none",
        ));
    }
    let remarks = remark(&chain).into_iter().collect();
    let chain_pem: String = chain.iter().map(|(pem, _)| pem_text(pem)).collect();
    Ok(Upload {
        issued: Issued::of(chain_pem, key_pem.clone())?,
        names,
        remarks,
    })
}

/// The blocks of PEM, of which all must be certificates.
fn blocks(chain_pem: &str) -> Result<Vec<Pem>> {
    let mut pems = Vec::new();
    for pem in Pem::iter_from_buffer(chain_pem.as_bytes()) {
        let pem = pem.map_err(|_| bad("is not in PEM: it must hold blocks that begin with -----BEGIN CERTIFICATE-----"))?;
        match pem.label.as_str() {
            "CERTIFICATE" | "TRUSTED CERTIFICATE" => pems.push(pem),
            label if label.contains("PRIVATE KEY") => {
                return Err(bad("holds a private key: put it in key_pem, and only certificates here"));
            }
            label => return Err(bad(format!("holds a `{label}`: only certificates belong here"))),
        }
    }
    if pems.is_empty() {
        return Err(bad("holds no certificate: it must begin with -----BEGIN CERTIFICATE-----"));
    }
    Ok(pems)
}

fn read(pems: &[Pem]) -> Result<Vec<Pasted<'_>>> {
    let unreadable = |_| bad("holds a certificate that cannot be read");
    pems.iter().map(|pem| Ok((pem, pem.parse_x509().map_err(unreadable)?))).collect()
}

/// The one that the key belongs to.
fn take_leaf<'a>(all: &mut Vec<Pasted<'a>>, key_pem: &Secret) -> Result<Pasted<'a>> {
    let signing = aws_lc_rs::sign::any_supported_type(&private_key(key_pem)?).map_err(|_| {
        Error::invalid(
            "key_pem",
            "this kind of key is not supported: bring RSA of at least 2048 bits, or ECDSA P-256 or P-384",
        )
    })?;
    let owned = |pem: &Pem| {
        let pair = CertifiedKey::new(vec![pem.contents.clone().into()], signing.clone());
        pair.keys_match().is_ok()
    };
    let at = all.iter().position(|(pem, _)| owned(pem));
    let leaf = all.remove(at.ok_or_else(|| Error::invalid("key_pem", "the private key belongs to another certificate"))?);
    if leaf.1.is_ca() {
        return Err(bad("the key belongs to a certificate authority, not to a server"));
    }
    Ok(leaf)
}

/// The leaf, then always who issued the one before; these are taken from `others`.
fn in_order<'a>(leaf: Pasted<'a>, others: &mut Vec<Pasted<'a>>, now: Time) -> Result<Vec<Pasted<'a>>> {
    let mut chain = vec![leaf];
    loop {
        let last = &chain[chain.len() - 1].1;
        if issued_itself(last) {
            return Ok(chain);
        }
        let issuer = last.issuer().as_raw();
        let Some(at) = others.iter().position(|(_, one)| one.subject().as_raw() == issuer) else {
            return Ok(chain);
        };
        let next = others.remove(at);
        if !next.1.is_ca() {
            return Err(bad(format!(
                "{} is not a certificate authority, but is said to have issued",
                words(next.1.subject())
            )));
        }
        in_time(&next.1, now).map_err(bad)?;
        chain.push(next);
    }
}

fn issued_itself(certificate: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == certificate.subject().as_raw()
}

/// What is worth knowing of a chain of one.
fn remark(chain: &[Pasted<'_>]) -> Option<String> {
    let [(_, only)] = chain else { return None };
    Some(if issued_itself(only) {
        "it is signed by itself: only clients that were told to will trust it".into()
    } else {
        format!(
            "the chain holds no certificate of {}, which issued this one; unless that is a root, add it, or some clients will not trust the site",
            words(only.issuer())
        )
    })
}

fn private_key(key_pem: &Secret) -> Result<PrivateKeyDer<'static>> {
    let bad = |why: &str| Error::invalid("key_pem", why);
    let text = key_pem.expose_str().ok_or_else(|| bad("is not in PEM"))?;
    if text.contains("ENCRYPTED") {
        return Err(bad(
            "is locked with a passphrase; open it first: openssl pkey -in key.pem -out open.pem",
        ));
    }
    if !text.contains("PRIVATE KEY-----") {
        return Err(bad(
            "holds no private key: it must begin with -----BEGIN PRIVATE KEY----- or the like",
        ));
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| bad("cannot be read; it must be PKCS #8, PKCS #1 or SEC 1 in PEM"))
}

fn in_time(certificate: &X509Certificate<'_>, now: Time) -> Result<(), String> {
    let validity = certificate.validity();
    let (from, to) = (
        Time(validity.not_before.timestamp() * 1000),
        Time(validity.not_after.timestamp() * 1000),
    );
    if to <= now {
        return Err(format!("the certificate of {} ended on {to}", words(certificate.subject())));
    }
    if from > now {
        return Err(format!(
            "the certificate of {} is valid from {from} only",
            words(certificate.subject())
        ));
    }
    Ok(())
}

fn words(name: &X509Name<'_>) -> String {
    let common = name
        .iter_common_name()
        .chain(name.iter_organization())
        .find_map(|part| part.as_str().ok());
    common.map_or_else(|| "an unnamed subject".to_owned(), str::to_owned)
}

fn pem_text(pem: &Pem) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let body = BASE64_STANDARD.encode(&pem.contents);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;
    use types::World;

    fn check(chain: &str, key: &Secret, at: Time) -> Result<Upload, String> {
        check_upload(chain, key, at).map_err(|error| error.to_string())
    }

    #[test]
    fn what_belongs_together_is_taken_and_put_in_order() {
        let world = World::system();
        let (ca, ca_key) = Authority::create(&world).expect("made");
        let authority = Authority::load(&ca, &ca_key).expect("loads");
        let hosts = ["a.example.com".parse().expect("a host"), "b.example.com".parse().expect("a host")];
        let issued = authority.issue(&hosts, &world).expect("issued");
        let now = world.now();
        let upload = check(&issued.chain_pem, &issued.key_pem, now).expect("it is right");
        assert_eq!(
            upload.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["a.example.com", "b.example.com"]
        );
        assert_eq!(upload.issued.fingerprint, issued.fingerprint);
        assert!(upload.remarks.is_empty(), "{:?}", upload.remarks);
        let leaf = issued.chain_pem.trim_end_matches(ca.as_str());
        let reversed = check(&format!("{ca}{leaf}"), &issued.key_pem, now).expect("it is put in order");
        assert_eq!(reversed.issued.fingerprint, issued.fingerprint);
        assert!(check(leaf, &issued.key_pem, now).expect("it may be").remarks[0].contains("holds no certificate of serverkit authority"));

        let (other, other_key) = Authority::create(&world).expect("made");
        let strange = Authority::load(&other, &other_key)
            .expect("loads")
            .issue(&hosts, &world)
            .expect("issued");
        let key_text = issued.key_pem.expose_str().expect("text");
        for (chain, key, at, words) in [
            (
                issued.chain_pem.as_str(),
                &strange.key_pem,
                now,
                "key_pem: the private key belongs to another certificate",
            ),
            ("", &issued.key_pem, now, "holds no certificate"),
            ("hello", &issued.key_pem, now, "holds no certificate"),
            (&format!("{leaf}{other}"), &issued.key_pem, now, "does not belong to the chain"),
            (&format!("{leaf}{key_text}"), &issued.key_pem, now, "holds a private key"),
            (&ca, &ca_key, now, "belongs to a certificate authority"),
            (&issued.chain_pem, &Secret::from("x"), now, "holds no private key"),
            (
                &issued.chain_pem,
                &Secret::from("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
                now,
                "passphrase",
            ),
            (&issued.chain_pem, &issued.key_pem, issued.not_after, "ended on"),
            (&issued.chain_pem, &issued.key_pem, Time(0), "is valid from"),
        ] {
            let told = check(chain, key, at).expect_err(words);
            assert!(told.contains(words), "{told} should say: {words}");
        }
    }
}
