//! The first administrator: through the one-time link that `serve` prints, or on the machine itself.

use crate::{
    access::{Access, SignedIn, Visitor},
    organizations::founded,
    users::NewUser,
};
use identity::token;
use std::{sync::Arc, time::Duration};
use store::SETUP_KEY;
use types::{Actor, Error, Fact, Result, Role, Secret, SetupLink, User, Who};

/// How long the link is good.
const LINK: Duration = Duration::from_secs(86_400);

/// Makes the first administrator.
#[derive(Clone)]
pub struct Setup {
    access: Arc<Access>,
}

/// Who the first administrator will be.
#[derive(Debug, Clone)]
pub struct NewOwner {
    pub email: String,
    pub name: String,
    pub password: Secret,
}

impl Setup {
    pub(crate) fn new(access: Arc<Access>) -> Setup {
        Setup { access }
    }

    /// Whether somebody has this panel. Anybody may ask.
    pub fn is_claimed(&self) -> Result<bool> {
        Ok(self.access.organization()?.is_some())
    }

    /// A new word for the one-time link, good for 24 hours; the one before is void. `None` once the panel is claimed.
    pub async fn link(&self) -> Result<Option<String>> {
        if self.is_claimed()? {
            return Ok(None);
        }
        let (store, world) = (&self.access.store, &self.access.world);
        let word = token::word(world);
        let link = SetupLink {
            hash: token::hash(&word),
            expires_at: world.now().plus(LINK),
        };
        match store.setup.find(SETUP_KEY)? {
            Some(mut old) => {
                old.value = link;
                store.setup.save(old).await?;
            }
            None => drop(store.setup.insert(link).await?),
        }
        Ok(Some(word))
    }

    /// Makes the owner, with an organization, the project `default` and its environment `production`, and signs them
    /// in. Fails with `Forbidden` unless `word` is the link's and in time, with `Busy` once the panel is claimed.
    pub async fn claim(&self, word: &str, wish: NewOwner, visitor: &Visitor) -> Result<SignedIn> {
        if self.is_claimed()? {
            return Err(claimed());
        }
        let link = self.access.store.setup.find(SETUP_KEY)?;
        let is_right = link
            .as_ref()
            .is_some_and(|link| token::matches(word, &link.hash) && self.access.world.now() < link.expires_at);
        if !is_right {
            return Err(Error::Forbidden {
                needs:
                    "the newest one-time link, which `serverkit serve` prints at each start until somebody has used it (good for 24 hours)"
                        .into(),
            });
        }
        let user = self.make(wish).await?;
        let (mut session, word) = self.access.new_session(&user, visitor)?;
        // The first browser is known: a sign-in from any other is told as new.
        let (device, cookie) = self.access.note_device(&user, None, false, visitor).await?;
        session.device = Some(device.id);
        let session = self.access.store.sessions.insert(session).await?.value;
        let actor = self.access.actor(&user, visitor.address.clone());
        self.tell(&actor, &user).await;
        let mut signed = self.access.let_in(user, session, &word)?;
        signed.device = cookie;
        Ok(signed)
    }

    /// The same for somebody on the machine, whose right to it is that they are there. Fails with `Busy` once claimed.
    pub async fn claim_on_machine(&self, uid: u32, wish: NewOwner) -> Result<User> {
        let user = self.make(wish).await?;
        let actor = Actor {
            who: Who::Machine { uid },
            ..Actor::system(user.organization.clone())
        };
        self.tell(&actor, &user).await;
        Ok(user)
    }

    /// All of it in one batch, so that there is never half a panel nor a second first administrator.
    async fn make(&self, wish: NewOwner) -> Result<User> {
        let (store, world) = (&self.access.store, &self.access.world);
        if self.is_claimed()? {
            return Err(claimed());
        }
        let (organization, batch) = founded(world, "default".parse()?, true)?;
        let wish = NewUser {
            email: wish.email,
            name: wish.name,
            role: Role::Owner,
            password: wish.password,
        };
        let mut user = self.access.account_with_password(&organization.id, &wish).await?;
        user.last_seen_at = Some(user.created_at);

        // Nobody else makes the panel, or a new link, between the look and the batch.
        let _team = self.access.team.lock().await;
        if self.is_claimed()? {
            return Err(claimed());
        }
        let mut batch = batch.insert(user.clone());
        if let Some(link) = store.setup.find(SETUP_KEY)? {
            batch = batch.remove(&link);
        }
        store.commit(batch).await?;
        Ok(user)
    }

    async fn tell(&self, actor: &Actor, user: &User) {
        self.access.events.emit(actor, Fact::PanelClaimed { user: user.id.clone() }).await;
    }
}

