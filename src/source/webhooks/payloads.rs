//! What a delivery says, in one shape for all forges.

use crate::webhooks::{Heard, requests};
use serde_json::Value;
use types::{Forge, PullRequest, Push, Reference};

/// More changed files than this are not kept: which ones they were is asked of the repository.
const MOST_FILES: usize = 3000;
/// Of a message.
const MESSAGE: usize = 2000;
/// GitHub tells no more than so many files of one commit, and not that there are more.
const MOST_TOLD: usize = 3000;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The forge wants to know whether somebody is there.
    Ping,
    /// At least one; Bitbucket tells of several in one delivery.
    Pushes(Vec<Push>),
    /// A pull or merge request came, changed or went.
    Request(Box<PullRequest>),
    /// Something else; how people call it.
    Other(String),
}

/// Reads the body of a delivery. Fails with what is wrong with it, in words.
pub fn read(heard: &Heard, content_type: &str, body: &[u8]) -> Result<What, String> {
    let event = heard.event.as_str();
    let other = || Ok(What::Other(event.to_owned()));
    match (heard.forge, event) {
        (Forge::Github | Forge::Gitea, "ping") | (Forge::Bitbucket, "diagnostics:ping") | (Forge::Generic, "ping") => Ok(What::Ping),
        (Forge::Github | Forge::Gitea, "push") => github(&json(content_type, body)?),
        (Forge::Github | Forge::Gitea, "pull_request") => requests::github(&json(content_type, body)?),
        (Forge::Gitlab, "Merge Request Hook") => requests::gitlab(&json(content_type, body)?),
        (Forge::Bitbucket, event) if event.starts_with("pullrequest:") => requests::bitbucket_cloud(event, &json(content_type, body)?),
        (Forge::Bitbucket, event) if event.starts_with("pr:") => requests::bitbucket_data_center(event, &json(content_type, body)?),
        (Forge::Gitlab, "Push Hook" | "Tag Push Hook") => gitlab(&json(content_type, body)?),
        (Forge::Gitlab, "System Hook") => {
            let body = json(content_type, body)?;
            match body["event_name"].as_str() {
                Some("push" | "tag_push") => gitlab(&body),
                name => Ok(What::Other(name.unwrap_or(event).to_owned())),
            }
        }
        (Forge::Bitbucket, "repo:push") => bitbucket_cloud(&json(content_type, body)?),
        (Forge::Bitbucket, "repo:refs_changed") => bitbucket_data_center(&json(content_type, body)?),
        (Forge::Generic, _) => generic(content_type, body),
        _ => other(),
    }
}

/// The body, or its field `payload` where a form was sent.
fn json(content_type: &str, body: &[u8]) -> Result<Value, String> {
    let read = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|error| format!("the body is not JSON: {error}"));
    if content_type.starts_with("application/x-www-form-urlencoded") {
        let field = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload");
        return read(field.ok_or("the form has no field `payload`")?.1.as_bytes());
    }
    read(body)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Forges write a commit that is not there as zeros, as many as the repository's ids have digits.
fn is_nothing(id: &str) -> bool {
    matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte == b'0')
}

/// A commit, unless it is the one that is none.
fn commit(value: &Value) -> Result<Option<String>, String> {
    match value.as_str() {
        None => Ok(None),
        Some(id) if is_nothing(id) => Ok(None),
        Some(id) if matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(Some(id.to_lowercase())),
        Some(_) => Err("a commit in it is not 40 hex digits".to_owned()),
    }
}

fn message(value: &Value) -> String {
    value.as_str().unwrap_or_default().chars().take(MESSAGE).collect()
}

/// The reference of a push; `None` for one that is neither branch nor tag, such as `refs/pull/1/head`.
fn reference(value: &Value) -> Result<Option<Reference>, String> {
    let full = value.as_str().ok_or("it does not say which branch or tag moved (`ref`)")?;
    Ok(Reference::of(full))
}

