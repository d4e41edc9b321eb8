//! What reaches an app from outside beside its domains: ports of the server, CIs that may deploy it, webhooks, and the watch over its
//! images. Each is copied only as far as a copy is meant by it.

use super::{PlannedCi, PlannedPort, maker::Maker};
use crate::{ci_trusts, release_ports};
use store::Stored;
use types::{Action, App, ImageWatch, OnNewImage, Result, Site, Source, Stream, Webhook};

impl Maker<'_> {
    pub fn ways_in(&mut self, of: &App, copy: &App) -> Result<()> {
        self.ports(of, copy)?;
        self.trusts(of, copy)?;
        self.image_watch(of, copy)?;
        let store = &self.ground.store;
        if let Some(webhook) = store.webhooks.find(of.id.as_str())? {
            let words = self.webhook(of, copy, webhook);
            self.leave(words);
        }
        if store.preview_rules.find(of.id.as_str())?.is_some_and(|rules| rules.enabled) {
            self.leave(format!("previews of `{}`: a pull request has one", of.name));
        }
        Ok(())
    }

    /// A number leads to one app only, so a copy gets another one, if somebody wants it to be reached so.
    fn ports(&mut self, of: &App, copy: &App) -> Result<()> {
        let ground = self.ground;
        let may_open = self.actor.may(Action::Operate).is_ok();
        for old in release_ports::ports_of(ground, &of.id)? {
            let taken: Vec<_> = self.draft.streams.iter().map(|stream| stream.listen).collect();
            let to = match self.wish.ports && may_open {
                true => release_ports::free_after(ground, old.listen, &taken)?,
                false => None,
            };
            let from = old.listen;
            match to {
                Some(listen) => self.draft.streams.push(Stream {
                    listen,
                    app: copy.id.clone(),
                    created_at: ground.world.now(),
                    ..old
                }),
                None => {
                    let why = match (self.wish.ports, may_open) {
                        (false, _) => "open one for the copy if it should be reached so",
                        (true, false) => "only an administrator opens ports",
                        (true, true) => "no other one is free",
                    };
                    self.leave(format!("the port {from} leads to `{}` only; {why}", of.name));
                }
            }
            self.draft.ports.push((copy.id.clone(), PlannedPort { from, to }));
        }
        Ok(())
    }

    /// What deploys production from a CI does not deploy a copy unless somebody says so.
    fn trusts(&mut self, of: &App, copy: &App) -> Result<()> {
        for old in self.ground.store.ci_trusts.prefix(&format!("{}/", of.id))? {
            let trusted = match self.wish.ci {
                true => match ci_trusts::for_copy(self.ground, self.actor, &old, copy) {
                    Ok(trust) => {
                        self.draft.trusts.push(trust);
                        true
                    }
                    Err(error) => {
                        self.draft.problems.push(error);
                        false
                    }
                },
                false => {
                    self.leave(format!(
                        "{} may deploy `{}` from its CI, and not the copy: let it in there if it should",
                        old.repository, of.name
                    ));
                    false
                }
            };
            let repository = old.repository.clone();
            self.draft.ci.push((copy.id.clone(), PlannedCi { repository, trusted }));
        }
        Ok(())
    }

    /// As it is, but for what it has found: the copy runs nothing yet.
    fn image_watch(&mut self, of: &App, copy: &App) -> Result<()> {
        let Some(old) = self.ground.store.image_watches.find(of.id.as_str())? else {
            return Ok(());
        };
        let mut watch = ImageWatch {
            app: copy.id.clone(),
            images: Vec::new(),
            waiting: None,
            created_at: self.ground.world.now(),
            ..old.value
        };
        if watch.on_new == OnNewImage::Deploy && !self.may_deploy(of) {
            watch.on_new = OnNewImage::Notify;
            self.draft.notes.push(format!(
                "newer images of the copy of `{}` are told and not deployed: that takes the right to deploy",
                of.name
            ));
        }
        self.draft.watches.push(watch);
        Ok(())
    }

    fn may_deploy(&self, of: &App) -> bool {
        self.actor.may_in(Action::Deploy, &Site::project(of.project.clone())).is_ok()
    }

    /// One address at the forge is enough where the copy follows another branch.
    fn webhook(&mut self, of: &App, copy: &App, mut webhook: Stored<Webhook>) -> String {
        let name = &of.name;
        let (Source::Git(old), Source::Git(new)) = (&of.source, &copy.source) else {
            return format!("the webhook of `{name}`");
        };
        match &new.branch {
            Some(branch) if old.branch.as_ref() != Some(branch) && self.may_deploy(of) => {
                webhook.passes_to.push(copy.id.clone());
                self.draft.webhooks.push(webhook);
                format!(
                    "the webhook of `{name}` stays, and passes pushes to {} on to the copy",
                    branch.as_str()
                )
            }
            _ => format!("the webhook of `{name}`: pushes deploy the copy once it follows another branch and the webhook passes them on"),
        }
    }
}
