//! Tokens as they are made, used, turned over and taken away, over a real store.

use super::*;
use crate::{access::tests::Gate, sessions::Known, users::UserChange};

fn wish(name: &str, scope: Scope) -> NewToken {
    NewToken {
        name: name.into(),
        scopes: Scopes::up_to(scope),
        places: None,
        networks: Vec::new(),
        lasts: Lasts::Default,
        user: None,
    }
}

impl Gate {
    async fn with(&self, secret: &Secret) -> Result<Known> {
        self.sessions
            .by_token(secret.expose_str().expect("text"), Some("10.0.0.9".into()))
            .await
    }
}

#[tokio::test]
async fn a_token_acts_for_its_person() {
    let (gate, owner) = Gate::claimed().await;
    let (bob, bob_actor) = gate.add(&owner, "bob@example.com", Role::Developer).await;
    let (view, secret) = gate.tokens.create(&bob_actor, wish(" ci ", Scope::Write)).await.expect("made");
    let text = secret.expose_str().expect("text");
    assert!(text.starts_with(&view.token.hint) && view.token.name == "ci" && view.user.id == bob.id);
    let on_disk = gate.access.store.tokens.list().expect("lists");
    assert!(
        !serde_json::to_string(&on_disk[0].value).expect("JSON").contains(&text[8..]),
        "only its hash is kept"
    );

    let known = gate.with(&secret).await.expect("known");
    assert_eq!(
        (known.actor.role, known.actor.scopes.clone()),
        (Role::Developer, Scopes::up_to(Scope::Write))
    );
    assert_eq!(known.actor.who.to_string(), "token ci");
    assert_eq!(known.actor.user(), Some(&bob.id));
    assert_eq!(gate.sessions.show(&known).expect("shown").user.expect("a person").id, bob.id);
    gate.sessions.check_csrf(&known, None).expect("no cookie, no need");

    // The role is the person's present one, and a disabled person's token rests.
    let change = UserChange {
        role: Some(Role::Viewer),
        ..UserChange::default()
    };
    gate.users.update(&owner, bob.id.as_str(), change).await.expect("lowered");
    assert_eq!(gate.with(&secret).await.expect("known").actor.role, Role::Viewer);
    for (disabled, works) in [(true, false), (false, true)] {
        let change = UserChange {
            disabled: Some(disabled),
            ..UserChange::default()
        };
        gate.users.update(&owner, bob.id.as_str(), change).await.expect("changed");
        assert_eq!(gate.with(&secret).await.is_ok(), works);
    }
    gate.users.remove(&owner, bob.id.as_str()).await.expect("removed");
    assert!(matches!(gate.with(&secret).await, Err(Error::Unauthenticated { .. })));
    assert!(gate.access.store.tokens.list().expect("lists").is_empty());
}

#[tokio::test]
async fn use_is_noted_once_a_minute() {
    let (gate, owner) = Gate::claimed().await;
    let (view, secret) = gate.tokens.create(&owner, wish("ci", Scope::Read)).await.expect("made");
    let noted = || gate.access.store.tokens.get(view.token.id.as_str()).expect("there");
    assert!(noted().last_used_at.is_none());
    gate.with(&secret).await.expect("known");
    let first = noted();
    assert_eq!(first.last_used_at, Some(gate.access.world.now()));
    gate.clock.forward(Duration::from_secs(59));
    gate.with(&secret).await.expect("known");
    assert_eq!(noted(), first, "nothing is written");
    gate.clock.forward(Duration::from_secs(1));
    gate.with(&secret).await.expect("known");
    assert_eq!(noted().last_used_at, Some(gate.access.world.now()));
}

