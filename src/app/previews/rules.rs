//! What becomes of a pull request, decided from what is known alone; and where its preview is found.

use types::{AppName, Decision, Error, Host, Preview, PreviewRules, PreviewState, PullRequest, Result};

/// Unless it is said otherwise.
pub(crate) const HOST: &str = "pr-{number}.{app}.{domain}";

/// What is decided, and the state that the preview is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub decision: Decision,
    /// `None`: it stays as it is.
    pub state: Option<PreviewState>,
    pub why: String,
}

/// `others`: how many previews of the app take a place, without this one.
pub(crate) fn rule(rules: &PreviewRules, known: Option<&Preview>, request: &PullRequest, others: usize) -> Ruling {
    let (number, short) = (request.number, request.short());
    let ruling = |decision, state, why| Ruling { decision, state, why };
    let there = known.is_some_and(Preview::takes_place);
    if !request.open {
        let how = if request.merged { "merged" } else { "closed" };
        return match known {
            Some(known) if !matches!(known.state, PreviewState::Going | PreviewState::Gone) => ruling(
                Decision::PreviewRemoved,
                Some(PreviewState::Going),
                format!("removing the preview of #{number}: it was {how}"),
            ),
            _ => ruling(
                Decision::OtherEvent,
                None,
                format!("ignored: #{number} was {how}, and has no preview"),
            ),
        };
    }
    if let Some(label) = left_out(rules, request)
        && !known.is_some_and(|known| known.forced)
    {
        return match there {
            true => ruling(
                Decision::PreviewRemoved,
                Some(PreviewState::Going),
                format!("removing the preview of #{number}: {label}"),
            ),
            false => ruling(
                Decision::PreviewLeftOut,
                Some(PreviewState::LeftOut),
                format!("no preview of #{number}: {label}"),
            ),
        };
    }
    let approved = known.and_then(|known| known.approved.as_ref());
    if request.fork && approved.is_none_or(|approved| approved.commit != request.head) {
        let from = request.from.as_deref().unwrap_or("a fork that is gone");
        return ruling(
            Decision::PreviewWaits,
            Some(PreviewState::Waiting),
            format!("waiting: {short} of #{number} comes from {from}; somebody who may deploy has to allow it"),
        );
    }
    let newest = known.is_some_and(|known| known.request.head == request.head);
    let under_way = known.is_some_and(|known| matches!(known.state, PreviewState::Up | PreviewState::Wanted));
    if newest && under_way {
        return ruling(
            Decision::Unchanged,
            None,
            format!("ignored: {short} is what the preview of #{number} has already"),
        );
    }
    if !there && others >= rules.most as usize {
        return ruling(
            Decision::PreviewFull,
            Some(PreviewState::Full),
            format!(
                "no preview of #{number} yet: there are {others}, and at most {}; it follows when one goes",
                rules.most
            ),
        );
    }
    match there {
        true => ruling(
            Decision::PreviewRenewed,
            Some(PreviewState::Wanted),
            format!("renewing the preview of #{number} with {short}"),
        ),
        false => ruling(
            Decision::PreviewMade,
            Some(PreviewState::Wanted),
            format!("making a preview of #{number} from {short}"),
        ),
    }
}

/// Why its labels leave a request out.
pub(crate) fn left_out(rules: &PreviewRules, request: &PullRequest) -> Option<String> {
    let bears = |label: &String| request.labels.iter().any(|one| one.eq_ignore_ascii_case(label));
    match (&rules.never_label, &rules.only_label) {
        (Some(never), _) if bears(never) => Some(format!("it has the label `{never}`")),
        (_, Some(only)) if !bears(only) => Some(format!("it has no label `{only}`")),
        _ => None,
    }
}