/// What the commits of a push have added, changed and removed. `None` when not all of them are told.
fn files(commits: &Value, all: Option<u64>) -> Option<Vec<String>> {
    let commits = commits.as_array().filter(|commits| !commits.is_empty())?;
    if all.is_some_and(|all| all > commits.len() as u64) {
        return None;
    }
    let mut files = std::collections::BTreeSet::new();
    for commit in commits {
        let mut told = 0;
        for list in ["added", "modified", "removed"] {
            let list = commit[list].as_array()?;
            told += list.len();
            files.extend(list.iter().filter_map(Value::as_str));
        }
        if told >= MOST_TOLD {
            return None;
        }
    }
    (files.len() <= MOST_FILES).then(|| files.into_iter().map(str::to_owned).collect())
}

/// GitHub's and Gitea's, which took its shape.
fn github(body: &Value) -> Result<What, String> {
    let Some(reference) = reference(&body["ref"])? else {
        return Ok(What::Other(format!("push to {}", body["ref"].as_str().unwrap_or_default())));
    };
    let after = commit(&body["after"])?;
    let deleted = body["deleted"] == true || after.is_none();
    let newest = match &body["head_commit"] {
        Value::Null => body["commits"]
            .as_array()
            .and_then(|commits| commits.last())
            .unwrap_or(&Value::Null),
        newest => newest,
    };
    // GitHub tells of at most 2,048 commits and Gitea of as many as its administrator likes.
    let all = body["total_commits"].as_u64().or_else(|| body["size"].as_u64());
    let told = body["commits"].as_array().map_or(0, Vec::len);
    // Of a push by force only what came is told, and not what went with the commits that are gone.
    let whole = told < 2048 && body["forced"] != true;
    let pusher = &body["pusher"];
    Ok(What::Pushes(vec![Push {
        reference: Some(reference),
        default_branch: text(&body["repository"]["default_branch"]),
        before: commit(&body["before"])?,
        after: after.filter(|_| !deleted),
        deleted,
        message: message(&newest["message"]),
        by: text(&pusher["login"])
            .or_else(|| text(&pusher["name"]))
            .or_else(|| text(&body["sender"]["login"])),
        files: files(&body["commits"], all).filter(|_| whole),
    }]))
}

fn gitlab(body: &Value) -> Result<What, String> {
    let Some(reference) = reference(&body["ref"])? else {
        return Ok(What::Other(format!("push to {}", body["ref"].as_str().unwrap_or_default())));
    };
    let after = commit(&body["after"])?;
    // Of a tag with a message `after` is the tag itself, and this the commit.
    let checkout = commit(&body["checkout_sha"])?;
    let deleted = after.is_none();
    let commits = &body["commits"];
    let newest = commits.as_array().into_iter().flatten();
    let newest = newest
        .max_by_key(|one| one["id"].as_str() == after.as_deref())
        .unwrap_or(&Value::Null);
    Ok(What::Pushes(vec![Push {
        reference: Some(reference),
        default_branch: text(&body["project"]["default_branch"]),
        before: commit(&body["before"])?,
        after: checkout.or(after).filter(|_| !deleted),
        deleted,
        message: message(&newest["message"]),
        by: text(&body["user_username"]).or_else(|| text(&body["user_name"])),
        files: files(commits, body["total_commits_count"].as_u64()),
    }]))
}

fn bitbucket_cloud(body: &Value) -> Result<What, String> {
    let changes = body["push"]["changes"].as_array().ok_or("it holds no `push.changes`")?;
    let by = text(&body["actor"]["nickname"]).or_else(|| text(&body["actor"]["display_name"]));
    let mut pushes = Vec::new();
    for change in changes {
        let (old, new) = (&change["old"], &change["new"]);
        let named = if new.is_null() { old } else { new };
        let name = text(&named["name"]).ok_or("a change in it names no branch or tag")?;
        let reference = match named["type"].as_str() {
            Some("tag") => Reference::Tag(name),
            _ => Reference::Branch(name),
        };
        pushes.push(Push {
            reference: Some(reference),
            default_branch: text(&body["repository"]["mainbranch"]["name"]),
            before: commit(&old["target"]["hash"])?,
            after: commit(&new["target"]["hash"])?,
            deleted: new.is_null(),
            message: message(&new["target"]["message"]),
            by: by.clone(),
            files: None,
        });
    }
    pushed(pushes)
}

