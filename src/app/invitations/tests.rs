//! Invitations as they are taken, guessed at and taken back, over a real store.

use super::*;
use crate::{
    access::tests::{Gate, PASSWORD, visitor},
    sessions::Further,
    users::UserChange,
};

fn wish(email: &str, role: Role) -> NewInvitation {
    NewInvitation {
        email: email.into(),
        role,
        days: None,
        mailed: false,
    }
}
fn acceptance() -> Acceptance {
    Acceptance {
        name: "Bob".into(),
        password: PASSWORD.into(),
    }
}
fn is_refused<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Forbidden { needs }) if needs.contains("still good"))
}

#[tokio::test]
async fn who_has_an_account_elsewhere_joins_with_it() {
    let (gate, owner) = Gate::claimed().await;
    gate.organizations
        .create(&owner, "acme".parse().expect("a name"), Some("ada@example.com"))
        .await
        .expect("made");
    let found = gate.access.store.organizations.claimed("acme").expect("reads").expect("made");
    let ada = gate.access.store.users.claimed("ada@example.com").expect("reads").expect("claimed");
    let there = gate.access.actor_in(&ada, &found.id, None).expect("reads").expect("its owner");
    let (_, bob) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let (_, eve) = gate.add(&owner, "eve@example.com", Role::Viewer).await;
    let all = &gate.invitations;
    // An address that is known elsewhere is answered like any other.
    let word = all
        .create(&there, wish("bob@example.com", Role::Developer))
        .await
        .expect("nothing is told")
        .word;
    let shown = all.look(&word, &visitor("10.0.0.9")).expect("seen");
    assert_eq!((shown.organization.as_str(), shown.has_account), ("acme", Some(true)));
    let refused = all.accept(&word, acceptance(), &visitor("10.0.0.9")).await;
    assert!(matches!(refused, Err(Error::Busy { .. })), "no second account, and no new password");
    assert!(matches!(all.join(&eve, &word).await, Err(Error::NotFound { .. })), "it is bob's");
    assert_eq!(all.join(&bob, &word).await.expect("in").id, found.id);
    assert!(matches!(all.join(&bob, &word).await, Err(Error::NotFound { .. })), "once");
    let user = gate.access.store.users.claimed("bob@example.com").expect("reads").expect("there");
    assert_eq!(gate.access.role_in(&user, &found.id).expect("reads"), Some(Role::Developer));
    assert_eq!(user.role, Role::Viewer, "at home nothing changed");
    let again = all.create(&there, wish("bob@example.com", Role::Viewer)).await;
    assert!(matches!(again, Err(Error::Taken { .. })), "of one's own people it is told");
}

