//! What a job says of itself in its ID token, as GitHub and GitLab write it, and whether a trust takes it.

use serde_json::Value;
use source::webhooks::Filter;
use types::{CiTrust, Result, Time};

/// Whose job it is, by name: as GitHub says it, then as GitLab does.
pub(super) fn repository_of(claims: &Value) -> &str {
    let said = |name: &str| claims[name].as_str().filter(|name| !name.is_empty());
    said("repository").or_else(|| said("project_path")).unwrap_or_default()
}

/// What of a job of the trusted repository is not as the trust wants it, in words; `None`: it fits.
pub(super) fn misfit(trust: &CiTrust, claims: &Value, now: Time) -> Result<Option<String>> {
    let said = |name: &str| claims[name].as_str().unwrap_or_default();
    let repository = repository_of(claims);
    if trust.repository_id.is_some() && trust.repository_id != number_of(claims) {
        return Ok(Some(format!(
            "`{repository}` is not the repository that was trusted: it was made anew since"
        )));
    }
    if trust.ends_at.is_some_and(|end| end <= now) {
        return Ok(Some(
            "the trust in this repository has ended with the token by which it was made".into(),
        ));
    }
    let reference = reference_of(claims).unwrap_or_default();
    let fits = match (reference.strip_prefix("refs/heads/"), reference.strip_prefix("refs/tags/")) {
        (Some(branch), _) => !trust.branches.is_empty() && Filter::of_names("branches", &trust.branches)?.takes(branch),
        (_, Some(tag)) => !trust.tags.is_empty() && Filter::of_names("tags", &trust.tags)?.takes(tag),
        _ => false,
    };
    if !fits {
        return Ok(Some(format!("the app does not trust `{reference}` of {repository}")));
    }
    if let Some(wanted) = &trust.environment
        && said("environment") != wanted
    {
        return Ok(Some(format!("the job is not of the environment `{wanted}`")));
    }
    match &trust.workflow {
        Some(wanted) if workflow_of(claims).as_deref() != Some(wanted.as_str()) => {
            Ok(Some(format!("the job is not of the workflow `{wanted}`")))
        }
        _ => Ok(None),
    }
}

/// `refs/heads/main`; GitLab writes the name and what it is of.
pub(super) fn reference_of(claims: &Value) -> Option<String> {
    let reference = claims["ref"].as_str()?;
    match claims["ref_type"].as_str() {
        _ if reference.starts_with("refs/") => Some(reference.to_owned()),
        Some("branch") => Some(format!("refs/heads/{reference}")),
        Some("tag") => Some(format!("refs/tags/{reference}")),
        _ => None,
    }
}

/// Numbers stay when a repository gets another name, and are not given twice.
pub(super) fn number_of(claims: &Value) -> Option<String> {
    match [&claims["repository_id"], &claims["project_id"]]
        .into_iter()
        .find(|value| !value.is_null())?
    {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The file, from `owner/name/.github/workflows/deploy.yml@refs/heads/main` or `gitlab.com/group/name//.gitlab-ci.yml@…`.
fn workflow_of(claims: &Value) -> Option<String> {
    let whole = [&claims["workflow_ref"], &claims["ci_config_ref_uri"]]
        .into_iter()
        .find_map(Value::as_str)?;
    let path = whole.split_once('@').map_or(whole, |(path, _)| path);
    match path.split_once("//") {
        Some((_, file)) => Some(file.to_owned()),
        None => path.splitn(3, '/').nth(2).map(str::to_owned),
    }
}

/// Where GitHub shows the run.
pub(super) fn run_of(claims: &Value) -> Option<String> {
    let (repository, run) = (claims["repository"].as_str()?, claims["run_id"].as_str()?);
    Some(format!("{repository}/actions/runs/{run}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci_trusts::GITHUB_ISSUER;
    use serde_json::json;
    use types::World;

    fn trust(environment: Option<&str>, workflow: Option<&str>) -> CiTrust {
        let world = World::system();
        CiTrust {
            id: world.id(),
            organization: world.id(),
            app: world.id(),
            user: world.id(),
            issuer: GITHUB_ISSUER.into(),
            authority: None,
            repository: "ada/blog".into(),
            repository_id: Some("42".into()),
            branches: vec!["main".into(), "release/*".into()],
            tags: vec!["v*".into()],
            environment: environment.map(str::to_owned),
            workflow: workflow.map(str::to_owned),
            created_at: Time(0),
            ends_at: Some(Time(1000)),
            last_used_at: None,
            used: Default::default(),
        }
    }

    #[test]
    fn what_a_job_must_be() {
        let job = json!({"repository": "Ada/Blog", "repository_id": "42", "ref": "refs/heads/main", "environment": "production",
            "workflow_ref": "ada/blog/.github/workflows/deploy.yml@refs/heads/main"});
        let with = |name: &str, value: Value| {
            let mut all = job.clone();
            all[name] = value;
            all
        };
        let strict = trust(Some("production"), Some(".github/workflows/deploy.yml"));
        for (claims, expected) in [
            (job.clone(), None),
            (with("ref", json!("refs/heads/release/1")), None),
            (with("ref", json!("refs/tags/v1.2")), None),
            (with("repository_id", json!("43")), Some("made anew")),
            (with("repository_id", Value::Null), Some("made anew")),
            (with("ref", json!("refs/heads/dev")), Some("does not trust `refs/heads/dev`")),
            (with("ref", json!("refs/heads/main2")), Some("does not trust")),
            (with("ref", json!("refs/tags/main")), Some("does not trust")),
            (with("ref", json!("refs/pull/7/merge")), Some("does not trust")),
            (with("ref", json!("main")), Some("does not trust")),
            (with("ref", Value::Null), Some("does not trust")),
            (with("environment", json!("staging")), Some("environment")),
            (with("environment", Value::Null), Some("environment")),
            (
                with("workflow_ref", json!("ada/blog/.github/workflows/other.yml@refs/heads/main")),
                Some("workflow"),
            ),
            (with("workflow_ref", Value::Null), Some("workflow")),
        ] {
            let found = misfit(&strict, &claims, Time(0)).expect("patterns are right");
            match expected {
                None => assert_eq!(found, None, "{claims}"),
                Some(words) => assert!(found.as_deref().is_some_and(|why| why.contains(words)), "{claims}: {found:?}"),
            }
        }
        assert!(
            misfit(&strict, &job, Time(1000)).expect("patterns are right").is_some(),
            "it has ended"
        );
        let only_tags = CiTrust {
            branches: Vec::new(),
            ..trust(None, None)
        };
        assert!(misfit(&only_tags, &job, Time(0)).expect("patterns are right").is_some());
    }

    #[test]
    fn jobs_of_gitlab() {
        let job = json!({"project_path": "ada/blog", "project_id": 42, "ref": "main", "ref_type": "branch",
            "ci_config_ref_uri": "gitlab.example.com/ada/blog//.gitlab-ci.yml@refs/heads/main"});
        assert_eq!(
            misfit(&trust(None, Some(".gitlab-ci.yml")), &job, Time(0)).expect("patterns are right"),
            None
        );
        let mut tag = job.clone();
        (tag["ref"], tag["ref_type"]) = (json!("main"), json!("tag"));
        assert!(misfit(&trust(None, None), &tag, Time(0)).expect("patterns are right").is_some());
    }
}