/// Where a request's preview is found. Fails with `Invalid` for a pattern that makes no name, or not one for each request.
pub(crate) fn host_of(pattern: &str, number: u64, app: &AppName, domain: Option<&Host>) -> Result<Host> {
    let wrong = |why: &str| Err(Error::invalid("host", why));
    if !pattern.contains("{number}") {
        return wrong("must have {number} in it, so that each request has a name of its own");
    }
    let domain = match domain {
        Some(domain) => domain.as_str(),
        None if pattern.contains("{domain}") => {
            return wrong("there is no domain for apps: set apps_domain in the settings, or give a pattern without {domain}");
        }
        None => "",
    };
    let text = pattern
        .replace("{number}", &number.to_string())
        .replace("{app}", app.as_str())
        .replace("{domain}", domain);
    match text.parse::<Host>() {
        Ok(host) if host.address().is_none() => Ok(host),
        _ => wrong("must be a name such as pr-{number}.{app}.{domain}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{PreviewApproval, Time, World};

    fn rules() -> PreviewRules {
        let world = World::system();
        PreviewRules {
            organization: world.id(),
            app: world.id(),
            enabled: true,
            host: HOST.into(),
            only_label: None,
            never_label: Some("no-preview".into()),
            most: 2,
            days: 7,
            memory_bytes: None,
            cpu_millis: None,
            secrets: Vec::new(),
            variables: Vec::new(),
            database: None,
            comment: true,
            compared_at: None,
            problem: None,
            created_at: Time(0),
            updated_at: Time(0),
        }
    }

    fn request(fork: bool) -> PullRequest {
        PullRequest {
            number: 7,
            title: "Blue".into(),
            url: String::new(),
            author: None,
            branch: "blue".into(),
            base: "main".into(),
            head: "1".repeat(40),
            fork,
            from: Some("eve/blog".into()),
            labels: Vec::new(),
            open: true,
            merged: false,
        }
    }

    fn known(request: PullRequest, state: PreviewState) -> Preview {
        let world = World::system();
        Preview {
            organization: world.id(),
            of: world.id(),
            request,
            state,
            why: String::new(),
            forced: false,
            approved: None,
            environment: None,
            app: None,
            database: None,
            host: None,
            deployed: None,
            problem: None,
            comment: None,
            told: None,
            tell_failures: 0,
            tell_at: None,
            tell_problem: None,
            by: String::new(),
            pushed_at: Time(0),
            created_at: Time(0),
            updated_at: Time(0),
        }
    }

    #[test]
    fn what_becomes_of_a_request() {
        use Decision::{OtherEvent, PreviewFull, PreviewLeftOut, PreviewMade, PreviewRemoved, PreviewRenewed, PreviewWaits, Unchanged};
        use PreviewState::{Full, Going, Gone, LeftOut, Up, Waiting, Wanted};
        let closed = |fork| PullRequest {
            open: false,
            ..request(fork)
        };
        let pushed = |fork| PullRequest {
            head: "2".repeat(40),
            ..request(fork)
        };
        let labelled = PullRequest {
            labels: vec!["No-Preview".into()],
            ..request(false)
        };
        let approved = |state| Preview {
            approved: Some(PreviewApproval {
                commit: "1".repeat(40),
                by: "ada".into(),
                at: Time(0),
            }),
            ..known(request(true), state)
        };
        let own = |state| known(request(false), state);
        for (what, known, request, others, decision, state) in [
            ("the first", None, request(false), 0, PreviewMade, Some(Wanted)),
            ("again", Some(own(Up)), request(false), 0, Unchanged, None),
            ("a push", Some(own(Up)), pushed(false), 5, PreviewRenewed, Some(Wanted)),
            ("no room", None, request(false), 2, PreviewFull, Some(Full)),
            ("room again", Some(own(Full)), request(false), 1, PreviewMade, Some(Wanted)),
            ("closed", Some(own(Up)), closed(false), 0, PreviewRemoved, Some(Going)),
            (
                "closed while it waited",
                Some(own(Full)),
                closed(false),
                2,
                PreviewRemoved,
                Some(Going),
            ),
            ("closed twice", Some(own(Gone)), closed(false), 0, OtherEvent, None),
            ("closed unseen", None, closed(false), 0, OtherEvent, None),
            ("reopened", Some(own(Gone)), request(false), 0, PreviewMade, Some(Wanted)),
            ("its label", None, labelled.clone(), 0, PreviewLeftOut, Some(LeftOut)),
            ("labelled later", Some(own(Up)), labelled.clone(), 0, PreviewRemoved, Some(Going)),
            ("a fork", None, request(true), 0, PreviewWaits, Some(Waiting)),
            (
                "a fork that was allowed",
                Some(approved(Waiting)),
                request(true),
                0,
                PreviewMade,
                Some(Wanted),
            ),
            ("a push of it", Some(approved(Up)), pushed(true), 0, PreviewWaits, Some(Waiting)),
            (
                "a fork, closed",
                Some(approved(Waiting)),
                closed(true),
                0,
                PreviewRemoved,
                Some(Going),
            ),
        ] {
            let ruling = rule(&rules(), known.as_ref(), &request, others);
            assert_eq!((ruling.decision, ruling.state), (decision, state), "{what}: {}", ruling.why);
        }
        let forced = Preview { forced: true, ..own(Up) };
        assert_eq!(rule(&rules(), Some(&forced), &labelled, 0).decision, Unchanged);
        let only = PreviewRules {
            only_label: Some("preview".into()),
            ..rules()
        };
        let ruling = rule(&only, None, &request(false), 0);
        assert_eq!(
            (ruling.decision, ruling.why.as_str()),
            (PreviewLeftOut, "no preview of #7: it has no label `preview`")
        );
    }

    #[test]
    fn names() {
        let (blog, apps): (AppName, Host) = ("blog".parse().expect("a name"), "apps.test".parse().expect("a host"));
        let host = |pattern: &str, domain| host_of(pattern, 7, &blog, domain).map(|host| host.to_string());
        assert_eq!(host(HOST, Some(&apps)).ok().as_deref(), Some("pr-7.blog.apps.test"));
        assert_eq!(host("{app}-{number}.example.com", None).ok().as_deref(), Some("blog-7.example.com"));
        for wrong in [
            "{app}.{domain}",
            "pr {number}.x.test",
            "{number}.{number}.{number}.{number}",
            "*.{number}.test",
        ] {
            assert!(host(wrong, Some(&apps)).is_err(), "{wrong}");
        }
        assert!(host(HOST, None).expect_err("no domain").to_string().contains("apps_domain"));
    }
}
