//! The second factor as an attacker would try it: replay, guessing, downgrade, a stolen session, another's account.
#![allow(clippy::unwrap_used)]

use crate::{
    access::{
        SignedIn, Visitor,
        tests::{Gate, PASSWORD, visitor},
    },
    second_factors::Proof,
    security::SecurityChange,
    sessions::{Further, Known},
    tokens::{Lasts, NewToken},
    users::{AccountChange, PasswordChange, UserChange},
};
use identity::totp;
use std::time::Duration;
use types::{Action, Actor, Error, Result, Role, SecondFactorPolicy, Secret};

const ADA: &str = "ada@example.com";

/// Somebody with an authenticator app.
struct Phone {
    secret: Secret,
    codes: Vec<Secret>,
}

impl Phone {
    fn code(&self, gate: &Gate) -> String {
        totp::code_at(&self.secret, gate.access.world.now()).unwrap()
    }
    fn recovery(&self, index: usize) -> String {
        self.codes[index].expose_str().unwrap().to_owned()
    }
}

fn with(code: &str) -> Further {
    Further {
        code: Some(code.to_owned()),
        passkey: None,
        remember: false,
    }
}

impl Gate {
    async fn sign_in(&self, further: Further, from: &Visitor) -> Result<SignedIn> {
        self.sessions.create(ADA, &PASSWORD.into(), &further, from).await
    }
    fn known(&self, signed: &SignedIn) -> Known {
        self.sessions
            .by_cookie(signed.jwt.expose_str().unwrap(), Some("10.0.0.1".into()))
            .unwrap()
    }
    /// Sets ada's second factor up, in a browser of hers.
    async fn enrolled_with(&self) -> (Phone, SignedIn) {
        let signed = self.sign_in(Further::default(), &visitor("10.0.0.1")).await.unwrap();
        let known = self.known(&signed);
        self.second_factors.begin(&known, &PASSWORD.into()).await.unwrap();
        let record = self.access.store.second_factors.get(signed.user.id.as_str()).unwrap();
        let secret = self.access.store.unseal(&record.secret).unwrap();
        let code = totp::code_at(&secret, self.access.world.now()).unwrap();
        let codes = self.second_factors.confirm(&known, &code).await.unwrap();
        self.clock.forward(Duration::from_secs(60));
        (Phone { secret, codes }, signed)
    }
    async fn enrolled(&self) -> (Phone, Known) {
        let (phone, signed) = self.enrolled_with().await;
        let known = self.known(&signed);
        (phone, known)
    }
}

