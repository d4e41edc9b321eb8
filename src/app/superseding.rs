//! Which deployments that wait, or whose canary is tried, give way to a newer one of their app. All others are done one after another, in the order in which they
//! were asked for.

use types::{Cause, Deployment};

/// What somebody has named in place of the app's newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Rollback,
    Promotion,
    Upload,
    Image,
    Reference,
}

/// `None`: nothing is named, or by a push or a registry and not by a person.
fn order(deployment: &Deployment) -> Option<Order> {
    match deployment.cause {
        Cause::Rollback { .. } => Some(Order::Rollback),
        Cause::Promotion { .. } => Some(Order::Promotion),
        Cause::Manual if deployment.upload.is_some() => Some(Order::Upload),
        Cause::Manual if deployment.image.is_some() => Some(Order::Image),
        Cause::Manual if deployment.reference.is_some() => Some(Order::Reference),
        Cause::Manual | Cause::Created | Cause::Push { .. } | Cause::NewImage { .. } => None,
    }
}

/// Whether one that waits is superseded by a newer one: the app's newest by whatever comes, since that is newer, and what
/// somebody has named only by another of the same kind. A rollback brings back more than an image, so a push that comes before it
/// has begun must not undo it unseen.
pub(crate) fn gives_way(waiting: &Deployment, newer: &Deployment) -> bool {
    order(waiting).is_none_or(|named| order(newer) == Some(named))
}

/// Whether one whose canary is tried ends for a newer one: as one that waits does, and for every way back, since that is what somebody
/// wants who does not trust what is tried.
pub(crate) fn ends_trial(tried: &Deployment, newer: &Deployment) -> bool {
    order(newer) == Some(Order::Rollback) || gives_way(tried, newer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Phase, Reach, World};

    fn of(cause: Cause) -> Deployment {
        let world = World::system();
        Deployment {
            id: world.id(),
            organization: world.id(),
            app: world.id(),
            number: 1,
            cause,
            by: "ada".into(),
            reference: None,
            commit: None,
            upload: None,
            image: None,
            built_on: None,
            phase: Phase::Queued,
            steps: Vec::new(),
            release: None,
            previous: None,
            error: None,
            cancel_requested: false,
            begun: 0,
            queued_at: world.now(),
            finished_at: None,
        }
    }

    #[test]
    fn what_gives_way_to_what() {
        let world = World::system();
        let rollback = of(Cause::Rollback {
            to: world.id(),
            keep_routes: false,
            keep_ports: false,
            reach: Reach::default(),
            kept: Vec::new(),
            why: None,
        });
        let promotion = of(Cause::Promotion {
            app: world.id(),
            release: world.id(),
        });
        let upload = Deployment {
            upload: Some(world.id()),
            ..of(Cause::Manual)
        };
        let image = Deployment {
            image: Some("nginx:2".parse().expect("a reference")),
            ..of(Cause::Manual)
        };
        let reference = Deployment {
            reference: Some("v1".parse().expect("a tag")),
            ..of(Cause::Manual)
        };
        let push = Deployment {
            reference: Some("main".parse().expect("a branch")),
            ..of(Cause::Push { delivery: world.id() })
        };
        let newer_image = of(Cause::NewImage {
            image: "nginx".into(),
            digest: "sha256:1".into(),
        });
        let newest = [push, newer_image, of(Cause::Manual), of(Cause::Created)];
        let named = [rollback, promotion, upload, image, reference];
        for waiting in &newest {
            for newer in newest.iter().chain(&named) {
                assert!(gives_way(waiting, newer), "{waiting:?} {newer:?}");
                assert!(ends_trial(waiting, newer), "{waiting:?} {newer:?}");
            }
        }
        for (n, waiting) in named.iter().enumerate() {
            for newer in &newest {
                assert!(!gives_way(waiting, newer), "{waiting:?} {newer:?}");
                assert!(!ends_trial(waiting, newer), "{waiting:?} {newer:?}");
            }
            for (m, newer) in named.iter().enumerate() {
                assert_eq!(gives_way(waiting, newer), n == m, "{waiting:?} {newer:?}");
                assert_eq!(ends_trial(waiting, newer), n == m || m == 0, "{waiting:?} {newer:?}");
            }
        }
    }
}