/// Who manages people in another organization than the panel's own learns from no link of theirs who is elsewhere.
#[tokio::test]
async fn a_copied_link_tells_nothing_of_the_address() {
    let (gate, owner) = Gate::claimed().await;
    let acme: Slug = "acme".parse().expect("a name");
    let (mut head, _) = gate.add(&owner, "head@example.com", Role::Viewer).await;
    gate.organizations
        .create(&owner, acme, Some("head@example.com"))
        .await
        .expect("made");
    let found = gate.access.store.organizations.claimed("acme").expect("reads").expect("made");
    head = gate.access.store.users.get(head.id.as_str()).expect("there").value;
    let there = gate.access.actor_in(&head, &found.id, None).expect("reads").expect("its owner");
    gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let all = &gate.invitations;
    let mut answers = Vec::new();
    for email in ["bob@example.com", "nobody@example.com"] {
        let word = all.create(&there, wish(email, Role::Developer)).await.expect("invited").word;
        let shown = all.look(&word, &visitor("10.0.0.9")).expect("seen");
        assert_eq!(shown.has_account, None);
        answers.push(
            all.accept(&word, acceptance(), &visitor("10.0.0.9"))
                .await
                .expect_err("refused")
                .to_string(),
        );
        // What comes by mail shows that the address is theirs.
        let (_, mailed) = all.word_to_mail(&word, &visitor("10.0.0.9")).await.expect("a word");
        assert_eq!(
            all.look(&mailed, &visitor("10.0.0.9")).expect("seen").has_account,
            Some(email == "bob@example.com")
        );
        assert_eq!(all.look(&word, &visitor("10.0.0.9")).expect("still good").has_account, None);
        assert!(matches!(
            all.word_to_mail(&word, &visitor("10.0.0.9")).await,
            Err(Error::Throttled { .. })
        ));
        gate.clock.forward(REST);
        let (_, newer) = all.word_to_mail(&word, &visitor("10.0.0.9")).await.expect("a word");
        assert!(is_refused(all.look(&mailed, &visitor("10.0.0.9"))), "the one before is void");
        let made = all.accept(&newer, acceptance(), &visitor("10.0.0.9")).await;
        assert_eq!(made.is_ok(), email == "nobody@example.com");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_link_makes_one_account_once() {
    let (gate, owner) = Gate::claimed().await;
    let all = &gate.invitations;
    let made = all.create(&owner, wish("Bob@example.com", Role::Developer)).await.expect("invited");
    let (invitation, word) = (made.invitation, made.word);
    let text = serde_json::to_string(
        &gate
            .access
            .store
            .audit
            .list()
            .expect("lists")
            .iter()
            .map(|e| &e.value)
            .collect::<Vec<_>>(),
    )
    .expect("JSON");
    assert!(!text.contains(&word) && !text.contains(&invitation.hash));
    assert!(matches!(
        all.create(&owner, wish("bob@example.com", Role::Viewer)).await,
        Err(Error::Taken { .. })
    ));
    assert!(matches!(
        all.create(&owner, wish("ada@example.com", Role::Viewer)).await,
        Err(Error::Taken { .. })
    ));
    let seen = all.look(&word, &visitor("10.0.0.9")).expect("seen");
    assert_eq!(
        (seen.invitation.email.as_str(), seen.invitation.role, seen.has_account),
        ("bob@example.com", Role::Developer, Some(false))
    );
    let weak = Acceptance {
        password: "password123".into(),
        ..acceptance()
    };
    assert!(matches!(
        all.accept(&word, weak, &visitor("10.0.0.9")).await,
        Err(Error::Invalid { .. })
    ));
    let signed = all.accept(&word, acceptance(), &visitor("10.0.0.9")).await.expect("in");
    assert_eq!(
        (signed.user.role, signed.user.organization),
        (Role::Developer, owner.organization.clone())
    );
    assert!(is_refused(all.accept(&word, acceptance(), &visitor("10.0.0.9")).await));
    assert!(is_refused(all.look(&word, &visitor("10.0.0.9"))));
    assert!(all.list(&owner).expect("lists").is_empty());
    let again = gate
        .sessions
        .create("bob@example.com", &PASSWORD.into(), &Further::default(), &visitor("10.0.0.9"))
        .await;
    again.expect("signed in");
    let entries = gate.access.store.audit.list().expect("lists");
    let made = entries.iter().find(|entry| entry.what == "invitation.removed").expect("told");
    assert!(made.changes.iter().any(|change| change.kind == "user"), "{made:?}");
    assert_eq!(
        (made.by.to_string().as_str(), made.address.as_deref()),
        ("bob@example.com", Some("10.0.0.9"))
    );
}

#[tokio::test]
async fn every_bad_link_gets_the_same_words() {
    let (gate, owner) = Gate::claimed().await;
    let all = &gate.invitations;
    let made = all.create(&owner, wish("a@example.com", Role::Viewer)).await.expect("invited");
    let (one, revoked) = (made.invitation, made.word);
    all.revoke(&owner, one.id.as_str()).await.expect("revoked");
    assert!(matches!(all.revoke(&owner, one.id.as_str()).await, Err(Error::NotFound { .. })));
    let old = all.create(&owner, wish("b@example.com", Role::Viewer)).await.expect("invited").word;
    gate.clock.forward(DAY * 7);
    let mut answers = Vec::new();
    for word in [revoked.as_str(), old.as_str(), "", "made-up"] {
        answers.push(all.look(word, &visitor("10.0.0.9")).expect_err("refused").to_string());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    // Guessing is slowed down.
    let slowed = (0..40).any(|_| matches!(all.look("guess", &visitor("10.0.0.66")), Err(Error::Throttled { .. })));
    assert!(slowed);
    all.create(&owner, wish("b@example.com", Role::Viewer))
        .await
        .expect("its address is free again");
    for days in [0, 31] {
        let wish = NewInvitation {
            days: Some(days),
            ..wish("c@example.com", Role::Viewer)
        };
        assert!(matches!(all.create(&owner, wish).await, Err(Error::Invalid { .. })));
    }
}

#[tokio::test]
async fn wrong_words_from_many_addresses_make_nobody_wait() {
    let (gate, owner) = Gate::claimed().await;
    let all = &gate.invitations;
    let word = all
        .create(&owner, wish("bob@example.com", Role::Viewer))
        .await
        .expect("invited")
        .word;
    for index in 0..80 {
        assert!(is_refused(all.look("guess", &visitor(&format!("10.0.3.{index}")))));
    }
    all.look(&word, &visitor("10.0.0.9")).expect("seen at once");
    all.accept(&word, acceptance(), &visitor("10.0.0.9")).await.expect("in");
}

#[tokio::test]
async fn nobody_invites_above_themselves_or_after_they_are_gone() {
    let (gate, owner) = Gate::claimed().await;
    let all = &gate.invitations;
    let (bob, admin) = gate.add(&owner, "bob@example.com", Role::Admin).await;
    let (_, developer) = gate.add(&owner, "dev@example.com", Role::Developer).await;
    assert!(matches!(
        all.create(&developer, wish("x@example.com", Role::Viewer)).await,
        Err(Error::Forbidden { .. })
    ));
    assert!(matches!(all.list(&developer), Err(Error::Forbidden { .. })));
    assert!(matches!(
        all.create(&admin, wish("x@example.com", Role::Owner)).await,
        Err(Error::Forbidden { .. })
    ));
    let word = all.create(&admin, wish("x@example.com", Role::Admin)).await.expect("invited").word;
    let of_owner = all
        .create(&owner, wish("o@example.com", Role::Owner))
        .await
        .expect("invited")
        .invitation;
    assert!(matches!(
        all.revoke(&admin, of_owner.id.as_str()).await,
        Err(Error::Forbidden { .. })
    ));
    all.look(&word, &visitor("10.0.0.9")).expect("good");
    let lower = UserChange {
        role: Some(Role::Developer),
        ..UserChange::default()
    };
    gate.users.update(&owner, bob.id.as_str(), lower).await.expect("lowered");
    assert!(
        is_refused(all.accept(&word, acceptance(), &visitor("10.0.0.9")).await),
        "no way back in by a link of one's own"
    );
    let mut stranger = owner.clone();
    stranger.organization = gate.access.world.id();
    assert!(all.list(&stranger).expect("lists").is_empty());
    assert!(matches!(
        all.revoke(&stranger, of_owner.id.as_str()).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_gets_in() {
    let (gate, owner) = Gate::claimed().await;
    let word = gate
        .invitations
        .create(&owner, wish("bob@example.com", Role::Viewer))
        .await
        .expect("invited")
        .word;
    let tasks: Vec<_> = (0..8)
        .map(|index| {
            let (all, word) = (gate.invitations.clone(), word.clone());
            tokio::spawn(async move { all.accept(&word, acceptance(), &visitor(&format!("10.0.2.{index}"))).await.is_ok() })
        })
        .collect();
    let mut inside = 0;
    for task in tasks {
        inside += u32::from(task.await.expect("no panic"));
    }
    assert_eq!(inside, 1);
    assert_eq!(gate.access.store.users.list().expect("lists").len(), 2);
}
