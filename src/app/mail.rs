//! The server that takes the panel's mail, and the letters that wait for it. A letter is a record until it is sent, so a
//! crash loses none; who asks for one does not wait for the server.

use crate::ground::Ground;
use async_trait::async_trait;
use notify::{Mail, Server, check_sender, send};
use std::{sync::Arc, time::Duration};
use store::{Batch, MAIL_KEY, Stored};
use types::{Action, Actor, Email, Error, Fact, Invitation, Kind, Letter, MailSecurity, MailServer, Result, Secret, report};

/// Letters sent in one turn.
const TURN: usize = 100;
/// Letters not taken, after which a turn ends.
const IN_A_ROW: u32 = 3;
/// Letters that wait; more are not taken.
const MOST: usize = 5000;

/// The server as somebody wishes it.
#[derive(Debug, Clone)]
pub struct MailWish {
    pub host: String,
    pub port: u16,
    pub security: MailSecurity,
    pub user: Option<String>,
    /// `None`: as it was, for the same host and user.
    pub password: Option<Secret>,
    pub from: String,
    pub ca_pem: Option<String>,
    pub notices: bool,
}

/// What the panel knows of its mail.
#[derive(Debug, Clone)]
pub struct MailView {
    /// `None`: it sends none.
    pub server: Option<MailServer>,
    /// Letters that wait to be sent.
    pub waiting: usize,
}

#[derive(Clone)]
pub struct MailService {
    ground: Arc<Ground>,
}

fn recorded(ground: &Ground) -> Result<Option<Stored<MailServer>>> {
    ground.store.mail.find(MAIL_KEY)
}

/// Whether the panel sends mail at all.
pub(crate) fn is_on(ground: &Ground) -> Result<bool> {
    Ok(recorded(ground)?.is_some())
}

/// A letter, not saved yet. `lasts`: after it the letter is of no use any more.
pub(crate) fn letter(ground: &Ground, to: &Email, subject: impl Into<String>, text: &str, lasts: Duration) -> Result<Letter> {
    let now = ground.world.now();
    Ok(Letter {
        id: ground.world.id(),
        to: to.clone(),
        subject: subject.into(),
        text: ground.store.seal(&Secret::from(text))?,
        created_at: now,
        until: now.plus(lasts),
        tries: 0,
        next_at: now,
    })
}

/// Saves a letter, and has it sent soon.
pub(crate) async fn post(ground: &Ground, letter: Letter) -> Result<()> {
    if ground.store.letters.list()?.len() >= MOST {
        return Err(Error::busy("too many mails wait to be sent; the mail server may not take them"));
    }
    ground.store.letters.insert(letter).await?;
    ground.wakes.mail.wake();
    Ok(())
}

impl MailService {
    pub(crate) fn new(ground: Arc<Ground>) -> MailService {
        MailService { ground }
    }

    /// Whether the panel sends mail; told to everybody.
    pub fn is_on(&self) -> Result<bool> {
        is_on(&self.ground)
    }

    pub fn show(&self, actor: &Actor) -> Result<MailView> {
        actor.may(Action::Operate)?;
        Ok(MailView {
            server: recorded(&self.ground)?.map(|stored| stored.value),
            waiting: self.ground.store.letters.list()?.len(),
        })
    }

    /// Who chooses the server reads the links with which passwords are replaced, those of owners too: so owners only.
    pub async fn set(&self, actor: &Actor, wish: MailWish) -> Result<MailView> {
        may_choose(actor)?;
        check_sender(&wish.from)?;
        let before = recorded(&self.ground)?;
        let password = match (&wish.password, &wish.user) {
            (_, None) => None,
            (Some(password), _) => {
                self.ground.redactor.learn(&actor.organization, password);
                Some(self.ground.store.seal(password)?)
            }
            (None, Some(_)) => self.kept_password(before.as_ref(), &wish)?,
        };
        let server = MailServer {
            host: wish.host.trim().to_lowercase(),
            port: wish.port,
            security: wish.security,
            user: wish.user,
            password,
            from: wish.from.trim().to_owned(),
            ca_pem: wish.ca_pem.filter(|pem| !pem.trim().is_empty()),
            notices: wish.notices,
        };
        server.check()?;
        let begins = server.notices && !before.as_ref().is_some_and(|before| before.notices);
        if begins {
            crate::notices::begin(&self.ground).await?;
        }
        let collection = &self.ground.store.mail;
        match before {
            Some(mut stored) => {
                stored.value = server;
                collection.save(stored).await?;
            }
            None => {
                collection.insert(server).await?;
            }
        }
        self.tell(actor).await;
        self.ground.wakes.mail.wake();
        self.show(actor)
    }

    /// A password goes to nobody else than it was given for.
    fn kept_password(&self, before: Option<&Stored<MailServer>>, wish: &MailWish) -> Result<Option<types::Sealed>> {
        let Some(before) = before else { return Ok(None) };
        if before.host == wish.host.trim().to_lowercase() && before.user == wish.user {
            return Ok(before.password.clone());
        }
        Err(Error::invalid("password", "give it again: the server or the user is another"))
    }

    /// From then on the panel sends no mail; letters that wait are thrown away.
    pub async fn remove(&self, actor: &Actor) -> Result<()> {
        may_choose(actor)?;
        let stored = recorded(&self.ground)?.ok_or_else(|| Error::not_found(Kind::Setting, "mail"))?;
        let letters = self.ground.store.letters.list()?;
        let batch = letters
            .iter()
            .fold(Batch::new().remove(&stored), |batch, letter| batch.remove(letter));
        self.ground.store.commit(batch).await?;
        self.tell(actor).await;
        Ok(())
    }

