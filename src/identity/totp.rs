//! Codes by time (TOTP, RFC 6238) as every authenticator app makes them: SHA-1, six digits, 30 seconds.

use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write;
use totp_rs::{Algorithm, Builder, Totp};
use types::{Doing, Error, Result, Secret, Time, World};

const STEP_SECONDS: u64 = 30;
/// Steps before and after the present one whose codes are taken, for clocks that are a little off.
const SKEW: u64 = 1;
const ISSUER: &str = "serverkit";
/// White modules around a QR code (ISO/IEC 18004 asks for four).
const QUIET: i32 = 4;

/// 20 random bytes, as RFC 4226 recommends.
pub fn new_secret(world: &World) -> Secret {
    Secret::new(world.bytes::<20>())
}

/// What an authenticator app is told.
pub struct Enrolment {
    /// The secret in base 32, to be typed in.
    pub key: Secret,
    /// `otpauth://totp/…`
    pub uri: Secret,
    /// The same as a QR code: an SVG document.
    pub qr_svg: Secret,
}

/// For an account that the app will show as `account`.
pub fn enrolment(secret: &Secret, account: &str) -> Result<Enrolment> {
    let totp = totp(secret, account)?;
    let uri = totp.to_url().map_err(broken)?;
    Ok(Enrolment {
        key: totp.secret().to_base32().into(),
        qr_svg: qr_svg(&uri)?.into(),
        uri: uri.into(),
    })
}

/// The step whose code `code` is: near `now` and later than `last_step`, so that no code is taken twice. Spaces in it
/// do not matter.
pub fn matching_step(secret: &Secret, code: &str, now: Time, last_step: u64) -> Result<Option<u64>> {
    let totp = totp(secret, "account")?;
    let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let present = u64::try_from(now.0).unwrap_or(0) / 1000 / STEP_SECONDS;
    let steps = present.saturating_sub(SKEW)..=present + SKEW;
    // All are looked at, so that the time tells nothing.
    let found = steps.filter(|step| totp.check(&code, step * STEP_SECONDS).is_some()).max();
    Ok(found.filter(|step| *step > last_step))
}

/// The code that an app with this secret shows at `at`.
pub fn code_at(secret: &Secret, at: Time) -> Result<String> {
    let seconds = u64::try_from(at.0).unwrap_or(0) / 1000;
    Ok(totp(secret, "account")?.generate(seconds).to_string())
}

fn totp(secret: &Secret, account: &str) -> Result<Totp> {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(0)
        .with_step_duration(STEP_SECONDS)
        .with_secret(secret.expose().to_vec().into_boxed_slice())
        .with_issuer(Some(ISSUER))
        // A colon would part issuer and account.
        .with_account_name(account.replace(':', " "))
        .build()
        .map_err(broken)
}

/// The library's words may hold the secret's address; they are not passed on.
fn broken(_: totp_rs::TotpError) -> Error {
    Error::internal("making codes by time", "the secret has not its shape")
}

fn qr_svg(text: &str) -> Result<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).doing("drawing a QR code")?;
    let side = code.size() + 2 * QUIET;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            let _ = write!(path, "M{},{}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0,0h{side}v{side}h-{side}z\"/><path d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 6238, appendix B, cut to six digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = Secret::from("12345678901234567890");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000_i64, "353130"),
        ] {
            let now = Time(seconds * 1000);
            let step = u64::try_from(seconds).expect("positive") / 30;
            let check = |code: &str, now, last| matching_step(&secret, code, now, last).expect("checks");
            assert_eq!(code_at(&secret, now).expect("made"), code);
            assert_eq!(check(code, now, 0), Some(step), "{seconds}");
            assert_eq!(
                check(&format!(" {} {} ", &code[..3], &code[3..]), now, 0),
                Some(step),
                "with spaces"
            );
            assert_eq!(check(code, now, step), None, "a second time");
            assert_eq!(check(code, now, step - 1), Some(step));
            for shift in [-30_000, 30_000] {
                assert_eq!(check(code, Time(now.0 + shift), 0), Some(step), "a clock that is a little off");
            }
            assert_eq!(check(code, Time(now.0 + 90_000), 0), None, "too far off");
            for wrong in ["", "000000", "28708", "2870822", "+287082", "２８７０８２", "abcdef", "-1"] {
                assert_eq!(check(wrong, now, 0), None, "{wrong:?}");
            }
        }
    }

    #[test]
    fn the_app_is_told_all_it_needs() {
        let secret = Secret::from("12345678901234567890");
        let told = enrolment(&secret, "ada:x@example.com").expect("made");
        let text = |secret: &Secret| secret.expose_str().expect("text").to_owned();
        assert_eq!(text(&told.key), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            text(&told.uri),
            "otpauth://totp/serverkit:ada%20x%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=serverkit"
        );
        let svg = text(&told.qr_svg);
        assert!(
            svg.starts_with("<svg ") && svg.ends_with("</svg>") && !svg.contains("script"),
            "{svg}"
        );
        assert_eq!(new_secret(&World::system()).expose().len(), 20);
    }
}
