//! How many orders a registered domain gets: less than authorities allow, so that a mistake here never locks a domain out
//! there. Source of the limits: letsencrypt.org/docs/rate-limits.

use std::time::Duration;
use types::{CertificateName, Host, OrderLog, OrderTry, Time};

const HOUR: Duration = Duration::from_secs(3600);
/// What is older does not count, and is forgotten.
pub const REMEMBERED: Duration = HOUR.saturating_mul(24 * 7);
/// Let's Encrypt: 50 in a week. Renewals do not count there.
const NEW_IN_A_WEEK: usize = 40;
/// Let's Encrypt: 5 in a week for the same set of names.
const SAME_IN_A_WEEK: usize = 4;
/// Let's Encrypt: 5 in an hour for each name.
const FAILED_IN_AN_HOUR: usize = 4;

/// Why no order is sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    pub until: Time,
    /// One sentence.
    pub words: String,
}

/// The domain that somebody registered (`example.co.uk` of `a.b.example.co.uk`), by the public suffix list. A public
/// suffix itself, and a name that has none, are their own.
pub fn registered_domain(name: &CertificateName) -> String {
    let base = name.base();
    psl::domain_str(base.as_str()).unwrap_or(base.as_str()).to_owned()
}

/// Whether what is below it belongs to many: `co.uk`, by the public suffix list.
pub fn is_public_suffix(host: &Host) -> bool {
    host.address().is_none() && psl::domain_str(host.as_str()).is_none()
}

/// The names of one order as the log has them.
pub fn set_of(names: &[CertificateName]) -> String {
    let mut names: Vec<&str> = names.iter().map(CertificateName::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

/// Whether an order for `names` may be sent now.
pub fn allows(log: &OrderLog, names: &[CertificateName], renewal: bool, now: Time) -> Result<(), Exhausted> {
    let set = set_of(names);
    let within = |span: Duration| log.orders.iter().filter(move |order| order.at > now.minus(span));
    let full = |span: Duration, most: usize, wanted: &dyn Fn(&OrderTry) -> bool| {
        let found: Vec<_> = within(span).filter(|order| wanted(order)).collect();
        // When so many have left the window that one more fits.
        found
            .len()
            .checked_sub(most)
            .and_then(|over| found.get(over))
            .map(|oldest| oldest.at.plus(span))
    };
    if let Some(until) = full(HOUR, FAILED_IN_AN_HOUR, &|order| order.failure.is_some()) {
        return Err(Exhausted {
            until,
            words: format!("{FAILED_IN_AN_HOUR} orders for {} have failed within an hour", log.domain),
        });
    }
    if let Some(until) = full(REMEMBERED, SAME_IN_A_WEEK, &|order| order.failure.is_none() && order.names == set) {
        return Err(Exhausted {
            until,
            words: format!("{SAME_IN_A_WEEK} certificates for {set} have been issued within a week"),
        });
    }
    let new = |order: &OrderTry| order.failure.is_none() && !order.renewal;
    if let Some(until) = full(REMEMBERED, NEW_IN_A_WEEK, &new).filter(|_| !renewal) {
        return Err(Exhausted {
            until,
            words: format!(
                "{NEW_IN_A_WEEK} new certificates below {} have been issued within a week; a wildcard certificate serves any number of names",
                log.domain
            ),
        });
    }
    Ok(())
}

/// Writes down an order, and forgets what does not count any more.
pub fn note(log: &mut OrderLog, order: OrderTry) {
    let now = order.at;
    log.orders.push(order);
    log.orders.retain(|order| order.at > now.minus(REMEMBERED));
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::OrderFailure;

    fn name(text: &str) -> CertificateName {
        text.parse().expect("a name")
    }

    #[test]
    fn registered_domains() {
        for (text, expected) in [
            ("example.com", "example.com"),
            ("*.a.example.com", "example.com"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("shop.github.io", "shop.github.io"),
            ("a.shop.github.io", "shop.github.io"),
            ("co.uk", "co.uk"),
            ("xn--bcher-kva.de", "xn--bcher-kva.de"),
            ("a.localhost", "a.localhost"),
        ] {
            assert_eq!(registered_domain(&name(text)), expected, "{text}");
        }
        for (text, is_suffix) in [
            ("co.uk", true),
            ("github.io", true),
            ("example.co.uk", false),
            ("a.localhost", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_public_suffix(&text.parse().expect("a name")), is_suffix, "{text}");
        }
    }

    fn log(orders: impl IntoIterator<Item = (u64, &'static str, bool, bool)>) -> OrderLog {
        let orders = orders.into_iter().map(|(minute, names, renewal, failed)| OrderTry {
            at: Time(0).plus(Duration::from_secs(60 * minute)),
            names: names.into(),
            renewal,
            failure: failed.then_some(OrderFailure::Dns),
        });
        OrderLog {
            domain: "example.com".into(),
            orders: orders.collect(),
        }
    }

    fn at(minute: u64) -> Time {
        Time(0).plus(Duration::from_secs(60 * minute))
    }

    #[test]
    fn failed_orders_are_few() {
        let names = [name("a.example.com")];
        let three = log((0..3).map(|n| (n * 10, "a.example.com", false, true)));
        assert_eq!(allows(&three, &names, false, at(31)), Ok(()));
        let four = log((0..4).map(|n| (n * 10, "b.example.com", false, true)));
        let refused = allows(&four, &names, true, at(31)).expect_err("four have failed");
        assert_eq!(refused.until, at(60), "when the first is an hour old");
        assert_eq!(allows(&four, &names, false, at(61)), Ok(()));
    }

    #[test]
    fn the_same_names_are_not_ordered_over_and_over() {
        let names = [name("b.example.com"), name("a.example.com")];
        let made = log((0..4).map(|n| (n * 100, "a.example.com,b.example.com", true, false)));
        let refused = allows(&made, &names, true, at(500)).expect_err("four were made");
        assert_eq!(refused.until, at(7 * 24 * 60));
        assert_eq!(allows(&made, &[name("c.example.com")], false, at(500)), Ok(()));
    }

    #[test]
    fn new_names_are_bounded_and_renewals_go_on() {
        let made = log((0..40).map(|n| (n, "x.example.com", false, false)));
        // Forty of one set cannot be; here only their number matters.
        let refused = allows(&made, &[name("a.example.com")], false, at(100)).expect_err("forty were made");
        assert!(refused.words.contains("wildcard"), "{}", refused.words);
        assert_eq!(allows(&made, &[name("a.example.com")], true, at(100)), Ok(()));
    }

    #[test]
    fn old_orders_are_forgotten() {
        let mut log = log([(0, "a.example.com", false, false)]);
        note(
            &mut log,
            OrderTry {
                at: at(8 * 24 * 60),
                names: "a.example.com".into(),
                renewal: false,
                failure: None,
            },
        );
        assert_eq!(log.orders.len(), 1);
    }
}
