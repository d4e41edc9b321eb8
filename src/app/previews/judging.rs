//! What becomes of a pull request that a forge tells of: the decision in words, and the record that is kept with it.

use super::{key_of, previews_of, rules::rule};
use crate::ground::Ground;
use store::Stored;
use types::{App, Decision, Preview, PreviewState, PullRequest, Result, Time};

/// What was decided of a request that came, and the record to keep.
pub(crate) struct Judged {
    pub decision: Decision,
    pub why: String,
    pub keep: Option<Keep>,
}

/// A record that is new, or changed.
// There is one at a time.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Keep {
    New(Preview),
    Changed(Stored<Preview>),
}

/// Decides on a request. `by`: who sends, in words.
pub(crate) fn judge(ground: &Ground, app: &App, request: &PullRequest, by: &str) -> Result<Judged> {
    let rules = ground.store.preview_rules.find(app.id.as_str())?;
    let Some(rules) = rules.filter(|rules| rules.enabled) else {
        return Ok(Judged {
            decision: Decision::OtherEvent,
            why: format!(
                "ignored: #{} is a pull request, and previews are off; pushes deploy",
                request.number
            ),
            keep: None,
        });
    };
    let now = ground.world.now();
    let known = ground.store.previews.find(&key_of(&app.id, request.number))?;
    let all = previews_of(ground, &app.id)?;
    let others = all
        .iter()
        .filter(|one| one.takes_place() && one.request.number != request.number)
        .count();
    let ruling = rule(&rules, known.as_ref().map(|known| &known.value), request, others);
    let keep = match (known, ruling.state) {
        (None, None) => None,
        (None, Some(state)) => Some(Keep::New(fresh(app, request, state, &ruling.why, by, now))),
        (Some(mut known), state) => {
            if known.request.head != request.head || state == Some(PreviewState::Wanted) {
                known.pushed_at = now;
                by.clone_into(&mut known.by);
            }
            known.request = request.clone();
            if let Some(state) = state {
                known.state = state;
                known.why.clone_from(&ruling.why);
            }
            known.updated_at = now;
            Some(Keep::Changed(known))
        }
    };
    Ok(Judged {
        decision: ruling.decision,
        why: ruling.why,
        keep,
    })
}

fn fresh(app: &App, request: &PullRequest, state: PreviewState, why: &str, by: &str, now: Time) -> Preview {
    Preview {
        organization: app.organization.clone(),
        of: app.id.clone(),
        request: request.clone(),
        state,
        why: why.to_owned(),
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
        by: by.to_owned(),
        pushed_at: now,
        created_at: now,
        updated_at: now,
    }
}
