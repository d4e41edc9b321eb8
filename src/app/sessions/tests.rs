//! Signing in and out as people and attackers do it.

use super::{renewal::GRACE, *};
use crate::{
    access::tests::{Gate, PASSWORD, visitor},
    users::{AccountChange, PasswordChange, UserChange},
};
use types::Role;

fn jwt(signed: &SignedIn) -> &str {
    signed.jwt.expose_str().expect("text")
}
fn cookie(signed: &SignedIn) -> &str {
    signed.refresh.expose_str().expect("text")
}
fn is_refused<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Unauthenticated { .. }))
}

#[tokio::test]
async fn signing_in_and_out() {
    let (gate, owner) = Gate::claimed().await;
    let sessions = &gate.sessions;
    let signed = sessions
        .create("ADA@example.com ", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
        .await
        .expect("signed in");
    let known = sessions.by_cookie(jwt(&signed), Some("10.0.0.2".into())).expect("known");
    assert_eq!(known.actor.who, owner.who);
    assert_eq!(
        (known.actor.role, known.actor.scopes.clone(), known.actor.address.as_deref()),
        (Role::Owner, types::Scopes::all(), Some("10.0.0.2"))
    );
    let view = sessions.show(&known).expect("shown");
    assert_eq!(view.user.expect("a person").email.as_str(), "ada@example.com");
    assert_eq!(view.csrf, signed.session.csrf);
    sessions.check_csrf(&known, Some(&view.csrf)).expect("ours");
    for wrong in [None, Some(""), Some("x"), Some(&view.csrf[1..])] {
        assert!(
            matches!(sessions.check_csrf(&known, wrong), Err(Error::Forbidden { .. })),
            "{wrong:?}"
        );
    }

    let other = sessions
        .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.3"))
        .await
        .expect("signed in");
    let list = sessions.list(&known).expect("lists");
    assert_eq!(list.len(), 2);
    assert_eq!(
        list.iter()
            .filter(|info| info.current)
            .map(|info| &info.session.id)
            .collect::<Vec<_>>(),
        [&signed.session.id]
    );
    sessions.revoke(&known, other.session.id.as_str()).await.expect("revoked");
    assert!(is_refused(sessions.by_cookie(jwt(&other), None)), "though the JWT has not expired");
    assert!(matches!(
        sessions.revoke(&known, other.session.id.as_str()).await,
        Err(Error::NotFound { .. })
    ));

    sessions.end(&known).await.expect("signed out");
    assert!(is_refused(sessions.by_cookie(jwt(&signed), None)));
    assert!(is_refused(sessions.refresh(cookie(&signed), &visitor("10.0.0.1")).await));
    sessions.end(&known).await.expect("twice is once");
    assert_eq!(
        gate.facts(),
        [
            "panel_claimed",
            "signed_in",
            "signed_in",
            "new_device",
            "signed_out",
            "signed_out",
            "signed_out"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_sign_in_at_once() {
    let (gate, _) = Gate::claimed().await;
    let tasks: Vec<_> = (0..20)
        .map(|index| {
            let sessions = gate.sessions.clone();
            tokio::spawn(async move {
                sessions
                    .create(
                        "ada@example.com",
                        &PASSWORD.into(),
                        &Further::default(),
                        &visitor(&format!("10.0.1.{index}")),
                    )
                    .await
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("signed in");
    }
    assert_eq!(gate.access.store.sessions.list().expect("lists").len(), 20);
}

#[tokio::test]
async fn wrong_password_unknown_and_disabled_look_the_same() {
    let (gate, owner) = Gate::claimed().await;
    let (bob, _) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let change = UserChange {
        disabled: Some(true),
        ..UserChange::default()
    };
    gate.users.update(&owner, bob.id.as_str(), change).await.expect("disabled");
    let mut words = Vec::new();
    for (email, password) in [
        ("ada@example.com", "wrong horse battery"),
        ("nobody@example.com", PASSWORD),
        ("bob@example.com", PASSWORD),
        ("hunter2", PASSWORD),
        ("ada@example.com", ""),
    ] {
        let error = gate
            .sessions
            .create(email, &password.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
            .expect_err("refused");
        assert!(matches!(error, Error::Unauthenticated { .. }), "{error}");
        words.push(error.to_string());
    }
    words.dedup();
    assert_eq!(words, ["mail address or password is wrong"]);
    let failed: Vec<String> = gate
        .events()
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::LoginFailed { email } => Some(format!("{email} from {}", event.address.clone().unwrap_or_default())),
            _ => None,
        })
        .collect();
    assert_eq!(failed.len(), 4, "what is no address is not kept: {failed:?}");
    assert_eq!(failed[0], "ada@example.com from 10.0.0.1");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_owner_is_not_locked_out() {
    let (gate, _) = Gate::claimed().await;
    for _ in 0..5 {
        assert!(is_refused(
            gate.sessions
                .create(
                    "ada@example.com",
                    &"wrong password".into(),
                    &Further::default(),
                    &visitor("10.0.0.66")
                )
                .await
        ));
    }
    let error = gate
        .sessions
        .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.66"))
        .await
        .expect_err("too soon");
    assert!(matches!(error, Error::Throttled { .. }), "{error}");
    gate.sessions
        .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
        .await
        .expect("from elsewhere");
    gate.clock.forward(Duration::from_secs(2));
    gate.sessions
        .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.66"))
        .await
        .expect("after the wait");
}

#[tokio::test]
async fn a_session_is_renewed_with_a_new_secret_each_time() {
    let (gate, _) = Gate::claimed().await;
    let first = gate
        .sessions
        .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
        .await
        .expect("signed in");
    gate.clock.forward(Duration::from_secs(601));
    assert!(is_refused(gate.sessions.by_cookie(jwt(&first), None)), "the JWT is short-lived");
    let mut now = first.clone();
    for _ in 0..40 {
        let next = gate.sessions.refresh(cookie(&now), &visitor("10.0.0.2")).await.expect("renewed");
        assert_ne!(cookie(&next), cookie(&now));
        assert_eq!((&next.session.id, &next.session.csrf), (&first.session.id, &first.session.csrf));
        gate.sessions.by_cookie(jwt(&next), None).expect("known");
        gate.clock.forward(Duration::from_secs(600));
        now = next;
    }
    assert_eq!(now.session.address, "10.0.0.2");
    for wrong in [
        "",
        ".",
        "x.y",
        &format!("{}.", first.session.id),
        &format!("{}.wrong", first.session.id),
    ] {
        assert!(is_refused(gate.sessions.refresh(wrong, &visitor("10.0.0.1")).await), "{wrong}");
    }
    gate.sessions
        .refresh(cookie(&now), &visitor("10.0.0.1"))
        .await
        .expect("a wrong guess ends nothing");
    gate.clock.forward(Duration::from_secs(31 * 86_400));
    assert!(
        is_refused(gate.sessions.refresh(cookie(&now), &visitor("10.0.0.1")).await),
        "not used for too long"
    );
    assert_eq!(gate.sessions.remove_ended().await.expect("removed"), 1);
}

#[tokio::test]
async fn a_session_ends_however_often_it_is_renewed_and_at_once_when_the_rules_say_so() {
    let (gate, owner) = Gate::claimed().await;
    let day = Duration::from_secs(86_400);
    let sign_in = async || {
        let from = visitor("10.0.0.1");
        let answer = gate
            .sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &from)
            .await;
        answer.expect("signed in")
    };
    let mut now = sign_in().await;
    let began = gate.access.world.now();
    for _ in 0..89 {
        gate.clock.forward(day);
        now = gate.sessions.refresh(cookie(&now), &visitor("10.0.0.1")).await.expect("renewed");
        assert!(now.session.expires_at <= began.plus(day * 90));
    }
    gate.clock.forward(day);
    assert!(is_refused(gate.sessions.refresh(cookie(&now), &visitor("10.0.0.1")).await));

    let now = sign_in().await;
    gate.clock.forward(day * 2);
    let renewed = gate.sessions.refresh(cookie(&now), &visitor("10.0.0.1")).await.expect("renewed");
    let known = gate.sessions.by_cookie(jwt(&renewed), None).expect("known");
    let shorter = crate::security::SecurityChange {
        session_days: Some(2),
        ..Default::default()
    };
    gate.security.update(&owner, shorter).await.expect("changed");
    assert!(is_refused(gate.sessions.by_cookie(jwt(&renewed), None)), "at once");
    for (idle, whole) in [(Some(0), None), (Some(91), None), (None, Some(0)), (None, Some(366))] {
        let change = crate::security::SecurityChange {
            session_idle_days: idle,
            session_days: whole,
            ..Default::default()
        };
        assert!(matches!(gate.security.update(&owner, change).await, Err(Error::Invalid { .. })));
    }

    let (one, _two, three) = (sign_in().await, sign_in().await, sign_in().await);
    let (_, bob) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let bobs = Known {
        actor: bob,
        session: None,
        expires_at: None,
    };
    assert_eq!(gate.sessions.end_others(&bobs).await.expect("none of his"), 0);
    let here = gate.sessions.by_cookie(jwt(&three), None).expect("known");
    assert!(gate.sessions.end_others(&here).await.expect("ended") >= 2);
    assert!(is_refused(gate.sessions.by_cookie(jwt(&one), None)));
    gate.sessions.by_cookie(jwt(&three), None).expect("this one stays");
    let mut reader = here.clone();
    reader.actor.scopes = types::Scopes::up_to(types::Scope::Write);
    assert!(matches!(gate.sessions.end_others(&reader).await, Err(Error::Forbidden { .. })));
    drop(known);
}

#[tokio::test]
async fn a_stolen_secret_ends_the_session() {
    let (gate, _) = Gate::claimed().await;
    let first = gate
        .sessions
        .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
        .await
        .expect("signed in");
    let second = gate.sessions.refresh(cookie(&first), &visitor("10.0.0.1")).await.expect("renewed");
    let third = gate.sessions.refresh(cookie(&second), &visitor("10.0.0.1")).await.expect("renewed");
    gate.clock.forward(Duration::from_secs(5));
    gate.sessions
        .refresh(cookie(&first), &visitor("10.0.0.1"))
        .await
        .expect("a slow tab, a moment later");
    gate.clock.forward(GRACE);
    assert!(is_refused(gate.sessions.refresh(cookie(&first), &visitor("10.0.0.66")).await));
    assert!(
        is_refused(gate.sessions.refresh(cookie(&third), &visitor("10.0.0.1")).await),
        "ended for both"
    );
    assert!(is_refused(gate.sessions.by_cookie(jwt(&third), None)));
}

#[tokio::test]
async fn lost_answers_and_two_tabs_do_not_sign_out() {
    let (gate, _) = Gate::claimed().await;
    let first = gate
        .sessions
        .create("ada@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
        .await
        .expect("signed in");
    for _ in 0..3 {
        // The answer never arrives; the browser comes again much later with what it has.
        gate.sessions.refresh(cookie(&first), &visitor("10.0.0.1")).await.expect("renewed");
        gate.clock.forward(Duration::from_secs(3600));
    }
    let nobody = Visitor::default();
    let (left, right) = tokio::join!(
        gate.sessions.refresh(cookie(&first), &nobody),
        gate.sessions.refresh(cookie(&first), &nobody),
    );
    let (left, right) = (left.expect("renewed"), right.expect("renewed"));
    gate.clock.forward(Duration::from_secs(600));
    gate.sessions
        .refresh(cookie(&right), &Visitor::default())
        .await
        .expect("whichever cookie came last");
    gate.clock.forward(Duration::from_secs(600));
    assert!(
        is_refused(gate.sessions.refresh(cookie(&left), &Visitor::default()).await),
        "the other one is retired"
    );
}

#[tokio::test]
async fn disabled_and_removed_people_are_out_at_once() {
    let (gate, owner) = Gate::claimed().await;
    for removed in [false, true] {
        let (bob, _) = gate.add(&owner, "bob@example.com", Role::Developer).await;
        let signed = gate
            .sessions
            .create("bob@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
            .expect("signed in");
        gate.sessions.by_cookie(jwt(&signed), None).expect("known");
        if removed {
            gate.users.remove(&owner, bob.id.as_str()).await.expect("removed");
        } else {
            let change = UserChange {
                role: Some(Role::Viewer),
                ..UserChange::default()
            };
            gate.users.update(&owner, bob.id.as_str(), change).await.expect("lowered");
            assert_eq!(
                gate.sessions.by_cookie(jwt(&signed), None).expect("known").actor.role,
                Role::Viewer,
                "at once"
            );
            let change = UserChange {
                disabled: Some(true),
                ..UserChange::default()
            };
            gate.users.update(&owner, bob.id.as_str(), change).await.expect("disabled");
        }
        assert!(is_refused(gate.sessions.by_cookie(jwt(&signed), None)));
        assert!(is_refused(gate.sessions.refresh(cookie(&signed), &visitor("10.0.0.1")).await));
        if !removed {
            gate.users.remove(&owner, bob.id.as_str()).await.expect("removed");
        }
    }
}

#[tokio::test]
async fn the_machine_is_owner_once_there_is_something_to_own() {
    let gate = Gate::open();
    let error = gate.sessions.by_machine(0).expect_err("nobody has it");
    assert!(error.to_string().contains("serverkit setup"), "{error}");
    let (gate, owner) = Gate::claimed().await;
    let known = gate.sessions.by_machine(0).expect("known");
    assert_eq!((known.actor.role, &known.actor.organization), (Role::Owner, &owner.organization));
    assert!(gate.sessions.show(&known).expect("shown").user.is_none());
    assert!(gate.sessions.list(&known).expect("lists").is_empty());
    gate.sessions.check_csrf(&known, None).expect("no browser, no need");
    gate.sessions.end(&known).await.expect("nothing to end");
}

/// Strangers who guess, from ever more addresses, hold new browsers up; not those in which somebody is signed in already.
#[tokio::test]
async fn whoever_is_signed_in_is_not_kept_from_their_account() {
    let (gate, _) = Gate::claimed().await;
    let here = visitor("10.0.0.1");
    let sign_in = async |device: Option<String>| {
        let here = Visitor { device, ..here.clone() };
        gate.sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &here)
            .await
    };
    let signed = sign_in(None).await.expect("signed in");
    let known = gate.sessions.by_cookie(jwt(&signed), Some("10.0.0.1".into())).expect("known");
    for index in 0..60 {
        // What is dropped has failed.
        drop(gate.access.attempt("ada@example.com", None, Some(&format!("192.0.{index}.1"))));
    }
    assert!(matches!(sign_in(None).await, Err(Error::Throttled { .. })), "a new browser waits");
    let word = signed.device.as_ref().and_then(|device| device.expose_str()).map(str::to_owned);
    sign_in(word).await.expect("a known browser does not");
    gate.second_factors.begin(&known, &PASSWORD.into()).await.expect("set up");
    gate.passkeys.begin(&known, Some(&PASSWORD.into()), &here).await.expect("asked");
    let new = AccountChange {
        name: None,
        password: Some(PasswordChange {
            current: PASSWORD.into(),
            new: "a new long secret".into(),
        }),
    };
    gate.users.update_account(&known, new).await.expect("changed");
    // Who sits at somebody's screen and guesses there is slowed down as well.
    for _ in 0..5 {
        let wrong = gate.second_factors.begin(&known, &"a wrong guess".into()).await;
        assert!(matches!(wrong, Err(Error::Invalid { .. })));
    }
    let wrong = gate.second_factors.begin(&known, &"a wrong guess".into()).await;
    assert!(matches!(wrong, Err(Error::Throttled { .. })));
}

/// Who spells an address in ever other ways guesses at the same account, and is slowed down there.
#[tokio::test]
async fn other_spellings_of_an_address_are_no_other_account() {
    let (gate, _) = Gate::claimed().await;
    let guess = async |email: &str| {
        let from = visitor("10.0.0.6");
        gate.sessions
            .create(email, &"wrong wrong wrong".into(), &Further::default(), &from)
            .await
    };
    for email in [
        "ada@example.com",
        "ADA@example.com",
        " ada@EXAMPLE.com. ",
        "ada@example.com...",
        "ada@ｅxample.com",
    ] {
        assert!(is_refused(guess(email).await), "{email}");
    }
    for email in ["ada@example.com", "ada@example.com....", "ada@eｘample.com"] {
        assert!(matches!(guess(email).await, Err(Error::Throttled { .. })), "{email}");
    }
    assert!(is_refused(guess("bob@example.com").await), "somebody else");
}

/// Others behind the same address, who guess at whatever they like, do not keep a browser out that is known.
#[tokio::test]
async fn who_shares_an_address_keeps_no_known_browser_out() {
    let (gate, _) = Gate::claimed().await;
    let sign_in = async |device: Option<String>| {
        let here = Visitor {
            device,
            ..visitor("10.0.0.1")
        };
        gate.sessions
            .create("ada@example.com", &PASSWORD.into(), &Further::default(), &here)
            .await
    };
    let signed = sign_in(None).await.expect("signed in");
    for index in 0..40 {
        drop(gate.access.attempt(&format!("user{index}@example.com"), None, Some("10.0.0.1")));
    }
    assert!(matches!(sign_in(None).await, Err(Error::Throttled { .. })), "a new browser waits");
    let word = signed.device.as_ref().and_then(|device| device.expose_str()).map(str::to_owned);
    sign_in(word).await.expect("a known browser does not");
}

#[tokio::test]
async fn a_failed_sign_in_is_told_where_the_account_is_at_home() {
    let (gate, owner) = Gate::claimed().await;
    let (bob, _) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let elsewhere: types::OrganizationId = gate.access.world.id();
    let move_out = |user: &mut User| {
        user.organization = elsewhere.clone();
        Ok(())
    };
    gate.access.store.users.update(bob.id.as_str(), move_out).await.expect("moved");
    for email in ["bob@example.com", "ada@example.com", "nobody@example.com"] {
        let wrong = gate
            .sessions
            .create(email, &"wrong wrong wrong".into(), &Further::default(), &visitor("10.0.0.1"))
            .await;
        assert!(is_refused(wrong), "{email}");
    }
    let told: Vec<_> = gate
        .events()
        .into_iter()
        .filter(|event| matches!(event.fact, Fact::LoginFailed { .. }))
        .map(|event| event.organization)
        .collect();
    let here = &owner.organization;
    assert_eq!(told, [elsewhere.clone(), here.clone(), here.clone()]);
}

/// An OpenID Connect provider whose groups give this.
pub(super) fn by_oidc(groups: Vec<crate::GroupWish>) -> crate::ProviderWish {
    crate::ProviderWish {
        name: "Example".into(),
        enabled: true,
        protocol: crate::ProtocolWish::Oidc {
            issuer: "https://id.example.com".into(),
            client_id: "panel".into(),
            client_secret: None,
            scopes: Vec::new(),
            groups_claim: "groups".into(),
            trusts_emails: false,
            authority: None,
        },
        domains: Vec::new(),
        provision: true,
        default_role: None,
        groups,
    }
}

/// Each sign-in to a directory asks who comes by this name, so it must not cost more with everybody whom it knows.
#[tokio::test]
async fn who_comes_to_a_directory_by_a_name_is_looked_up() {
    let (gate, owner) = Gate::claimed().await;
    let provider = gate.identity_providers.create(&owner, by_oidc(Vec::new())).await.expect("made");
    let (store, now) = (&gate.access.store, gate.access.world.now());
    let (bob, _) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let (amy, _) = gate.add(&owner, "amy@example.com", Role::Viewer).await;
    let known = async |user: &User, subject: &str, login: &str| {
        let identity = types::ExternalIdentity {
            provider: provider.id.clone(),
            subject: subject.into(),
            organization: owner.organization.clone(),
            user: user.id.clone(),
            login: Some(login.into()),
            created_at: now,
            last_used_at: now,
            checked_at: now,
            refresh: None,
            unanswered_since: None,
            groups: Vec::new(),
        };
        store.external_identities.insert(identity).await.expect("kept");
    };
    known(&bob, "1", "Bob").await;
    known(&amy, "2", "bob/amy").await;
    for number in 0..30 {
        known(&amy, &format!("a{number}"), &format!("amy{number}")).await;
    }
    for (login, who) in [
        ("bob", Some(&bob)),
        (" BOB ", Some(&bob)),
        ("Bob/Amy", Some(&amy)),
        ("bo", None),
        ("", None),
        ("bob/", None),
    ] {
        let (found, effort) = store::counted(async { gate.access.who_comes_as(&provider, login).expect("read") }).await;
        assert_eq!(found.map(|found| found.value.id), who.map(|who| who.id.clone()), "{login}");
        assert!(effort.records <= 3, "{login}: {effort:?}");
    }
}

/// A provider that takes somebody away would else be gone around.
#[tokio::test]
async fn who_has_only_a_provider_does_not_come_by_a_passkey_alone() {
    let (gate, owner) = Gate::claimed().await;
    let (users, from) = (&gate.access.store.users, visitor("10.0.0.1"));
    let made = async |email: &str, role| {
        let email = email.parse().expect("an address");
        let user = gate.access.account(&owner.organization, email, "Somebody".into(), role);
        users.insert(user).await.expect("made")
    };
    let bob = made("bob@example.com", Role::Admin).await;
    assert!(is_refused(gate.sessions.enter_by_passkey(bob.clone(), &from).await));
    assert_eq!(gate.facts().iter().filter(|fact| *fact == "login_failed").count(), 1);
    assert!(gate.access.sessions_of(&bob.id).expect("read").is_empty());
    let change = UserChange {
        password: Some(PASSWORD.into()),
        ..UserChange::default()
    };
    gate.users.update(&owner, bob.id.as_str(), change).await.expect("changed");
    let bob = users.get(bob.id.as_str()).expect("there");
    gate.sessions
        .enter_by_passkey(bob, &from)
        .await
        .expect("a password lets him in too");
    let cy = made("cy@example.com", Role::Owner).await;
    gate.sessions.enter_by_passkey(cy, &from).await.expect("no provider lets owners in");
}

/// Somebody whom a provider has shown, in these groups.
fn shown(groups: &[&str]) -> identity::Person {
    identity::Person {
        subject: "bob there".into(),
        email: Some("bob@example.com".into()),
        email_verified: true,
        name: Some("Bob".into()),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        session: None,
        until: None,
        refresh: None,
    }
}

#[tokio::test]
async fn a_role_that_groups_raise_and_an_account_that_they_keep_out_are_told() {
    let (gate, owner) = Gate::claimed().await;
    let role = |group: &str, role| types::GroupRole {
        group: group.into(),
        role,
        given: None,
    };
    let provider = types::IdentityProvider {
        id: gate.access.world.id(),
        organization: owner.organization.clone(),
        name: "Example".into(),
        enabled: true,
        protocol: types::Protocol::Oidc(types::OidcSettings {
            issuer: "https://id.example.com".into(),
            client_id: "panel".into(),
            client_secret: None,
            scopes: Vec::new(),
            groups_claim: "groups".into(),
            trusts_emails: false,
            authority: None,
        }),
        domains: Vec::new(),
        provision: true,
        default_role: None,
        groups: vec![role("readers", Role::Viewer), role("ops", Role::Admin)],
        created_at: gate.access.world.now(),
    };
    gate.access.store.identity_providers.insert(provider.clone()).await.expect("kept");
    let from = visitor("10.0.0.1");
    let enter = async |groups: &[&str]| gate.sessions.let_person_in(&provider, shown(groups), None, &from).await;
    let told = |kind: &str| gate.facts().iter().filter(|fact| *fact == kind).count();
    assert!(is_refused(enter(&["strangers"]).await));
    assert_eq!(told("login_failed"), 0, "nobody is known by that name yet");
    enter(&["readers"]).await.expect("in");
    assert_eq!(told("role_raised"), 0);
    enter(&["ops"]).await.expect("in");
    let raised = gate.events().into_iter().find_map(|event| match event.fact {
        Fact::RoleRaised { email, role, .. } => Some((email, role)),
        _ => None,
    });
    assert_eq!(raised, Some(("bob@example.com".into(), "admin".into())));
    enter(&["readers"]).await.expect("in");
    assert_eq!(told("role_raised"), 1, "lowered");
    assert!(is_refused(enter(&[]).await));
    assert_eq!(told("login_failed"), 1);
}

/// What groups give beside the role holds for as long as the provider tells of the group, has the rule, and the role is there.
#[tokio::test]
async fn groups_give_made_roles_and_places() {
    let (gate, owner) = Gate::claimed().await;
    let all = &gate.identity_providers;
    let rights = [types::Action::Deploy, types::Action::Terminal].into();
    gate.rights.create_role(&owner, "Builder", "", rights).await.expect("made");
    let wish = |groups: &[(&str, &str, Option<&str>)]| {
        by_oidc(
            groups
                .iter()
                .map(|(group, role, place)| crate::GroupWish {
                    group: (*group).into(),
                    role: (*role).into(),
                    place: place.map(str::to_owned),
                })
                .collect(),
        )
    };
    for (role, place) in [
        ("Nobody's", None),
        ("owner", None),
        ("owner", Some("project:x")),
        ("Builder", Some("project:nowhere")),
    ] {
        let refused = all.create(&owner, wish(&[("dev", role, place)])).await;
        assert!(
            matches!(refused, Err(Error::Invalid { field, .. }) if field == "groups"),
            "{role} {place:?}"
        );
    }
    let rules = [("dev", "Builder", None), ("readers", "viewer", None)];
    let provider = all.create(&owner, wish(&rules)).await.expect("made");
    let written = all.rules(&provider).expect("read");
    assert_eq!((written[0].role.as_str(), written[1].role.as_str()), ("Builder", "viewer"));
    let from = visitor("10.0.0.1");
    let enter = async |groups: &[&str]| {
        let provider = gate.access.store.identity_providers.get(provider.id.as_str()).expect("there").value;
        let signed = gate
            .sessions
            .let_person_in(&provider, shown(groups), None, &from)
            .await
            .expect("in");
        (gate.sessions.by_cookie(jwt(&signed), None).expect("known").actor, signed)
    };
    let (actor, signed) = enter(&["dev"]).await;
    assert_eq!(actor.role, Role::Member);
    actor.may(types::Action::Deploy).expect("by the group");
    actor.may(types::Action::View).expect("by the group");
    assert!(actor.may(types::Action::Configure).is_err(), "no more than the role");
    // The same session, without the group, with another rule, and without the role.
    let may = || {
        let actor = gate.sessions.by_cookie(jwt(&signed), None).expect("known").actor;
        actor.may(types::Action::Deploy).is_ok()
    };
    assert!(may());
    enter(&["readers"]).await;
    assert!(!may(), "not in the group any more");
    enter(&["readers", "dev"]).await;
    assert!(may(), "beside the role of another group");
    let rules = [("ops", "Builder", None), ("dev", "member", None)];
    all.replace(&owner, provider.id.as_str(), wish(&rules)).await.expect("replaced");
    assert!(!may(), "the rule is another");
    enter(&["ops"]).await;
    assert!(may());
    gate.rights.remove_role(&owner, "Builder").await.expect("removed");
    assert!(!may(), "no role, no right");
    let (actor, _) = enter(&["ops"]).await;
    assert_eq!((actor.role, actor.rights().len()), (Role::Member, 0), "{:?}", actor.rights());
    // What was there before can stay while something else is changed, such as that it is on.
    let gone = all.rules(&all.get(&owner, provider.id.as_str()).expect("there")).expect("read");
    let mut off = wish(&[]);
    (off.enabled, off.groups) = (false, gone);
    all.replace(&owner, provider.id.as_str(), off).await.expect("turned off");
    assert!(is_refused(gate.sessions.by_cookie(jwt(&signed), None)));
}
