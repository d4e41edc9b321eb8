//! Pull and merge requests, as the deliveries of each forge tell of them.

use crate::webhooks::What;
use serde_json::Value;
use types::PullRequest;

/// Longer ones are cut: they are for people to read.
const TITLE: usize = 300;
/// Of one request.
const LABELS: usize = 100;

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn needed(value: &Value, what: &str) -> Result<String, String> {
    text(value).ok_or_else(|| format!("it does not say {what}"))
}

fn number(value: &Value) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| "it does not say which request it is of".to_owned())
}

/// Whole, or the first digits of it as Bitbucket sends them.
fn commit(value: &Value) -> Result<String, String> {
    let id = needed(value, "its newest commit")?;
    let fits = (7..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits {
        Ok(id.to_lowercase())
    } else {
        Err("its newest commit is not written in hex digits".to_owned())
    }
}

fn title(value: &Value) -> String {
    let line = value.as_str().unwrap_or_default().chars().filter(|letter| !letter.is_control());
    line.take(TITLE).collect()
}

/// Names in a list of objects or of texts.
fn labels(list: &Value, key: &str) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|one| text(one).or_else(|| text(&one[key]))).take(LABELS).collect()
}

/// A fork that is gone has no name; it was one all the same.
fn is_fork(from: Option<&str>, to: Option<&str>) -> bool {
    match (from, to) {
        (Some(from), Some(to)) => !from.eq_ignore_ascii_case(to),
        _ => true,
    }
}

/// GitHub's and Gitea's.
fn of_github(one: &Value) -> Result<PullRequest, String> {
    let (head, base) = (&one["head"], &one["base"]);
    let from = text(&head["repo"]["full_name"]);
    Ok(PullRequest {
        number: number(&one["number"])?,
        title: title(&one["title"]),
        url: text(&one["html_url"]).unwrap_or_default(),
        author: text(&one["user"]["login"]),
        branch: needed(&head["ref"], "its branch")?,
        base: needed(&base["ref"], "the branch that it is for")?,
        head: commit(&head["sha"])?,
        fork: is_fork(from.as_deref(), text(&base["repo"]["full_name"]).as_deref()),
        from,
        labels: labels(&one["labels"], "name"),
        open: one["state"] == "open",
        merged: one["merged"] == true || one["merged_at"].is_string(),
    })
}

fn of_bitbucket(one: &Value) -> Result<PullRequest, String> {
    let (source, target) = (&one["source"], &one["destination"]);
    let from = text(&source["repository"]["full_name"]);
    Ok(PullRequest {
        number: number(&one["id"])?,
        title: title(&one["title"]),
        url: text(&one["links"]["html"]["href"]).unwrap_or_default(),
        author: text(&one["author"]["nickname"]).or_else(|| text(&one["author"]["display_name"])),
        branch: needed(&source["branch"]["name"], "its branch")?,
        base: needed(&target["branch"]["name"], "the branch that it is for")?,
        head: commit(&source["commit"]["hash"])?,
        fork: is_fork(from.as_deref(), text(&target["repository"]["full_name"]).as_deref()),
        from,
        labels: Vec::new(),
        open: one["state"] == "OPEN",
        merged: one["state"] == "MERGED",
    })
}

fn request(found: PullRequest) -> Result<What, String> {
    Ok(What::Request(Box::new(found)))
}

/// Reviews, assignments and the like change nothing of what is previewed.
pub(super) fn github(body: &Value) -> Result<What, String> {
    const HEEDED: [&str; 12] = [
        "opened",
        "reopened",
        "synchronize",
        "synchronized",
        "closed",
        "labeled",
        "unlabeled",
        "label_updated",
        "label_cleared",
        "ready_for_review",
        "converted_to_draft",
        "edited",
    ];
    let action = body["action"].as_str().unwrap_or_default();
    if !HEEDED.contains(&action) {
        return Ok(What::Other(format!("pull_request {action}")));
    }
    request(of_github(&body["pull_request"])?)
}

pub(super) fn gitlab(body: &Value) -> Result<What, String> {
    let one = &body["object_attributes"];
    let action = one["action"].as_str().unwrap_or_default();
    if !["open", "reopen", "update", "close", "merge"].contains(&action) {
        return Ok(What::Other(format!("merge request {action}").trim_end().to_owned()));
    }
    let (from, to) = (one["source_project_id"].as_u64(), one["target_project_id"].as_u64());
    request(PullRequest {
        number: number(&one["iid"])?,
        title: title(&one["title"]),
        url: text(&one["url"]).unwrap_or_default(),
        author: text(&body["user"]["username"]),
        branch: needed(&one["source_branch"], "its branch")?,
        base: needed(&one["target_branch"], "the branch that it is for")?,
        head: commit(&one["last_commit"]["id"])?,
        fork: from.is_none() || from != to,
        from: text(&one["source"]["path_with_namespace"]),
        labels: labels(&body["labels"], "title"),
        open: one["state"] == "opened",
        merged: one["state"] == "merged",
    })
}

/// `pullrequest:created`, `…:updated`, `…:fulfilled`, `…:rejected`.
pub(super) fn bitbucket_cloud(event: &str, body: &Value) -> Result<What, String> {
    if !["created", "updated", "fulfilled", "rejected"].contains(&event.trim_start_matches("pullrequest:")) {
        return Ok(What::Other(event.to_owned()));
    }
    request(of_bitbucket(&body["pullrequest"])?)
}