fn claimed() -> Error {
    Error::busy("this panel has an administrator already; sign in")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::access::tests::{Gate, PASSWORD, visitor};

    pub fn ada() -> NewOwner {
        NewOwner {
            email: "Ada@Example.com".into(),
            name: " Ada ".into(),
            password: PASSWORD.into(),
        }
    }

    #[tokio::test]
    async fn the_link_works_once_and_makes_everything() {
        let gate = Gate::open();
        assert!(!gate.setup.is_claimed().expect("reads"));
        let word = gate.setup.link().await.expect("made").expect("unclaimed");
        assert_eq!(word.len(), 52);
        let store = &gate.access.store;
        assert_ne!(store.setup.get(SETUP_KEY).expect("kept").hash, word, "hashed on disk");

        let signed = gate.setup.claim(&word, ada(), &visitor("10.0.0.1")).await.expect("claimed");
        assert_eq!(
            (signed.user.email.as_str(), signed.user.name.as_str(), signed.user.role),
            ("ada@example.com", "Ada", Role::Owner)
        );
        assert_eq!(signed.session.agent, "Test/1.0");
        let jwt = signed.jwt.expose_str().expect("text");
        let known = gate.sessions.by_cookie(jwt, None).expect("signed in");
        assert_eq!(known.actor.role, Role::Owner);
        assert_eq!(store.organizations.list().expect("lists").len(), 1);
        let project = &store.projects.list().expect("lists")[0];
        let environment = &store.environments.list().expect("lists")[0];
        assert_eq!((project.name.as_str(), environment.name.as_str()), ("default", "production"));
        assert_eq!(environment.project, project.id);

        let error = gate.setup.claim(&word, ada(), &visitor("10.0.0.1")).await.expect_err("once");
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        let error = gate.setup.claim_on_machine(0, ada()).await.expect_err("once");
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        assert!(gate.setup.is_claimed().expect("reads"));
        assert!(gate.setup.link().await.expect("asked").is_none());
        assert!(store.setup.find(SETUP_KEY).expect("reads").is_none());
        assert_eq!(gate.facts(), ["panel_claimed"]);
    }

    #[tokio::test]
    async fn only_the_newest_link_in_time() {
        let gate = Gate::open();
        let error = gate.setup.claim("", ada(), &visitor("10.0.0.1")).await.expect_err("no link yet");
        assert!(matches!(error, Error::Forbidden { .. }), "{error}");
        let old = gate.setup.link().await.expect("made").expect("unclaimed");
        let word = gate.setup.link().await.expect("made").expect("unclaimed");
        for wrong in [old.as_str(), "", "a", &word[..51], &format!("{word}a")] {
            let error = gate.setup.claim(wrong, ada(), &visitor("10.0.0.1")).await.expect_err("refused");
            assert!(matches!(error, Error::Forbidden { .. }), "{wrong}: {error}");
        }
        gate.clock.forward(LINK);
        assert!(gate.setup.claim(&word, ada(), &visitor("10.0.0.1")).await.is_err(), "too late");
        let word = gate.setup.link().await.expect("made").expect("unclaimed");
        gate.clock.forward(LINK - Duration::from_secs(1));

        for (field, value, wrong) in [
            (
                "email",
                "nobody",
                NewOwner {
                    email: "nobody".into(),
                    ..ada()
                },
            ),
            ("name", "", NewOwner { name: " ".into(), ..ada() }),
            (
                "password",
                "",
                NewOwner {
                    password: "short".into(),
                    ..ada()
                },
            ),
        ] {
            let error = gate
                .setup
                .claim(&word, wrong, &visitor("10.0.0.1"))
                .await
                .expect_err("refused")
                .to_string();
            assert!(error.starts_with(field) && !error.contains("short "), "{value}: {error}");
        }
        gate.setup
            .claim(&word, ada(), &visitor("10.0.0.1"))
            .await
            .expect("still good after mistakes");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_of_many_claims() {
        let gate = Gate::open();
        let word = gate.setup.link().await.expect("made").expect("unclaimed");
        let tasks: Vec<_> = (0..8)
            .map(|index| {
                let (setup, word) = (gate.setup.clone(), word.clone());
                let wish = NewOwner {
                    email: format!("user{index}@example.com"),
                    ..ada()
                };
                tokio::spawn(async move {
                    match index % 2 {
                        0 => setup.claim(&word, wish, &visitor("10.0.0.1")).await.map(drop),
                        _ => setup.claim_on_machine(0, wish).await.map(drop),
                    }
                })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.expect("no panic") {
                Ok(()) => won += 1,
                Err(error) => assert!(matches!(error, Error::Busy { .. }), "{error}"),
            }
        }
        assert_eq!((won, gate.access.store.users.list().expect("lists").len()), (1, 1));
    }
}