fn refused<T>(answer: Result<T>) -> &'static str {
    match answer.err().expect("refused") {
        Error::SecondFactorNeeded => "needed",
        Error::Unauthenticated { .. } => "wrong",
        Error::Unconfirmed => "unconfirmed",
        Error::Unenrolled => "unenrolled",
        Error::Throttled { .. } => "throttled",
        Error::Forbidden { .. } => "forbidden",
        Error::Invalid { .. } => "invalid",
        Error::Busy { .. } => "busy",
        Error::NotFound { .. } => "missing",
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_password_is_not_enough_and_no_code_works_twice() {
    let (gate, _) = Gate::claimed().await;
    let (phone, _) = gate.enrolled().await;
    let from = visitor("10.0.0.9");
    assert_eq!(refused(gate.sign_in(Further::default(), &from).await), "needed");
    assert_eq!(refused(gate.sign_in(with(""), &from).await), "wrong");
    let code = phone.code(&gate);
    let signed = gate.sign_in(with(&code), &from).await.unwrap();
    assert!(signed.session.confirmed_at.is_some() && signed.standing.confirmed_until.is_some());
    assert_eq!(refused(gate.sign_in(with(&code), &from).await), "wrong");
    // Not in another place either: the code has been shown, wherever it is shown again.
    let known = gate.known(&signed);
    assert_eq!(
        refused(gate.second_factors.step_up(&known, &Proof::Code(code.clone())).await),
        "invalid"
    );
    // Nor does an older one that was never used.
    let earlier = totp::code_at(&phone.secret, gate.access.world.now().minus(Duration::from_secs(30))).unwrap();
    assert_eq!(refused(gate.sign_in(with(&earlier), &from).await), "wrong");
    gate.clock.forward(Duration::from_secs(30));
    gate.sign_in(with(&phone.code(&gate)), &from).await.unwrap();
    // The right code with a wrong password is a wrong password, and stays unused.
    gate.clock.forward(Duration::from_secs(30));
    let code = phone.code(&gate);
    let wrong = gate.sessions.create(ADA, &"wrong wrong wrong".into(), &with(&code), &from).await;
    assert_eq!(refused(wrong), "wrong");
    gate.sign_in(with(&code), &from).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_at_once_uses_a_code() {
    let (gate, _) = Gate::claimed().await;
    let (phone, _) = gate.enrolled().await;
    for code in [phone.code(&gate), phone.recovery(0)] {
        let tries = (0..8).map(|index| {
            let (sessions, code) = (gate.sessions.clone(), code.clone());
            tokio::spawn(async move {
                let from = visitor(&format!("10.0.2.{index}"));
                sessions.create(ADA, &PASSWORD.into(), &with(&code), &from).await.is_ok()
            })
        });
        let mut won = 0;
        for one in tries.collect::<Vec<_>>() {
            won += usize::from(one.await.unwrap());
        }
        assert_eq!(won, 1);
        gate.clock.forward(Duration::from_secs(4000));
    }
}

#[tokio::test]
async fn recovery_codes_work_once_and_can_be_renewed() {
    let (gate, _) = Gate::claimed().await;
    let (phone, known) = gate.enrolled().await;
    assert_eq!(phone.codes.len(), 10);
    let from = visitor("10.0.0.9");
    let typed = phone.recovery(3).to_uppercase().replace('-', " ");
    gate.sign_in(with(&typed), &from).await.unwrap();
    assert_eq!(refused(gate.sign_in(with(&phone.recovery(3)), &from).await), "wrong");
    assert_eq!(gate.second_factors.get(&known).unwrap().recovery_codes_left, 9);
    assert!(gate.facts().contains(&"recovery_code_used".to_owned()));
    let record = gate.access.store.second_factors.list().unwrap().remove(0);
    let kept = serde_json::to_string(&record.value).unwrap();
    for code in &phone.codes {
        assert!(!kept.contains(code.expose_str().unwrap()), "only hashes are kept");
    }
    // New ones need a code, and end the old ones.
    assert_eq!(refused(gate.second_factors.renew_codes(&known, "000000").await), "invalid");
    let renewed = gate.second_factors.renew_codes(&known, &phone.recovery(4)).await.unwrap();
    assert_eq!(refused(gate.sign_in(with(&phone.recovery(5)), &from).await), "wrong");
    gate.sign_in(with(renewed[0].expose_str().unwrap()), &from).await.unwrap();
}

/// Somebody with the password guesses codes: from many addresses, and with the password alone in between.
#[tokio::test]
async fn guessing_codes_is_slowed_down_and_the_password_clears_nothing() {
    let (gate, _) = Gate::claimed().await;
    let (phone, _) = gate.enrolled().await;
    let thief = visitor("10.0.0.66");
    let mut tried = 0;
    for _ in 0..20 {
        let clearing = gate.sign_in(Further::default(), &thief).await;
        if refused(clearing) == "throttled" {
            break;
        }
        match refused(gate.sign_in(with("000000"), &thief).await) {
            "wrong" => tried += 1,
            _ => break,
        }
    }
    assert_eq!(tried, 5, "as many as wrong passwords");
    for index in 0..30 {
        let _ = gate.sign_in(with("000000"), &visitor(&format!("10.0.3.{index}"))).await;
    }
    assert_eq!(
        refused(gate.sign_in(with(&phone.code(&gate)), &visitor("10.0.4.1")).await),
        "throttled"
    );
    assert!(gate.facts().iter().filter(|fact| *fact == "second_factor_failed").count() >= 10);
    // It is a matter of minutes for the owner, and none in a browser that is remembered.
    gate.clock.forward(Duration::from_secs(300));
    gate.sign_in(with(&phone.code(&gate)), &visitor("10.0.4.1")).await.unwrap();
}

#[tokio::test]
async fn a_stale_session_does_nothing_dangerous_until_it_is_confirmed() {
    let (gate, _) = Gate::claimed().await;
    let (phone, signed) = gate.enrolled_with().await;
    let known = gate.known(&signed);
    let (bob, bobs) = gate
        .add(&Actor::system(known.actor.organization.clone()), "bob@example.com", Role::Viewer)
        .await;
    known.actor.may(Action::Delete).expect("confirmed by setting it up");
    gate.clock.forward(Duration::from_secs(15 * 60));
    let signed = gate
        .sessions
        .refresh(signed.refresh.expose_str().unwrap(), &visitor("10.0.0.1"))
        .await
        .unwrap();
    let stale = gate.known(&signed);
    let change = |role| UserChange {
        role: Some(role),
        ..UserChange::default()
    };
    stale.actor.may(Action::Deploy).unwrap();
    assert_eq!(refused(stale.actor.may(Action::Terminal)), "unconfirmed");
    assert_eq!(
        refused(gate.users.update(&stale.actor, bob.id.as_str(), change(Role::Owner)).await),
        "unconfirmed"
    );
    assert_eq!(refused(gate.users.remove(&stale.actor, bob.id.as_str()).await), "unconfirmed");
    assert_eq!(
        refused(gate.second_factors.reset(&stale.actor, bob.id.as_str()).await),
        "unconfirmed"
    );
    assert_eq!(
        refused(gate.security.update(&stale.actor, SecurityChange::default()).await),
        "unconfirmed"
    );
    // A token would not be asked again, so none is made.
    let wish = NewToken {
        name: "way around".into(),
        scopes: types::Scopes::all(),
        places: None,
        networks: Vec::new(),
        user: None,
        lasts: Lasts::Default,
    };
    assert_eq!(refused(gate.tokens.create(&stale.actor, wish.clone()).await), "unconfirmed");
    // Nor is the password changed, which would lock the owner out.
    let password = AccountChange {
        name: None,
        password: Some(PasswordChange {
            current: PASSWORD.into(),
            new: "another long secret".into(),
        }),
    };
    assert_eq!(refused(gate.users.update_account(&stale, password).await), "unconfirmed");
    // And the second factor is not changed without it.
    assert_eq!(refused(gate.second_factors.begin(&stale, &PASSWORD.into()).await), "busy");
    assert_eq!(refused(gate.second_factors.remove(&stale, "000000").await), "invalid");

    let standing = gate.second_factors.step_up(&stale, &Proof::Code(phone.code(&gate))).await.unwrap();
    assert!(standing.confirmed_until.is_some());
    let sure = gate.known(&signed);
    sure.actor.may(Action::Terminal).unwrap();
    gate.tokens.create(&sure.actor, wish).await.unwrap();
    gate.users
        .update(&sure.actor, bob.id.as_str(), change(Role::Developer))
        .await
        .unwrap();
    // Another's session and those without one are not touched by it.
    bobs.may(Action::View).unwrap();
    // A clock that is set back does not make it last.
    gate.clock.back(Duration::from_secs(3600));
    assert!(
        gate.access
            .standing(&signed.user, sure.session.as_ref())
            .unwrap()
            .confirmed_until
            .is_none()
    );
}

/// Who has no second factor shows the password: signing in counts, for as long as a code would.
#[tokio::test]
async fn a_password_alone_is_shown_again_before_what_is_dangerous() {
    let (gate, _) = Gate::claimed().await;
    let signed = gate.sign_in(Further::default(), &visitor("10.0.0.1")).await.unwrap();
    assert!(signed.standing.by_password && signed.standing.confirmed_until.is_some());
    gate.known(&signed).actor.may(Action::Terminal).expect("just signed in");
    gate.clock.forward(Duration::from_secs(15 * 60));
    let refresh = signed.refresh.expose_str().unwrap();
    let signed = gate.sessions.refresh(refresh, &visitor("10.0.0.1")).await.unwrap();
    let stale = gate.known(&signed);
    stale.actor.may(Action::Deploy).unwrap();
    for action in [Action::Terminal, Action::RevealSecrets, Action::Delete, Action::ManageTeam] {
        assert_eq!(refused(stale.actor.may(action)), "unconfirmed", "{action:?}");
    }
    let step_up = async |proof: Proof| gate.second_factors.step_up(&stale, &proof).await;
    assert_eq!(refused(step_up(Proof::Code("000000".into())).await), "invalid");
    assert_eq!(refused(step_up(Proof::Password("wrong wrong wrong".into())).await), "invalid");
    assert!(gate.facts().contains(&"login_failed".to_owned()));
    let standing = step_up(Proof::Password(PASSWORD.into())).await.unwrap();
    assert!(standing.confirmed_until.is_some());
    gate.known(&signed).actor.may(Action::Terminal).expect("it was shown");
    // Neither a token nor the machine shows one.
    let machine = gate.sessions.by_machine(0).unwrap();
    let proof = Proof::Password(PASSWORD.into());
    assert_eq!(refused(gate.second_factors.step_up(&machine, &proof).await), "forbidden");
    // It changes the password by giving the present one, stale or not.
    gate.clock.forward(Duration::from_secs(15 * 60));
    let password = AccountChange {
        name: None,
        password: Some(PasswordChange {
            current: PASSWORD.into(),
            new: "another long secret".into(),
        }),
    };
    gate.users.update_account(&stale, password).await.unwrap();
}

/// Guessing in a stolen session is slowed down as at signing in, and a second factor is not gone around.
#[tokio::test]
async fn the_password_is_not_guessed_in_a_session_and_replaces_no_code() {
    let (gate, _) = Gate::claimed().await;
    let signed = gate.sign_in(Further::default(), &visitor("10.0.0.66")).await.unwrap();
    let known = gate.known(&signed);
    let guess = Proof::Password("wrong wrong wrong".into());
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(refused(gate.second_factors.step_up(&known, &guess).await));
    }
    assert!(
        answers.starts_with(&["invalid"; 5]) && answers.ends_with(&["throttled"]),
        "{answers:?}"
    );
    gate.clock.forward(Duration::from_secs(3600));
    let (_, enrolled) = gate.enrolled().await;
    let proof = Proof::Password(PASSWORD.into());
    assert_eq!(refused(gate.second_factors.step_up(&enrolled, &proof).await), "invalid");
}

#[tokio::test]
async fn a_remembered_browser_needs_no_code_until_the_password_changes() {
    let (gate, owner) = Gate::claimed().await;
    let (phone, _) = gate.enrolled().await;
    let remember = Further {
        code: Some(phone.code(&gate)),
        passkey: None,
        remember: true,
    };
    let mut from = visitor("10.0.0.9");
    let signed = gate.sign_in(remember, &from).await.unwrap();
    from.device = Some(signed.device.as_ref().expect("a new browser").expose_str().unwrap().to_owned());
    let again = gate.sign_in(Further::default(), &from).await.unwrap();
    assert!(again.device.is_none(), "it is known");
    assert!(again.session.confirmed_at.is_none(), "but has shown nothing");
    assert_eq!(refused(gate.known(&again).actor.may(Action::Delete)), "unconfirmed");
    // The cookie of another's browser, a made-up one, and one of a wrong word help nobody.
    let (_, bob) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let bobs = gate
        .sessions
        .create("bob@example.com", &PASSWORD.into(), &Further::default(), &from)
        .await
        .unwrap();
    let bobs_cookie = bobs.device.expect("not ada's").expose_str().unwrap().to_owned();
    let id = from.device.as_ref().unwrap().split('.').next().unwrap().to_owned();
    for wrong in [
        bobs_cookie,
        format!("{id}."),
        format!("{id}.wrong"),
        id.clone(),
        ".".into(),
        String::new(),
    ] {
        let thief = Visitor {
            device: Some(wrong.clone()),
            ..visitor("10.0.0.66")
        };
        assert_eq!(refused(gate.sign_in(Further::default(), &thief).await), "needed", "{wrong}");
    }
    // It is in the list; others do not see or end it.
    let known = gate.known(&again);
    let list = gate.second_factors.devices(&known).unwrap();
    assert!(list.iter().any(|info| info.current && info.device.trusted_until.is_some()));
    let bob = Known {
        actor: bob,
        session: None,
        expires_at: None,
    };
    assert_eq!(refused(gate.second_factors.forget(&bob, &id).await), "missing");
    // Asking to remember without a code does nothing.
    let only_remember = Further {
        code: None,
        passkey: None,
        remember: true,
    };
    assert_eq!(refused(gate.sign_in(only_remember, &visitor("10.0.0.10")).await), "needed");

    // Thirty days, or a new password.
    gate.clock.forward(Duration::from_secs(60));
    let sure = gate.sign_in(with(&phone.code(&gate)), &visitor("10.0.0.1")).await.unwrap();
    let password = AccountChange {
        name: None,
        password: Some(PasswordChange {
            current: PASSWORD.into(),
            new: "another long secret".into(),
        }),
    };
    gate.users.update_account(&gate.known(&sure), password).await.unwrap();
    let after = gate
        .sessions
        .create(ADA, &"another long secret".into(), &Further::default(), &from)
        .await;
    assert_eq!(refused(after), "needed");
}

#[tokio::test]
async fn memory_of_browsers_ends_and_is_bounded() {
    let (gate, _) = Gate::claimed().await;
    let (phone, _) = gate.enrolled().await;
    let remember = Further {
        code: Some(phone.code(&gate)),
        passkey: None,
        remember: true,
    };
    let mut from = visitor("10.0.0.9");
    let signed = gate.sign_in(remember, &from).await.unwrap();
    from.device = Some(signed.device.unwrap().expose_str().unwrap().to_owned());
    gate.clock.forward(Duration::from_secs(30 * 86_400 - 1));
    gate.sign_in(Further::default(), &from).await.unwrap();
    gate.clock.forward(Duration::from_secs(1));
    assert_eq!(refused(gate.sign_in(Further::default(), &from).await), "needed");
    for index in 0..25 {
        gate.clock.forward(Duration::from_secs(30));
        let other = visitor(&format!("10.0.5.{index}"));
        gate.sign_in(with(&phone.code(&gate)), &other).await.unwrap();
    }
    assert_eq!(gate.access.store.devices.list().unwrap().len(), 20);
}

#[tokio::test]
async fn setting_up_wants_the_password_and_a_browser_and_ends_other_sessions() {
    let (gate, owner) = Gate::claimed().await;
    let signed = gate.sign_in(Further::default(), &visitor("10.0.0.1")).await.unwrap();
    let thief = gate.sign_in(Further::default(), &visitor("10.0.0.66")).await.unwrap();
    let known = gate.known(&signed);
    assert_eq!(refused(gate.second_factors.begin(&known, &"wrong".into()).await), "invalid");
    let by_token = Known {
        session: None,
        ..known.clone()
    };
    assert_eq!(refused(gate.second_factors.begin(&by_token, &PASSWORD.into()).await), "forbidden");
    let machine = gate.sessions.by_machine(0).unwrap();
    assert_eq!(refused(gate.second_factors.begin(&machine, &PASSWORD.into()).await), "forbidden");
    assert_eq!(refused(gate.second_factors.confirm(&known, "000000").await), "busy");
    // Begun and not confirmed, it counts for nothing: nobody is locked out by a window that was closed.
    let first = gate.second_factors.begin(&known, &PASSWORD.into()).await.unwrap();
    gate.sign_in(Further::default(), &visitor("10.0.0.2")).await.unwrap();
    assert_eq!(refused(gate.second_factors.confirm(&known, "000000").await), "invalid");
    assert_eq!(refused(gate.second_factors.renew_codes(&known, "000000").await), "invalid");
    let second = gate.second_factors.begin(&known, &PASSWORD.into()).await.unwrap();
    assert_ne!(first.key, second.key);
    assert!(second.uri.expose_str().unwrap().contains(second.key.expose_str().unwrap()));
    // Too late.
    let record = gate.access.store.second_factors.get(signed.user.id.as_str()).unwrap();
    let secret = gate.access.store.unseal(&record.secret).unwrap();
    gate.clock.forward(Duration::from_secs(3600));
    let renewed = gate
        .sessions
        .refresh(signed.refresh.expose_str().unwrap(), &visitor("10.0.0.1"))
        .await
        .unwrap();
    let known = gate.known(&renewed);
    let code = totp::code_at(&secret, gate.access.world.now()).unwrap();
    assert_eq!(refused(gate.second_factors.confirm(&known, &code).await), "busy");
    let _ = owner;

    gate.second_factors.begin(&known, &PASSWORD.into()).await.unwrap();
    let record = gate.access.store.second_factors.get(signed.user.id.as_str()).unwrap();
    let secret = gate.access.store.unseal(&record.secret).unwrap();
    let code = totp::code_at(&secret, gate.access.world.now()).unwrap();
    gate.second_factors.confirm(&known, &code).await.unwrap();
    assert_eq!(refused(gate.second_factors.confirm(&known, &code).await), "busy");
    gate.known(&renewed);
    let refresh = gate
        .sessions
        .refresh(thief.refresh.expose_str().unwrap(), &visitor("10.0.0.66"))
        .await;
    assert_eq!(refused(refresh), "wrong", "it began with the password alone");
}

#[tokio::test]
async fn the_policy_binds_after_its_grace() {
    let (gate, owner) = Gate::claimed().await;
    let (_, developer) = gate.add(&owner, "dev@example.com", Role::Developer).await;
    let (admin_user, _) = gate.add(&owner, "admin@example.com", Role::Admin).await;
    let sign_in = async |email: &str| {
        let signed = gate
            .sessions
            .create(email, &PASSWORD.into(), &Further::default(), &visitor("10.0.0.1"))
            .await
            .unwrap();
        (gate.known(&signed).actor, signed)
    };
    let wish = NewToken {
        name: "ci".into(),
        scopes: types::Scopes::all(),
        places: None,
        networks: Vec::new(),
        user: None,
        lasts: Lasts::Default,
    };
    let (actor, _) = sign_in("admin@example.com").await;
    let (_, token) = gate.tokens.create(&actor, wish.clone()).await.unwrap();
    let by_token = async || gate.sessions.by_token(token.expose_str().unwrap(), None).await.unwrap().actor;

    assert_eq!(
        refused(gate.security.update(&developer, SecurityChange::default()).await),
        "forbidden"
    );
    let change = SecurityChange {
        second_factor: Some(SecondFactorPolicy::Administrators),
        grace_days: Some(2),
        ..SecurityChange::default()
    };
    gate.security.update(&owner, change).await.unwrap();
    let (actor, signed) = sign_in("admin@example.com").await;
    actor.may(Action::Administer).expect("in the grace period");
    assert!(signed.standing.due_at.is_some());
    assert!(sign_in("dev@example.com").await.1.standing.due_at.is_none());

    gate.clock.forward(Duration::from_secs(2 * 86_400));
    let (actor, signed) = sign_in("admin@example.com").await;
    for action in [Action::View, Action::Administer, Action::ManageTeam] {
        assert_eq!(refused(actor.may(action)), "unenrolled", "{action:?}");
    }
    assert_eq!(refused(gate.tokens.create(&actor, wish).await), "unenrolled");
    by_token().await.may(Action::Administer).expect("tokens are exempt");
    sign_in("dev@example.com").await.0.may(Action::Deploy).expect("not bound");
    // Weaker and then the same again would begin the grace anew only for a stronger rule.
    let bound = SecurityChange {
        tokens_bound: Some(true),
        ..SecurityChange::default()
    };
    gate.security.update(&owner, bound).await.unwrap();
    assert_eq!(refused(by_token().await.may(Action::View)), "unenrolled");

    // The way out is open, and there is no way back while the policy stands.
    let known = gate.known(&signed);
    gate.second_factors.begin(&known, &PASSWORD.into()).await.unwrap();
    let record = gate.access.store.second_factors.get(admin_user.id.as_str()).unwrap();
    let secret = gate.access.store.unseal(&record.secret).unwrap();
    let code = totp::code_at(&secret, gate.access.world.now()).unwrap();
    gate.second_factors.confirm(&known, &code).await.unwrap();
    gate.known(&signed).actor.may(Action::Administer).unwrap();
    by_token().await.may(Action::View).unwrap();
    gate.clock.forward(Duration::from_secs(30));
    let code = totp::code_at(&secret, gate.access.world.now()).unwrap();
    assert_eq!(refused(gate.second_factors.remove(&known, &code).await), "forbidden");
    for days in [91, u32::MAX] {
        let change = SecurityChange {
            grace_days: Some(days),
            ..SecurityChange::default()
        };
        assert_eq!(refused(gate.security.update(&owner, change).await), "invalid");
    }
}

#[tokio::test]
async fn only_owners_take_it_away_and_everything_ends_with_it() {
    let (gate, owner) = Gate::claimed().await;
    let (_, admin) = gate.add(&owner, "admin@example.com", Role::Admin).await;
    let (phone, known) = gate.enrolled().await;
    let id = known.actor.user().unwrap().to_string();
    let remember = Further {
        code: Some(phone.code(&gate)),
        passkey: None,
        remember: true,
    };
    let signed = gate.sign_in(remember, &visitor("10.0.0.9")).await.unwrap();
    assert_eq!(refused(gate.second_factors.reset(&admin, &id).await), "forbidden");
    let mut stranger = owner.clone();
    stranger.organization = gate.access.world.id();
    assert_eq!(refused(gate.second_factors.reset(&stranger, &id).await), "missing");
    let machine = gate.sessions.by_machine(0).unwrap().actor;
    gate.second_factors.reset(&machine, &id).await.unwrap();
    assert_eq!(refused(gate.second_factors.reset(&machine, &id).await), "missing");
    assert!(gate.sessions.by_cookie(signed.jwt.expose_str().unwrap(), None).is_err());
    assert!(
        gate.access
            .store
            .devices
            .list()
            .unwrap()
            .iter()
            .all(|device| device.trusted_until.is_none())
    );
    gate.sign_in(Further::default(), &visitor("10.0.0.1"))
        .await
        .expect("the password is enough again");
    assert!(gate.facts().contains(&"second_factor_removed".to_owned()));
    // Who is removed leaves nothing.
    let (bob, _) = gate.add(&owner, "bob@example.com", Role::Viewer).await;
    let from = visitor("10.0.0.3");
    gate.sessions
        .create("bob@example.com", &PASSWORD.into(), &Further::default(), &from)
        .await
        .unwrap();
    gate.users.remove(&owner, bob.id.as_str()).await.unwrap();
    assert!(gate.access.store.devices.list().unwrap().iter().all(|device| device.user != bob.id));
}