/// `pr:opened`, `pr:from_ref_updated`, `pr:modified`, `pr:merged`, `pr:declined`, `pr:deleted`.
pub(super) fn bitbucket_data_center(event: &str, body: &Value) -> Result<What, String> {
    let event = event.trim_start_matches("pr:");
    if !["opened", "from_ref_updated", "modified", "merged", "declined", "deleted"].contains(&event) {
        return Ok(What::Other(format!("pr:{event}")));
    }
    let one = &body["pullRequest"];
    let path = |end: &Value| {
        let repository = &end["repository"];
        Some(format!(
            "{}/{}",
            repository["project"]["key"].as_str()?,
            repository["slug"].as_str()?
        ))
    };
    let (source, target) = (&one["fromRef"], &one["toRef"]);
    let from = path(source);
    request(PullRequest {
        number: number(&one["id"])?,
        title: title(&one["title"]),
        url: text(&one["links"]["self"][0]["href"]).unwrap_or_default(),
        author: text(&one["author"]["user"]["name"]),
        branch: needed(&source["displayId"], "its branch")?,
        base: needed(&target["displayId"], "the branch that it is for")?,
        head: commit(&source["latestCommit"])?,
        fork: is_fork(from.as_deref(), path(target).as_deref()),
        from,
        labels: Vec::new(),
        open: one["state"] == "OPEN" && event != "deleted",
        merged: one["state"] == "MERGED",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HEAD: &str = "2222222222222222222222222222222222222222";

    fn told(what: Result<What, String>) -> PullRequest {
        match what.expect("it is read") {
            What::Request(found) => *found,
            other => panic!("{other:?}"),
        }
    }

    fn github_body(action: &str, state: &str, from: Value) -> Value {
        json!({"action": action, "pull_request": {"number": 7, "title": "Blue", "html_url": "https://x/7", "state": state, "merged": state == "closed",
            "user": {"login": "eve"}, "labels": [{"name": "preview"}], "head": {"ref": "blue", "sha": HEAD, "repo": from},
            "base": {"ref": "main", "repo": {"full_name": "ada/blog"}}}})
    }

    #[test]
    fn one_request_as_each_forge_tells_it() {
        let own = json!({"full_name": "ada/blog"});
        let at_gitlab = json!({"user": {"username": "eve"}, "labels": [{"title": "preview"}], "object_attributes": {"iid": 7, "title": "Blue",
            "url": "https://x/7", "action": "update", "state": "opened", "source_branch": "blue", "target_branch": "main",
            "last_commit": {"id": HEAD}, "source_project_id": 1, "target_project_id": 1, "source": {"path_with_namespace": "ada/blog"}}});
        let at_bitbucket = json!({"pullrequest": {"id": 7, "title": "Blue", "state": "OPEN", "links": {"html": {"href": "https://x/7"}},
            "author": {"nickname": "eve"}, "source": {"branch": {"name": "blue"}, "commit": {"hash": HEAD}, "repository": own},
            "destination": {"branch": {"name": "main"}, "repository": own}}});
        let place =
            |name: &str| json!({"displayId": name, "latestCommit": HEAD, "repository": {"slug": "blog", "project": {"key": "ada"}}});
        let at_data_center = json!({"pullRequest": {"id": 7, "title": "Blue", "state": "OPEN", "links": {"self": [{"href": "https://x/7"}]},
            "author": {"user": {"name": "eve"}}, "fromRef": place("blue"), "toRef": place("main")}});
        for (what, labelled) in [
            (github(&github_body("synchronize", "open", own.clone())), true),
            (gitlab(&at_gitlab), true),
            (bitbucket_cloud("pullrequest:updated", &at_bitbucket), false),
            (bitbucket_data_center("pr:from_ref_updated", &at_data_center), false),
        ] {
            let expected = PullRequest {
                number: 7,
                title: "Blue".into(),
                url: "https://x/7".into(),
                author: Some("eve".into()),
                branch: "blue".into(),
                base: "main".into(),
                head: HEAD.into(),
                fork: false,
                from: Some("ada/blog".into()),
                labels: if labelled { vec!["preview".into()] } else { Vec::new() },
                open: true,
                merged: false,
            };
            assert_eq!(told(what), expected);
        }
    }

    #[test]
    fn what_comes_from_elsewhere_is_a_fork() {
        for from in [json!({"full_name": "eve/blog"}), Value::Null] {
            assert!(told(github(&github_body("opened", "open", from))).fork);
        }
        let closed = told(github(&github_body("closed", "closed", json!({"full_name": "Ada/Blog"}))));
        assert!(!closed.fork && !closed.open && closed.merged);
    }

    #[test]
    fn what_changes_nothing_and_what_cannot_be_read() {
        let assigned = github(&github_body("assigned", "open", Value::Null));
        assert_eq!(assigned, Ok(What::Other("pull_request assigned".into())));
        let approved = gitlab(&json!({"object_attributes": {"action": "approved"}}));
        assert_eq!(approved, Ok(What::Other("merge request approved".into())));
        let mut odd = github_body("opened", "open", Value::Null);
        odd["pull_request"]["head"]["sha"] = "--upload-pack=x".into();
        assert!(github(&odd).is_err());
        assert!(github(&json!({"action": "opened"})).is_err());
        assert!(bitbucket_cloud("pullrequest:created", &json!({})).is_err());
    }
}