fn bitbucket_data_center(body: &Value) -> Result<What, String> {
    let changes = body["changes"].as_array().ok_or("it holds no `changes`")?;
    let by = text(&body["actor"]["name"]).or_else(|| text(&body["actor"]["displayName"]));
    let mut pushes = Vec::new();
    for change in changes {
        let Some(reference) = reference(&change["ref"]["id"])? else {
            continue;
        };
        let after = commit(&change["toHash"])?;
        let newest = body["toCommit"]["id"].as_str().is_some_and(|id| Some(id) == after.as_deref());
        pushes.push(Push {
            reference: Some(reference),
            default_branch: None,
            before: commit(&change["fromHash"])?,
            deleted: after.is_none(),
            after,
            message: if newest {
                message(&body["toCommit"]["message"])
            } else {
                String::new()
            },
            by: by.clone(),
            files: None,
        });
    }
    pushed(pushes)
}

fn pushed(pushes: Vec<Push>) -> Result<What, String> {
    match pushes.is_empty() {
        true => Ok(What::Other("a push of nothing".to_owned())),
        false => Ok(What::Pushes(pushes)),
    }
}

/// `{"ref", "commit", "message", "by", "files"}`, all of which may be left out; an empty body is `{}`. A `ref` without `refs/` is a branch.
/// What they do not say is taken from the forges' own keys: `after`, `before`, `deleted`, `head_commit`, `commits` and `pusher`.
fn generic(content_type: &str, body: &[u8]) -> Result<What, String> {
    let body = match body.trim_ascii() {
        [] => Value::Null,
        body => json(content_type, body)?,
    };
    let reference = match body["ref"].as_str() {
        None => None,
        Some(full) if full.starts_with("refs/") => match Reference::of(full) {
            None => return Ok(What::Other(format!("push to {full}"))),
            found => found,
        },
        Some(name) => Some(Reference::Branch(name.to_owned())),
    };
    let after = match &body["commit"] {
        Value::Null => commit(&body["after"])?,
        given => commit(given)?,
    };
    let last = body["commits"].as_array().and_then(|commits| commits.last());
    let messages = [
        &body["message"],
        &body["head_commit"]["message"],
        last.map_or(&Value::Null, |one| &one["message"]),
    ];
    let pusher = &body["pusher"];
    Ok(What::Pushes(vec![Push {
        reference,
        default_branch: None,
        before: commit(&body["before"])?,
        deleted: body["deleted"] == true || (after.is_none() && body["after"].as_str().is_some_and(is_nothing)),
        after,
        message: messages.into_iter().find(|told| told.is_string()).map(message).unwrap_or_default(),
        by: text(&body["by"])
            .or_else(|| text(&pusher["login"]))
            .or_else(|| text(&pusher["name"])),
        files: match body["files"].as_array() {
            Some(named) => named_files(named),
            None => files_of_commits(&body),
        },
    }]))
}

fn named_files(named: &[Value]) -> Option<Vec<String>> {
    let files: Vec<String> = named.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (files.len() <= MOST_FILES).then_some(files)
}