#[tokio::test]
async fn tokens_end() {
    let (gate, owner) = Gate::claimed().await;
    for (lasts, days) in [(Lasts::Default, 90), (Lasts::Days(1), 1), (Lasts::Days(3650), 3650)] {
        let (view, secret) = gate
            .tokens
            .create(
                &owner,
                NewToken {
                    lasts,
                    ..wish("ci", Scope::Read)
                },
            )
            .await
            .expect("made");
        let end = view.token.expires_at.expect("an end");
        assert_eq!(end.since(gate.access.world.now()), Duration::from_secs(days * 86_400));
        gate.clock.forward(Duration::from_secs(days * 86_400 - 1));
        gate.with(&secret).await.expect("still good");
        gate.clock.forward(Duration::from_secs(1));
        let error = gate.with(&secret).await.expect_err("ended");
        assert!(error.to_string().contains("expired"), "{error}");
    }
    for days in [0, 3651, u32::MAX] {
        let error = gate
            .tokens
            .create(
                &owner,
                NewToken {
                    lasts: Lasts::Days(days),
                    ..wish("ci", Scope::Read)
                },
            )
            .await;
        assert!(matches!(error, Err(Error::Invalid { .. })), "{days}");
    }
    let (view, _) = gate
        .tokens
        .create(
            &owner,
            NewToken {
                lasts: Lasts::ForEver,
                ..wish("ci", Scope::Read)
            },
        )
        .await
        .expect("made");
    assert!(view.token.expires_at.is_none());
    for name in ["", " ", "a\nb", &"x".repeat(61)] {
        assert!(
            matches!(
                gate.tokens.create(&owner, wish(name, Scope::Read)).await,
                Err(Error::Invalid { .. })
            ),
            "{name:?}"
        );
    }
    for wrong in ["", "sk_", "sk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert!(matches!(
            gate.sessions.by_token(wrong, None).await,
            Err(Error::Unauthenticated { .. })
        ));
    }
}

#[tokio::test]
async fn a_token_makes_none_that_reach_further_or_last_longer() {
    let (gate, owner) = Gate::claimed().await;
    for (own, wished, allowed) in [
        (Scope::Read, Scope::Read, false),
        (Scope::Deploy, Scope::Read, false),
        (Scope::Write, Scope::Read, true),
        (Scope::Write, Scope::Write, true),
        (Scope::Write, Scope::Admin, false),
        (Scope::Admin, Scope::Admin, true),
    ] {
        let lasts = Lasts::Days(7);
        let (parent, secret) = gate
            .tokens
            .create(
                &owner,
                NewToken {
                    lasts,
                    ..wish("parent", own)
                },
            )
            .await
            .expect("made");
        let actor = gate.with(&secret).await.expect("known").actor;
        for lasts in [Lasts::Default, Lasts::ForEver] {
            let made = gate
                .tokens
                .create(
                    &actor,
                    NewToken {
                        lasts,
                        ..wish("child", wished)
                    },
                )
                .await;
            assert_eq!(made.is_ok(), allowed, "{own:?} makes {wished:?}");
            if let Ok((child, _)) = made {
                assert_eq!(child.token.expires_at, parent.token.expires_at);
            }
        }
    }
}

