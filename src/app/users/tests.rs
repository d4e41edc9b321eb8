//! People, their accounts and the last owner, over a real store.

use super::*;
use crate::{
    access::tests::{Gate, PASSWORD, visitor},
    sessions::Further,
};
use types::Scope;

fn role(role: Role) -> UserChange {
    UserChange {
        role: Some(role),
        ..UserChange::default()
    }
}
fn disabled() -> UserChange {
    UserChange {
        disabled: Some(true),
        ..UserChange::default()
    }
}
fn wish(email: &str, role: Role) -> NewUser {
    NewUser {
        email: email.into(),
        name: "Bob".into(),
        role,
        password: PASSWORD.into(),
    }
}

#[tokio::test]
async fn who_may_manage_people() {
    let (gate, owner) = Gate::claimed().await;
    let (admin_user, admin) = gate.add(&owner, "admin@example.com", Role::Admin).await;
    let (_, developer) = gate.add(&admin, "developer@example.com", Role::Developer).await;
    let (viewer_user, viewer) = gate.add(&admin, "viewer@example.com", Role::Viewer).await;
    for actor in [&developer, &viewer] {
        assert!(matches!(gate.users.list(actor), Err(Error::Forbidden { .. })));
        assert!(matches!(
            gate.users.create(actor, wish("x@example.com", Role::Viewer)).await,
            Err(Error::Forbidden { .. })
        ));
        assert!(matches!(
            gate.users.update(actor, viewer_user.id.as_str(), role(Role::Admin)).await,
            Err(Error::Forbidden { .. })
        ));
        assert!(matches!(
            gate.users.remove(actor, viewer_user.id.as_str()).await,
            Err(Error::Forbidden { .. })
        ));
    }
    assert_eq!(gate.users.list(&admin).expect("lists").len(), 4);

    // Only owners make owners, and only owners touch them.
    let owner_id = owner.user().expect("a person").as_str();
    let password = UserChange {
        password: Some("another long secret".into()),
        ..UserChange::default()
    };
    assert!(matches!(
        gate.users.create(&admin, wish("x@example.com", Role::Owner)).await,
        Err(Error::Forbidden { .. })
    ));
    assert!(matches!(
        gate.users.update(&admin, admin_user.id.as_str(), role(Role::Owner)).await,
        Err(Error::Forbidden { .. })
    ));
    for change in [role(Role::Viewer), disabled(), password] {
        assert!(matches!(
            gate.users.update(&admin, owner_id, change).await,
            Err(Error::Forbidden { .. })
        ));
    }
    assert!(matches!(gate.users.remove(&admin, owner_id).await, Err(Error::Forbidden { .. })));
    let mut token = owner.clone();
    token.scopes = types::Scopes::up_to(Scope::Write);
    assert!(matches!(
        gate.users.create(&token, wish("x@example.com", Role::Viewer)).await,
        Err(Error::Forbidden { .. })
    ));

    // People of another organization are not there.
    let mut stranger = owner.clone();
    stranger.organization = gate.access.world.id();
    assert!(gate.users.list(&stranger).expect("lists").is_empty());
    assert!(matches!(
        gate.users.remove(&stranger, viewer_user.id.as_str()).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn the_last_owner_stays() {
    let (gate, owner) = Gate::claimed().await;
    let id = owner.user().expect("a person").as_str().to_owned();
    for change in [role(Role::Admin), disabled()] {
        let error = gate.users.update(&owner, &id, change).await.expect_err("the last");
        assert_eq!(
            error.to_string(),
            "ada@example.com is the last owner; make somebody else an owner first"
        );
    }
    assert!(matches!(gate.users.remove(&owner, &id).await, Err(Error::Busy { .. })));
    let (second, second_actor) = gate.add(&owner, "bob@example.com", Role::Owner).await;
    gate.users
        .update(&owner, second.id.as_str(), disabled())
        .await
        .expect("one is left");
    assert!(
        matches!(gate.users.remove(&owner, &id).await, Err(Error::Busy { .. })),
        "a disabled owner does not count"
    );
    let enabled = UserChange {
        disabled: Some(false),
        ..UserChange::default()
    };
    gate.users.update(&owner, second.id.as_str(), enabled).await.expect("enabled");

    // Both step down at once: one is too late.
    let (left, right) = tokio::join!(
        gate.users.update(&owner, &id, role(Role::Admin)),
        gate.users.update(&second_actor, second.id.as_str(), role(Role::Admin)),
    );
    assert_eq!(usize::from(left.is_ok()) + usize::from(right.is_ok()), 1);
}

#[tokio::test]
async fn bad_wishes_are_refused() {
    let (gate, owner) = Gate::claimed().await;
    for (field, bad) in [
        (
            "email",
            NewUser {
                email: "x".into(),
                ..wish("", Role::Viewer)
            },
        ),
        (
            "name",
            NewUser {
                name: "  ".into(),
                ..wish("x@example.com", Role::Viewer)
            },
        ),
        (
            "name",
            NewUser {
                name: "a\nb".into(),
                ..wish("x@example.com", Role::Viewer)
            },
        ),
        (
            "name",
            NewUser {
                name: "x".repeat(300),
                ..wish("x@example.com", Role::Viewer)
            },
        ),
        (
            "password",
            NewUser {
                password: "password123".into(),
                ..wish("x@example.com", Role::Viewer)
            },
        ),
        (
            "password",
            NewUser {
                password: "x@example.com".into(),
                ..wish("x@example.com", Role::Viewer)
            },
        ),
    ] {
        let error = gate.users.create(&owner, bad).await.expect_err(field);
        assert!(
            matches!(&error, Error::Invalid { field: named, .. } if named == field),
            "{field}: {error}"
        );
    }
    let error = gate
        .users
        .create(&owner, wish("ADA@example.com", Role::Viewer))
        .await
        .expect_err("taken");
    assert_eq!(error.to_string(), "the user `ada@example.com` is taken");
    assert!(matches!(
        gate.users.update(&owner, "usr_x", role(Role::Admin)).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let (gate, owner) = Gate::claimed().await;
    let sign_in = async |password: &str| {
        gate.sessions
            .create("ada@example.com", &password.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
    };
    let (here, there) = (sign_in(PASSWORD).await.expect("in"), sign_in(PASSWORD).await.expect("in"));
    let known = gate.sessions.by_cookie(here.jwt.expose_str().expect("text"), None).expect("known");
    let change = |current: &str, new: &str| AccountChange {
        name: Some("Ada L.".into()),
        password: Some(PasswordChange {
            current: current.into(),
            new: new.into(),
        }),
    };
    let error = gate
        .users
        .update_account(&known, change("wrong", "a new long secret"))
        .await
        .expect_err("refused");
    assert!(
        matches!(&error, Error::Invalid { field, .. } if field == "password.current"),
        "{error}"
    );
    let error = gate
        .users
        .update_account(&known, change(PASSWORD, "short"))
        .await
        .expect_err("refused");
    assert!(matches!(&error, Error::Invalid { field, .. } if field == "password.new"), "{error}");
    assert_eq!(
        gate.access
            .member(&owner.organization, known.actor.user().expect("a person").as_str())
            .expect("there")
            .name,
        "Ada"
    );

    let user = gate
        .users
        .update_account(&known, change(PASSWORD, "a new long secret"))
        .await
        .expect("changed")
        .user;
    assert_eq!(user.name, "Ada L.");
    gate.sessions
        .by_cookie(here.jwt.expose_str().expect("text"), None)
        .expect("this one stays");
    assert!(
        gate.sessions.by_cookie(there.jwt.expose_str().expect("text"), None).is_err(),
        "the others end"
    );
    assert!(sign_in(PASSWORD).await.is_err());
    sign_in("a new long secret").await.expect("in");

    // Set by an administrator: all end.
    let password = UserChange {
        password: Some("a third long secret".into()),
        ..UserChange::default()
    };
    gate.users.update(&owner, user.id.as_str(), password).await.expect("changed");
    assert!(gate.sessions.by_cookie(here.jwt.expose_str().expect("text"), None).is_err());

    let machine = gate.sessions.by_machine(0).expect("known");
    assert!(matches!(
        gate.users.update_account(&machine, AccountChange::default()).await,
        Err(Error::Forbidden { .. })
    ));
}

#[tokio::test]
async fn guessing_the_present_password_is_slowed_down() {
    let (gate, owner) = Gate::claimed().await;
    let known = Known {
        actor: owner,
        session: None,
        expires_at: None,
    };
    let guess = || AccountChange {
        name: None,
        password: Some(PasswordChange {
            current: "a wrong guess".into(),
            new: "a new long secret".into(),
        }),
    };
    for _ in 0..5 {
        assert!(matches!(
            gate.users.update_account(&known, guess()).await,
            Err(Error::Invalid { .. })
        ));
    }
    assert!(matches!(
        gate.users.update_account(&known, guess()).await,
        Err(Error::Throttled { .. })
    ));
}

#[tokio::test]
async fn changing_nothing_says_nothing() {
    let (gate, owner) = Gate::claimed().await;
    let id = owner.user().expect("a person").as_str();
    let same = UserChange {
        name: Some("Ada".into()),
        role: Some(Role::Owner),
        disabled: Some(false),
        password: None,
    };
    gate.users.update(&owner, id, same).await.expect("as it is");
    assert_eq!(gate.facts(), ["panel_claimed"]);
}

#[tokio::test]
async fn a_password_that_somebody_else_sets_is_told() {
    let (gate, owner) = Gate::claimed().await;
    let (bob, _) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let change = |name: &str, password: Option<&str>| UserChange {
        name: Some(name.into()),
        password: password.map(Secret::from),
        ..UserChange::default()
    };
    gate.users
        .update(&owner, bob.id.as_str(), change("Bob", None))
        .await
        .expect("named");
    assert!(!gate.facts().contains(&"password_set".to_owned()));
    let new = change("Bob", Some("another long secret"));
    gate.users.update(&owner, bob.id.as_str(), new).await.expect("set");
    let last = gate.events().pop().expect("told").fact;
    let expected = Fact::PasswordSet {
        user: bob.id.clone(),
        email: bob.email.to_string(),
    };
    assert_eq!(last, expected);
    assert!(last.is_security() && last.is_audited() && last.user() == Some(&bob.id));
}