/// As [`files`], of a script that may leave out a list in which there is nothing. A commit without any list does not tell.
fn files_of_commits(body: &Value) -> Option<Vec<String>> {
    const LISTS: [&str; 3] = ["added", "modified", "removed"];
    let all = ["total_commits", "size", "total_commits_count"];
    let all = all.iter().find_map(|key| body[*key].as_u64());
    let told = |one: &Value| LISTS.iter().any(|list| one[*list].is_array());
    let whole = |one: &Value| {
        let list = |name: &str| one[name].as_array().cloned().unwrap_or_default();
        serde_json::json!({"added": list("added"), "modified": list("modified"), "removed": list("removed")})
    };
    let commits = body["commits"].as_array().filter(|commits| commits.iter().all(told))?;
    files(&commits.iter().map(whole).collect(), all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhooks::Proof;
    use serde_json::json;

    const NOTHING: &str = "0000000000000000000000000000000000000000";
    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";

    fn reading(forge: Forge, event: &str, body: &Value) -> Result<What, String> {
        let heard = Heard {
            forge,
            id: None,
            event: event.to_owned(),
            proof: Proof::Right,
        };
        read(&heard, "application/json", body.to_string().as_bytes())
    }

    fn push(forge: Forge, event: &str, body: &Value) -> Push {
        match reading(forge, event, body).expect("it is read") {
            What::Pushes(mut pushes) => pushes.remove(0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_push_as_each_forge_tells_it() {
        let commits = json!([{"id": NEW, "message": "fix\n\nmore", "added": ["a"], "modified": ["b/c"], "removed": []}]);
        let all = [
            (
                Forge::Github,
                "push",
                json!({"ref": "refs/heads/main", "before": OLD, "after": NEW, "deleted": false, "commits": commits,
                    "head_commit": {"message": "fix\n\nmore"}, "pusher": {"name": "ada"}}),
            ),
            (
                Forge::Gitea,
                "push",
                json!({"ref": "refs/heads/main", "before": OLD, "after": NEW, "commits": commits, "total_commits": 1,
                    "head_commit": {"message": "fix\n\nmore"}, "pusher": {"login": "ada"}}),
            ),
            (
                Forge::Gitlab,
                "Push Hook",
                json!({"ref": "refs/heads/main", "before": OLD, "after": NEW, "checkout_sha": NEW, "commits": commits,
                    "total_commits_count": 1, "user_username": "ada"}),
            ),
            (
                Forge::Bitbucket,
                "repo:push",
                json!({"actor": {"nickname": "ada"}, "push": {"changes": [{"old": {"type": "branch", "name": "main", "target": {"hash": OLD}},
                    "new": {"type": "branch", "name": "main", "target": {"hash": NEW, "message": "fix\n\nmore"}}}]}}),
            ),
            (
                Forge::Bitbucket,
                "repo:refs_changed",
                json!({"actor": {"name": "ada"}, "toCommit": {"id": NEW, "message": "fix\n\nmore"}, "changes": [{"type": "UPDATE",
                    "ref": {"id": "refs/heads/main", "type": "BRANCH"}, "fromHash": OLD, "toHash": NEW}]}),
            ),
            (
                Forge::Generic,
                "deploy",
                json!({"ref": "main", "before": OLD, "commit": NEW, "message": "fix\n\nmore", "by": "ada", "files": ["a", "b/c"]}),
            ),
        ];
        for (forge, event, body) in all {
            let told = forge != Forge::Bitbucket;
            let expected = Push {
                reference: Some(Reference::Branch("main".into())),
                default_branch: None,
                before: Some(OLD.into()),
                after: Some(NEW.into()),
                deleted: false,
                message: "fix\n\nmore".into(),
                by: Some("ada".into()),
                files: told.then(|| vec!["a".into(), "b/c".into()]),
            };
            assert_eq!(push(forge, event, &body), expected, "{forge:?} {event}");
        }
    }

    #[test]
    fn tags_deletions_and_lists_that_are_cut() {
        let tag = push(
            Forge::Gitlab,
            "Tag Push Hook",
            &json!({"ref": "refs/tags/v1", "before": NOTHING, "after": OLD, "checkout_sha": NEW}),
        );
        assert_eq!(
            (tag.reference, tag.before, tag.after),
            (Some(Reference::Tag("v1".into())), None, Some(NEW.into()))
        );
        for (forge, event, body) in [
            (
                Forge::Github,
                "push",
                json!({"ref": "refs/heads/x", "before": OLD, "after": NOTHING, "deleted": true}),
            ),
            (
                Forge::Gitlab,
                "Push Hook",
                json!({"ref": "refs/heads/x", "before": OLD, "after": NOTHING}),
            ),
            (
                Forge::Bitbucket,
                "repo:push",
                json!({"push": {"changes": [{"new": null, "old": {"type": "branch", "name": "x", "target": {"hash": OLD}}}]}}),
            ),
        ] {
            let gone = push(forge, event, &body);
            assert!(gone.deleted && gone.after.is_none(), "{forge:?}");
        }
        let cut = json!({"ref": "refs/heads/x", "before": OLD, "after": NEW, "total_commits_count": 21,
            "commits": [{"added": ["a"], "modified": [], "removed": []}]});
        assert_eq!(push(Forge::Gitlab, "Push Hook", &cut).files, None);
        let long = json!({"ref": "refs/heads/x", "before": "1".repeat(64), "after": "0".repeat(64)});
        let gone = push(Forge::Gitea, "push", &long);
        assert!(gone.deleted && gone.after.is_none(), "{gone:?}");
    }

    /// The path filter left pushes out by a part of what they had changed.
    #[test]
    fn files_that_are_not_all_of_them() {
        let of = |forced: bool, files: usize| {
            let added: Vec<String> = (0..files).map(|n| format!("docs/{n}")).collect();
            let body = json!({"ref": "refs/heads/x", "before": OLD, "after": NEW, "forced": forced,
                "commits": [{"added": added, "modified": [], "removed": []}]});
            push(Forge::Github, "push", &body).files.map(|files| files.len())
        };
        assert_eq!(of(false, 2999), Some(2999));
        assert_eq!(of(false, 3000), None);
        assert_eq!(of(true, 1), None);
    }

    #[test]
    fn what_is_not_a_push() {
        assert_eq!(reading(Forge::Github, "ping", &json!({})), Ok(What::Ping));
        assert_eq!(reading(Forge::Github, "issues", &json!({})), Ok(What::Other("issues".into())));
        let review = json!({"ref": "refs/pull/1/head", "after": NEW});
        assert!(matches!(reading(Forge::Github, "push", &review), Ok(What::Other(_))));
        for (forge, event, body) in [
            (Forge::Github, "push", json!([])),
            (Forge::Github, "push", json!({"ref": 7})),
            (Forge::Github, "push", json!({"ref": "refs/heads/x", "after": "../../x"})),
            (Forge::Bitbucket, "repo:push", json!({})),
            (Forge::Gitlab, "Push Hook", json!("x")),
        ] {
            assert!(reading(forge, event, &body).is_err(), "{forge:?} {body}");
        }
        let heard = Heard {
            forge: Forge::Github,
            id: None,
            event: "push".into(),
            proof: Proof::Right,
        };
        assert!(read(&heard, "application/json", b"\xff").is_err());
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &json!({"ref": "refs/heads/m", "after": NEW}).to_string())
            .finish();
        assert!(matches!(
            read(&heard, "application/x-www-form-urlencoded", form.as_bytes()),
            Ok(What::Pushes(_))
        ));
        assert!(read(&heard, "application/x-www-form-urlencoded", b"x=1").is_err());
    }

    #[test]
    fn a_generic_call_may_say_nothing() {
        let heard = Heard {
            forge: Forge::Generic,
            id: None,
            event: "deploy".into(),
            proof: Proof::Right,
        };
        let What::Pushes(pushes) = read(&heard, "", b" ").expect("read") else {
            panic!()
        };
        assert_eq!((&pushes[0].reference, &pushes[0].after, &pushes[0].files), (&None, &None, &None));
    }

    #[test]
    fn a_generic_call_in_the_shape_of_the_forges() {
        let commits =
            json!([{"message": "one", "added": ["src/a"]}, {"message": "two [skip deploy]", "modified": ["docs/b"], "removed": ["c"]}]);
        let all = json!({"ref": "refs/heads/main", "before": OLD, "after": NEW, "commits": commits, "pusher": {"name": "ada"}});
        let told = push(Forge::Generic, "push", &all);
        assert_eq!(
            (told.message.as_str(), told.by.as_deref(), told.deleted),
            ("two [skip deploy]", Some("ada"), false)
        );
        assert_eq!(told.files.expect("all of them"), ["c", "docs/b", "src/a"]);
        // Its own keys go first.
        let mut both = all.clone();
        both["message"] = "mine".into();
        both["files"] = json!(["x"]);
        let told = push(Forge::Generic, "push", &both);
        assert_eq!((told.message.as_str(), told.files), ("mine", Some(vec!["x".to_owned()])));
        for (key, value) in [
            ("commits", json!([])),
            ("commits", json!([{"message": "x"}])),
            ("commits", json!("x")),
            ("total_commits", json!(3)),
        ] {
            let mut untold = all.clone();
            untold[key] = value;
            assert_eq!(push(Forge::Generic, "push", &untold).files, None, "{untold}");
        }
        assert!(push(Forge::Generic, "push", &json!({"ref": "refs/heads/x", "after": NOTHING})).deleted);
    }
}