#[tokio::test]
async fn a_token_gets_no_secret_of_one_that_lasts_longer_or_comes_from_elsewhere() {
    let (gate, owner) = Gate::claimed().await;
    let net = |text: &str| -> Vec<IpNet> { vec![text.parse().expect("a network")] };
    let made = async |name: &str, lasts: Lasts, networks: Vec<IpNet>| {
        let wish = NewToken {
            lasts,
            networks,
            ..wish(name, Scope::Write)
        };
        gate.tokens.create(&owner, wish).await.expect("made")
    };
    let (short, secret) = made("short", Lasts::Days(7), Vec::new()).await;
    let ending = gate.with(&secret).await.expect("known").actor;
    let (_, secret) = made("near", Lasts::ForEver, net("10.0.0.0/24")).await;
    let near = gate.with(&secret).await.expect("known").actor;
    let (twin, _) = made("twin", Lasts::Days(7), net("10.0.0.9/32")).await;
    let (long, _) = made("long", Lasts::Days(8), Vec::new()).await;
    let (endless, _) = made("endless", Lasts::ForEver, Vec::new()).await;
    let (far, _) = made("far", Lasts::Days(1), net("10.0.0.0/8")).await;
    for (asks, token, needs) in [
        (&ending, &short, None),
        (&ending, &twin, None),
        (&ending, &long, Some("lasts as long")),
        (&ending, &endless, Some("lasts as long")),
        (&near, &twin, None),
        (&near, &long, Some("from anywhere")),
        (&near, &far, Some("all these networks")),
        (&owner, &endless, None),
    ] {
        let rotated = gate.tokens.rotate(asks, token.token.id.as_str(), 60).await;
        let name = &token.token.name;
        match needs {
            None => drop(rotated.unwrap_or_else(|error| panic!("{name}: {error}"))),
            Some(needs) => {
                let error = rotated.err().unwrap_or_else(|| panic!("{name} is rotated")).to_string();
                assert!(error.contains(needs), "{name}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn whose_token_is_an_owners_is_asked_in_this_organization() {
    let (gate, owner) = Gate::claimed().await;
    let acme = gate.organizations.create(&owner, "acme".parse().expect("a name"), None).await;
    let acme = acme.expect("made").organization.id;
    let mut there = Vec::new();
    for (email, role) in [("eve@example.com", Role::Owner), ("cy@example.com", Role::Admin)] {
        // At home both only look.
        let (user, actor) = gate.add(&owner, email, Role::Viewer).await;
        let membership = types::Membership {
            organization: acme.clone(),
            user: user.id,
            role,
            created_at: gate.access.world.now(),
        };
        gate.access.store.memberships.insert(membership).await.expect("in");
        there.push(Actor {
            organization: acme.clone(),
            role,
            hosts: false,
            ..actor
        });
    }
    let (theirs, _) = gate.tokens.create(&there[0], wish("eve's", Scope::Read)).await.expect("made");
    let revoked = gate.tokens.revoke(&there[1], theirs.token.id.as_str()).await;
    assert!(matches!(revoked, Err(Error::Forbidden { .. })), "owners are above admins here too");
    gate.tokens.revoke(&there[0], theirs.token.id.as_str()).await.expect("own");
}

#[tokio::test]
async fn who_sees_and_revokes_which() {
    let (gate, owner) = Gate::claimed().await;
    let (_, admin) = gate.add(&owner, "admin@example.com", Role::Admin).await;
    let (_, bob) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let (_, eve) = gate.add(&owner, "eve@example.com", Role::Developer).await;
    let (of_owner, _) = gate.tokens.create(&owner, wish("owner's", Scope::Admin)).await.expect("made");
    gate.clock.forward(Duration::from_millis(1));
    let (of_bob, secret) = gate.tokens.create(&bob, wish("bob's", Scope::Read)).await.expect("made");
    gate.clock.forward(Duration::from_millis(1));
    let (second, _) = gate.tokens.create(&bob, wish("bob's second", Scope::Read)).await.expect("made");
    let names = |actor: &Actor| {
        gate.tokens
            .list(actor)
            .expect("lists")
            .into_iter()
            .map(|view| view.token.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&admin), ["bob's second", "bob's", "owner's"]);
    assert_eq!(names(&bob), ["bob's second", "bob's"]);
    assert!(names(&eve).is_empty());

    let revoke = async |actor: &Actor, view: &TokenView| gate.tokens.revoke(actor, view.token.id.as_str()).await;
    assert!(matches!(revoke(&eve, &of_bob).await, Err(Error::NotFound { .. })));
    assert!(
        matches!(revoke(&admin, &of_owner).await, Err(Error::Forbidden { .. })),
        "owners are above admins"
    );
    let itself = gate.with(&secret).await.expect("known").actor;
    assert!(
        matches!(revoke(&itself, &second).await, Err(Error::Forbidden { .. })),
        "it only reads"
    );
    revoke(&itself, &of_bob).await.expect("a token may end itself");
    assert!(gate.with(&secret).await.is_err());
    revoke(&admin, &second).await.expect("an admin may");
    assert!(matches!(revoke(&admin, &second).await, Err(Error::NotFound { .. })));
    revoke(&owner, &of_owner).await.expect("own");
    assert_eq!(gate.facts().iter().filter(|fact| *fact == "token_revoked").count(), 3);

    let machine = gate.sessions.by_machine(0).expect("known").actor;
    let (view, _) = gate.tokens.create(&machine, wish("made here", Scope::Admin)).await.expect("made");
    assert_eq!(view.user.email.as_str(), "ada@example.com");
    assert_eq!(gate.tokens.get(&machine, &view.token.id).expect("there").token.name, "made here");
}

#[tokio::test]
async fn a_token_is_bound_to_places_and_networks() {
    let (gate, owner) = Gate::claimed().await;
    let project = gate.access.store.projects.list().expect("lists")[0].id.clone();
    let bound = NewToken {
        places: Some(vec!["project:default".into()]),
        networks: vec!["10.0.0.0/24".parse().expect("a network")],
        ..wish("bound", Scope::Admin)
    };
    let (view, secret) = gate.tokens.create(&owner, bound).await.expect("made");
    assert_eq!(view.places, Some(vec![(format!("project:{project}"), "project default".into())]));
    let known = gate.with(&secret).await.expect("from 10.0.0.9");
    assert_eq!(known.actor.spots, Some(vec![Spot::Project(project.clone())]));
    assert!(known.actor.may(Action::View).is_err() && known.actor.may(Action::ManageTeam).is_err());
    assert!(known.actor.may_in(Action::Terminal, &types::Site::project(project)).is_ok());
    assert!(
        gate.tokens.create(&known.actor, wish("child", Scope::Read)).await.is_err(),
        "it makes none"
    );
    let text = secret.expose_str().expect("text");
    for (address, lets_in) in [
        (Some("10.0.0.9"), true),
        (Some("::ffff:10.0.0.9"), true),
        (Some("10.0.1.9"), false),
        (Some("nonsense"), false),
        (None, false),
    ] {
        let known = gate.sessions.by_token(text, address.map(str::to_owned)).await;
        assert_eq!(known.is_ok(), lets_in, "{address:?}");
    }
    let seen = gate.tokens.list(&owner).expect("lists").remove(0).token;
    assert_eq!(seen.last_used_address.as_deref(), Some("::ffff:10.0.0.9"));
    for places in [
        vec![],
        vec!["project:nosuch".into()],
        vec!["app:nosuch".into()],
        vec!["moon".into()],
    ] {
        let odd = NewToken {
            places: Some(places),
            ..wish("odd", Scope::Read)
        };
        assert!(gate.tokens.create(&owner, odd).await.is_err());
    }
    let whole = "10.0.0.0/8".parse::<IpNet>().expect("a network");
    let part = "10.1.0.0/16".parse::<IpNet>().expect("a network");
    assert_eq!(within(&[whole], vec![]).expect("inherits"), [whole]);
    assert_eq!(within(&[whole], vec![part]).expect("fits"), [part]);
    assert!(within(&[part], vec![whole]).is_err());
}

#[tokio::test]
async fn a_rotated_token_has_a_grace_time() {
    let (gate, owner) = Gate::claimed().await;
    let (view, old) = gate.tokens.create(&owner, wish("ci", Scope::Deploy)).await.expect("made");
    let id = view.token.id.as_str();
    assert!(gate.tokens.rotate(&owner, id, LONGEST_GRACE + 1).await.is_err());
    let (_, new) = gate.tokens.rotate(&owner, id, 60).await.expect("rotated");
    let itself = gate.with(&new).await.expect("new").actor;
    gate.with(&old).await.expect("the old one is still good");
    gate.clock.forward(Duration::from_secs(3600));
    let told = gate.with(&old).await.err().map(|error| error.to_string()).expect("refused");
    assert!(told.contains("another secret"), "{told}");
    let (_, newest) = gate.tokens.rotate(&itself, id, 0).await.expect("a token rotates itself");
    assert!(gate.with(&new).await.is_err() && gate.with(&old).await.is_err());
    gate.with(&newest).await.expect("newest");
    let (_, other) = gate.add(&owner, "bob@example.com", Role::Admin).await;
    assert!(gate.tokens.rotate(&other, id, 0).await.is_err(), "not another person's");
}

#[tokio::test]
async fn service_accounts_have_tokens_and_no_password() {
    let (gate, owner) = Gate::claimed().await;
    let (_, admin) = gate.add(&owner, "admin@example.com", Role::Admin).await;
    let made = gate
        .users
        .create_service(&admin, "CI of the shop", Role::Developer)
        .await
        .expect("made");
    assert!(made.user.service && made.user.email.as_str().starts_with("ci-of-the-shop."));
    let email = made.user.email.as_str();
    let signed = gate
        .sessions
        .create(
            email,
            &"".into(),
            &crate::Further::default(),
            &crate::access::tests::visitor("10.0.0.1"),
        )
        .await;
    assert!(matches!(signed, Err(Error::Unauthenticated { .. })), "nobody signs in as it");
    let password = UserChange {
        password: Some("correct horse battery".into()),
        ..UserChange::default()
    };
    assert!(gate.users.update(&admin, made.user.id.as_str(), password).await.is_err());
    let for_it = |scope| NewToken {
        user: Some(made.user.id.to_string()),
        ..wish("deploys", scope)
    };
    let (view, secret) = gate.tokens.create(&admin, for_it(Scope::Deploy)).await.expect("made");
    let known = gate.with(&secret).await.expect("known");
    assert_eq!((view.user.id, known.actor.role), (made.user.id.clone(), Role::Developer));
    gate.tokens
        .rotate(&admin, view.token.id.as_str(), 0)
        .await
        .expect("admins rotate it");
    let (bob, developer) = gate.add(&owner, "bob@example.com", Role::Developer).await;
    assert!(gate.tokens.create(&developer, for_it(Scope::Read)).await.is_err());
    let for_bob = NewToken {
        user: Some(bob.id.to_string()),
        ..wish("as bob", Scope::Read)
    };
    assert!(gate.tokens.create(&admin, for_bob).await.is_err(), "people make their own");
    assert!(gate.users.create_service(&admin, "above", Role::Owner).await.is_err());
    gate.users
        .remove(&admin, made.user.id.as_str())
        .await
        .expect("removed with its tokens");
    assert!(gate.with(&secret).await.is_err());
}

#[tokio::test]
async fn a_token_for_some_kinds_makes_none_for_others() {
    let (gate, owner) = Gate::claimed().await;
    let scopes = |texts: &[&str]| Scopes::of(texts.iter().map(|text| text.parse::<types::BoundScope>().expect("a scope")));
    let wish = |texts: &[&str]| NewToken {
        scopes: scopes(texts),
        ..wish("bound", Scope::Read)
    };
    let (_, secret) = gate
        .tokens
        .create(&owner, wish(&["tokens:write", "jobs:read"]))
        .await
        .expect("made");
    let known = gate.with(&secret).await.expect("known").actor;
    assert!(
        known.may(Action::View).is_err(),
        "no operation has said of which kind its things are"
    );
    assert!(matches!(
        gate.tokens.create(&known, wish(&["jobs:read"])).await,
        Err(Error::Forbidden { .. })
    ));
    let parent = known.touching(types::Family::Tokens);
    assert!(crate::sessions::same_rights(&known, &parent), "a stream asks again without a kind");
    for (wished, allowed) in [
        (vec!["jobs:read"], true),
        (vec!["jobs:read", "tokens:read"], true),
        (vec!["jobs:write"], false),
        (vec!["apps:read"], false),
        (vec!["read"], false),
    ] {
        let made = gate.tokens.create(&parent, wish(&wished)).await;
        assert_eq!(made.is_ok(), allowed, "{wished:?}");
        if let Ok((view, _)) = made {
            assert_eq!(view.token.scopes, scopes(&wished));
        }
    }
}
