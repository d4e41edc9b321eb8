//! Pushes that come late: forges send each by itself, and try again what was not taken, so that an older one may come after the one that
//! followed it. It is not deployed over that.

use super::{Verdict, judging::tips_of};
use crate::ground::Ground;
use types::{App, Decision, Delivery, Push, Reference, Result, Source};

/// Not to deploy a push, since what followed it came before and is deployed. What was told before is only a suspicion (somebody may have pushed
/// the old commit once more by force): so the repository is asked, and if it does not answer, or has the commit there, the push counts.
pub(super) async fn judge(ground: &Ground, delivery: &Delivery, target: &App, push: &Push) -> Result<Option<Verdict>> {
    let (Source::Git(git), Some(branch @ Reference::Branch(_)), Some(after)) = (&target.source, &push.reference, &push.after) else {
        return Ok(None);
    };
    let told = ground.store.deliveries.prefix(&format!("{}/", delivery.app))?;
    if !is_overtaken(told.iter().map(|one| &one.value), push) {
        return Ok(None);
    }
    let tips = tips_of(ground, target, git).await.unwrap_or_default();
    let now = tips.into_iter().find(|tip| tip.reference == branch.full());
    Ok(now.filter(|now| now.commit != *after).map(|now| {
        let why = format!(
            "ignored: {} came late; {} has followed it on {}",
            &after[..10],
            &now.commit[..10],
            branch.words()
        );
        Verdict::new(Decision::Unchanged, why)
    }))
}

/// Whether pushes that were `told` before, oldest first, begin at the commit of this one and were taken.
fn is_overtaken<'a>(told: impl DoubleEndedIterator<Item = &'a Delivery>, push: &Push) -> bool {
    let (mut begin, mut taken) = (None, false);
    for one in told.rev().filter(|one| one.replay_of.is_none()) {
        let Some(known) = one.push.as_ref().filter(|known| known.reference == push.reference) else {
            continue;
        };
        match &begin {
            // The newest of the branch, which this one goes on from.
            None if known.after == push.before => return false,
            Some(begin) if known.after.as_ref() != Some(begin) => continue,
            None | Some(_) => {}
        }
        taken |= one.deployment.is_some() || one.decision == Decision::Held;
        match &known.before {
            None => return false,
            before if *before == push.after => return taken,
            before => begin.clone_from(before),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{Forge, World};

    fn push(before: &str, after: &str) -> Push {
        let commit = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Push {
            reference: Some(Reference::Branch("main".into())),
            default_branch: None,
            before: commit(before),
            after: commit(after),
            deleted: after.is_empty(),
            message: String::new(),
            by: None,
            files: None,
        }
    }

    fn told(world: &World, push: Push, decision: Decision) -> Delivery {
        Delivery {
            id: world.id(),
            organization: world.id(),
            app: world.id(),
            at: world.now(),
            forge: Forge::Github,
            forge_id: None,
            part: 0,
            holds_id: false,
            event: "push".into(),
            push: Some(push),
            bytes: 0,
            address: None,
            decision,
            why: String::new(),
            deployment: (decision == Decision::Deployed).then(|| world.id()),
            replay_of: None,
        }
    }

    #[test]
    fn what_is_overtaken() {
        use Decision::{Deployed, Held, PathFilter};
        let world = World::system();
        let before = |steps: &[(&str, &str, Decision)], late: Push| {
            let all: Vec<Delivery> = steps
                .iter()
                .map(|(before, after, decision)| told(&world, push(before, after), *decision))
                .collect();
            is_overtaken(all.iter(), &late)
        };
        let late = || push("0", "a");
        assert!(before(&[("a", "b", Deployed)], late()));
        assert!(before(&[("a", "b", Held)], late()));
        assert!(before(&[("", "0", Deployed), ("a", "b", Deployed), ("b", "c", Deployed)], late()));
        assert!(!before(&[], late()));
        assert!(before(&[("a", "b", PathFilter), ("b", "c", Deployed)], late()));
        assert!(before(&[("a", "b", Deployed)], push("", "a")), "a branch that was new");
        // What is in it is deployed by nothing else.
        assert!(!before(&[("a", "b", PathFilter)], late()));
        // It goes on from what was told last, also back to a commit that was there before.
        assert!(!before(&[("", "0", Deployed)], late()));
        assert!(!before(&[("0", "a", Deployed), ("a", "b", Deployed)], push("b", "a")));
        assert!(!before(
            &[("0", "a", Deployed), ("a", "b", Deployed), ("b", "0", Deployed)],
            push("0", "a")
        ));
        // A branch that was deleted and made anew.
        assert!(!before(&[("a", "b", Deployed), ("b", "", Deployed)], push("", "a")));
        let elsewhere = Push {
            reference: Some(Reference::Branch("dev".into())),
            ..push("0", "a")
        };
        assert!(!before(&[("a", "b", Deployed)], elsewhere));
    }
}