    /// Sends a mail now, to the asker's own address unless another is named; answers where it went. Fails with
    /// `Unavailable` in the server's words.
    pub async fn test(&self, actor: &Actor, to: Option<&str>) -> Result<Email> {
        actor.may(Action::Operate)?;
        let server = recorded(&self.ground)?.ok_or_else(|| Error::busy("no mail server is set up"))?;
        let to: Email = match (to, actor.user()) {
            (Some(to), _) => to.parse().map_err(|_| Error::invalid("to", "must be a mail address"))?,
            (None, Some(user)) => self.ground.store.users.get(user.as_str())?.value.email,
            (None, None) => return Err(Error::invalid("to", "name a mail address")),
        };
        let text = format!("This panel can send mail.\n\n{}\n", self.ground.panel_address()?);
        let mail = letter(&self.ground, &to, "Mail from serverkit works", &text, Duration::from_secs(60))?;
        deliver(&self.ground, &server, &mail).await?;
        Ok(to)
    }

    /// Sends an invitation its link. Fails with `Invalid` when the panel sends no mail.
    pub async fn invite(&self, invitation: &Invitation, link: &str, panel: &str) -> Result<()> {
        self.must_send()?;
        let text = format!(
            "{} has invited you to the server panel at {panel}.\n\nOpen this link to join, until {}:\n\n{link}\n\n\
             If you did not expect this, forget it: nothing happens.\n",
            invitation.by, invitation.expires_at,
        );
        let lasts = invitation.expires_at.since(self.ground.world.now());
        let letter = letter(&self.ground, &invitation.email, "An invitation to a server panel", &text, lasts)?;
        post(&self.ground, letter).await
    }

    /// Fails with `Invalid` when the panel sends no mail.
    pub fn must_send(&self) -> Result<()> {
        match self.is_on()? {
            true => Ok(()),
            false => Err(Error::invalid("mail", "this panel sends no mail: set up a mail server first")),
        }
    }

    async fn tell(&self, actor: &Actor) {
        let fields = vec!["mail".to_owned()];
        self.ground.events.emit(actor, Fact::SettingsChanged { fields }).await;
    }
}

fn may_choose(actor: &Actor) -> Result<()> {
    actor.may(Action::Operate)?;
    actor.may(Action::ManageOwners)
}

async fn deliver(ground: &Ground, server: &MailServer, letter: &Letter) -> Result<()> {
    let login = match (&server.user, &server.password) {
        (Some(user), Some(password)) => Some((user.clone(), ground.store.unseal(password)?)),
        _ => None,
    };
    let server = Server {
        host: server.host.clone(),
        port: server.port,
        security: server.security,
        login,
        from: server.from.clone(),
        ca_pem: server.ca_pem.clone(),
    };
    let text = ground.store.unseal(&letter.text)?;
    let mail = Mail {
        to: letter.to.to_string(),
        subject: letter.subject.clone(),
        text: text.expose_str().unwrap_or_default().to_owned(),
        id: letter.id.to_string(),
    };
    send(&server, &mail).await
}

/// Sends letters that wait, and tries those again that the server did not take.
pub struct Postman {
    ground: Arc<Ground>,
}

/// What one turn did.
#[derive(Debug, Default, serde::Serialize)]
pub struct PostReport {
    pub sent: usize,
    pub waiting: usize,
    /// Of no use any more.
    pub dropped: usize,
    pub problem: Option<String>,
}

impl Postman {
    pub(crate) fn new(ground: Arc<Ground>) -> Postman {
        Postman { ground }
    }

    /// A server that takes none of several in a row is asked again in the next turn.
    async fn turn(&self, server: &MailServer, due: Vec<Stored<Letter>>) -> Result<PostReport> {
        let mut done = PostReport::default();
        let mut refused = 0;
        for letter in due.into_iter().take(TURN) {
            match deliver(&self.ground, server, &letter).await {
                Ok(()) => {
                    self.forget(&letter).await?;
                    done.sent += 1;
                    refused = 0;
                }
                Err(error) => {
                    let words = self.ground.redactor.redact(&report(&error)).into_owned();
                    tracing::warn!("a mail to {} was not sent: {words}", letter.to);
                    done.problem = Some(words);
                    self.later(&letter).await?;
                    refused += 1;
                    if refused == IN_A_ROW {
                        break;
                    }
                }
            }
        }
        Ok(done)
    }

    async fn forget(&self, letter: &Stored<Letter>) -> Result<()> {
        let removed = self.ground.store.letters.remove(letter.id.as_str()).await;
        removed.or_else(crate::access::settled)
    }

    async fn later(&self, letter: &Stored<Letter>) -> Result<()> {
        let now = self.ground.world.now();
        let again = |letter: &mut Letter| {
            letter.failed(now);
            Ok(())
        };
        let saved = self.ground.store.letters.update(letter.id.as_str(), again).await;
        saved.map(drop).or_else(crate::access::settled)
    }
}

#[async_trait]
impl jobs::Job for Postman {
    const NAME: &'static str = "mail";
    type Report = PostReport;

    async fn run(&mut self) -> Result<PostReport> {
        let now = self.ground.world.now();
        let Some(server) = recorded(&self.ground)? else {
            return Ok(PostReport::default());
        };
        let (over, waiting): (Vec<_>, Vec<_>) = self
            .ground
            .store
            .letters
            .list()?
            .into_iter()
            .partition(|letter| now >= letter.until);
        for letter in &over {
            self.forget(letter).await?;
        }
        let due: Vec<_> = waiting.into_iter().filter(|letter| now >= letter.next_at).collect();
        let mut done = self.turn(&server, due).await?;
        done.dropped = over.len();
        done.waiting = self.ground.store.letters.list()?.len();
        Ok(done)
    }
}
