//! Pushes that polling finds and that a freeze holds, with repositories made by `git`.

use crate::{
    AppChange, Apps, NewApp, NewSource, Poller, Timetable, WebhookChange, Webhooks,
    inbox::{self, Saying},
    poller::PollReport,
    testing::Bench,
    tests::{order, settle, wish},
};
use jobs::Job;
use std::{fs, path::PathBuf, process::Command, time::Duration};
use store::Batch;
use types::{App, Decision, Delivery, Forge, Freeze, FreezeWhen, Phase, Push, Reference, Webhook};

/// A folder with a bare repository and a tree that is pushed from.
struct Repository(tempfile::TempDir);

impl Repository {
    /// Empty.
    fn new() -> Repository {
        let made = Repository(tempfile::tempdir().expect("a folder"));
        made.git(".", &["init", "-q", "--bare", "-b", "main", "app.git"]);
        made.git(".", &["init", "-q", "-b", "main", "tree"]);
        made.git("tree", &["remote", "add", "origin", "../app.git"]);
        made
    }
    fn git(&self, folder: &str, words: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.0.path().join(folder))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.test"])
            .args(words)
            .output()
            .expect("git is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {words:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
    /// A commit with a new file, on a branch that is made if there is none; answers the commit.
    fn push(&self, branch: &str, file: &str) -> String {
        self.git("tree", &["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
        fs::write(self.0.path().join("tree").join(file), file).expect("written");
        self.git("tree", &["add", "-A"]);
        self.git("tree", &["commit", "-q", "-m", file]);
        self.git("tree", &["push", "-q", "origin", "HEAD"]);
        self.git("tree", &["rev-parse", "HEAD"])
    }
    /// Where the list of a commit's files is.
    fn files_of(&self, commit: &str) -> PathBuf {
        let id = self.git("app.git", &["rev-parse", &format!("{commit}^{{tree}}")]);
        let (folder, name) = id.split_at(2);
        self.0.path().join("app.git/objects").join(folder).join(name)
    }
}

fn source_of(repository: &Repository) -> NewSource {
    let url = repository.0.path().join("app.git").display().to_string();
    NewSource::Git {
        url: Some(url.parse().expect("a path")),
        forge: None,
        branch: Some("main".parse().expect("a branch")),
        folder: ".".parse().expect("a path"),
        dockerfile: "Dockerfile".parse().expect("a path"),
        target: None,
        submodules: false,
        build: None,
        compose: None,
        user: None,
        password: None,
        deploy_key: false,
    }
}

async fn app_of(bench: &Bench, repository: &Repository) -> App {
    let new = NewApp {
        source: source_of(repository),
        deploy: false,
        ..wish("blog")
    };
    let made = Apps::new(bench.ground.clone()).create(&bench.owner, new).await;
    made.expect("made").app
}

async fn hook(bench: &Bench, branches: &[&str], poll_seconds: Option<u32>) {
    let change = WebhookChange {
        branches: Some(branches.iter().map(|&name| name.to_owned()).collect()),
        poll_seconds: Some(poll_seconds),
        ..WebhookChange::default()
    };
    let webhooks = Webhooks::new(bench.ground.clone());
    webhooks.update(&bench.owner, "blog", change).await.expect("set");
}

async fn look(bench: &Bench) -> PollReport {
    Poller::new(bench.ground.clone()).run().await.expect("runs")
}

async fn change(bench: &Bench, app: &App, change: impl Fn(&mut Webhook)) {
    let change = |webhook: &mut Webhook| {
        change(webhook);
        Ok(())
    };
    bench.ground.store.webhooks.update(app.id.as_str(), change).await.expect("saved");
}

fn inbox_of(bench: &Bench, app: &App) -> Vec<Delivery> {
    let all = bench.ground.store.deliveries.prefix(&format!("{}/", app.id)).expect("read");
    all.into_iter().map(|one| one.value).collect()
}

/// What was decided on the commit.
fn decided(bench: &Bench, app: &App, commit: &str) -> Vec<Decision> {
    let its = |one: &Delivery| one.push.as_ref().is_some_and(|push| push.after.as_deref() == Some(commit));
    let all = inbox_of(bench, app).into_iter();
    all.filter(its).map(|one| one.decision).collect()
}

/// What a forge would tell of it.
async fn tell(bench: &Bench, app: &App, branch: &str, commit: &str) -> Delivery {
    let webhook = bench.ground.store.webhooks.get(app.id.as_str()).expect("is there").value;
    let push = Push {
        reference: Some(Reference::Branch(branch.to_owned())),
        default_branch: Some("main".into()),
        before: None,
        after: Some(commit.to_owned()),
        deleted: false,
        message: String::new(),
        by: None,
        files: None,
    };
    let delivery = inbox::polled(&bench.ground, &webhook, push.clone());
    let saying = Saying::Push(Box::new(webhook), Box::new(push));
    let kept = inbox::keep(&bench.ground, delivery, "ada", saying, &[]).await;
    kept.expect("kept")
}

/// What GitHub would send of it.
async fn deliver(bench: &Bench, app: &App, before: &str, after: &str) -> Delivery {
    let webhook = bench.ground.store.webhooks.get(app.id.as_str()).expect("is there").value;
    let push = Push {
        reference: Some(Reference::Branch("main".into())),
        default_branch: Some("main".into()),
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
        deleted: false,
        message: String::new(),
        by: None,
        files: None,
    };
    let delivery = Delivery {
        forge: Forge::Github,
        event: "push".into(),
        ..inbox::polled(&bench.ground, &webhook, push.clone())
    };
    let saying = Saying::Push(Box::new(webhook), Box::new(push));
    let kept = inbox::keep(&bench.ground, delivery, "ada", saying, &[]).await;
    kept.expect("kept")
}

/// The older one went live over the newer one, when it came late.
#[tokio::test]
async fn a_push_that_comes_late_is_not_deployed_over_the_one_that_followed_it() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    let first = repository.push("main", "a");
    let app = app_of(&bench, &repository).await;
    hook(&bench, &[], None).await;
    let (old, new) = (repository.push("main", "b"), repository.push("main", "c"));
    assert_eq!(deliver(&bench, &app, &old, &new).await.decision, Decision::Deployed);
    let late = deliver(&bench, &app, &first, &old).await;
    assert_eq!((late.decision, &late.deployment), (Decision::Unchanged, &None), "{}", late.why);
    assert_eq!(
        late.why,
        format!("ignored: {} came late; {} has followed it on branch main", &old[..10], &new[..10])
    );
    // Whoever wants it can have it.
    let again = inbox::again(&bench.ground, late, None, "ada", &[]).await.expect("kept");
    assert_eq!(again.decision, Decision::Deployed, "{}", again.why);
}

/// What was told is not proof enough: the branch may be there again.
#[tokio::test]
async fn a_push_back_to_an_old_commit_is_deployed() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    let first = repository.push("main", "a");
    let app = app_of(&bench, &repository).await;
    hook(&bench, &[], None).await;
    let (old, new) = (repository.push("main", "b"), repository.push("main", "c"));
    deliver(&bench, &app, &old, &new).await;
    repository.git("tree", &["push", "-q", "-f", "origin", &format!("{old}:refs/heads/main")]);
    let back = deliver(&bench, &app, &first, &old).await;
    assert_eq!(back.decision, Decision::Deployed, "{}", back.why);
}

/// It was marked as seen before anybody had looked at it, and so were all that came after it.
#[tokio::test]
async fn a_push_that_cannot_be_looked_at_is_found_again() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    repository.push("main", "a");
    let before = repository.push("early", "b");
    let app = app_of(&bench, &repository).await;
    hook(&bench, &["*"], Some(15)).await;
    assert_eq!(look(&bench).await.pushes, 0);
    let main = repository.push("main", "c");
    let early = repository.push("early", "d");
    let path = repository.files_of(&early);
    let bytes = fs::read(&path).expect("an object of its own");
    fs::remove_file(&path).expect("removed");
    for _ in 0..2 {
        let turn = look(&bench).await;
        assert_eq!(turn.problems.len(), 1, "{turn:?}");
        assert_eq!(decided(&bench, &app, &main), [Decision::Deployed]);
        let known = bench.ground.store.webhooks.get(app.id.as_str()).expect("is there");
        assert_eq!(known.seen.get("refs/heads/early"), Some(&before));
        assert_eq!(known.seen.get("refs/heads/main"), Some(&main));
        assert!(known.poll_error.is_some());
    }
    fs::write(&path, bytes).expect("written");
    let turn = look(&bench).await;
    assert_eq!((turn.pushes, turn.problems.len()), (1, 0), "{turn:?}");
    assert_eq!(decided(&bench, &app, &early), [Decision::Deployed]);
    assert_eq!(look(&bench).await.pushes, 0);
    assert_eq!(inbox_of(&bench, &app).len(), 2);
}

#[tokio::test]
async fn the_first_push_into_an_empty_repository_is_found() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    let app = app_of(&bench, &repository).await;
    hook(&bench, &[], Some(15)).await;
    for _ in 0..2 {
        let turn = look(&bench).await;
        assert_eq!((turn.asked.len(), turn.pushes, turn.problems.len()), (1, 0, 0), "{turn:?}");
    }
    let first = repository.push("main", "a");
    assert_eq!(look(&bench).await.pushes, 1);
    assert_eq!(decided(&bench, &app, &first), [Decision::Deployed]);
    // Asked anew, it begins anew.
    hook(&bench, &[], None).await;
    hook(&bench, &[], Some(15)).await;
    repository.push("main", "b");
    assert_eq!(look(&bench).await.pushes, 0);
    // Older records do not say that somebody has looked.
    change(&bench, &app, |webhook| webhook.looked = false).await;
    repository.push("main", "c");
    assert_eq!(look(&bench).await.pushes, 1);
}

#[tokio::test]
async fn what_a_forge_tells_before_the_first_look_is_not_that_look() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    repository.push("early", "a");
    let main = repository.push("main", "b");
    let app = app_of(&bench, &repository).await;
    hook(&bench, &["*"], Some(15)).await;
    tell(&bench, &app, "main", &main).await;
    assert_eq!(look(&bench).await.pushes, 0);
    // After it, polling does not find again what came by itself.
    let main = repository.push("main", "c");
    tell(&bench, &app, "main", &main).await;
    assert_eq!(look(&bench).await.pushes, 0);
    assert_eq!(inbox_of(&bench, &app).len(), 2);
}

/// It set back what polling had seen, so that the newest push was deployed over it.
#[tokio::test]
async fn another_look_at_an_old_push_stays_what_is_deployed() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    repository.push("main", "a");
    let app = app_of(&bench, &repository).await;
    hook(&bench, &[], Some(15)).await;
    look(&bench).await;
    let old = repository.push("main", "b");
    assert_eq!(look(&bench).await.pushes, 1);
    repository.push("main", "c");
    assert_eq!(look(&bench).await.pushes, 1);
    let delivery = inbox_of(&bench, &app).remove(0);
    let again = inbox::again(&bench.ground, delivery, None, "ada", &[]).await.expect("kept");
    assert_eq!(again.decision, Decision::Deployed);
    assert_eq!(decided(&bench, &app, &old).len(), 2);
    assert_eq!(look(&bench).await.pushes, 0);
}

/// All that was in it counted as pushed just now, and was deployed, though nobody had asked for that.
#[tokio::test]
async fn what_is_in_another_repository_is_no_push() {
    let (bench, first, second) = (Bench::new().await, Repository::new(), Repository::new());
    first.push("main", "a");
    second.push("main", "b");
    second.push("early", "c");
    let app = app_of(&bench, &first).await;
    hook(&bench, &["*"], Some(15)).await;
    assert_eq!(look(&bench).await.pushes, 0);
    let apps = Apps::new(bench.ground.clone());
    let from = async |repository: &Repository| {
        let change = AppChange {
            source: Some(source_of(repository)),
            ..AppChange::default()
        };
        apps.update(&bench.owner, "blog", change).await.expect("changed");
    };
    from(&second).await;
    let turn = look(&bench).await;
    assert_eq!((turn.asked.len(), turn.pushes, turn.problems.len()), (1, 0, 0), "{turn:?}");
    let pushed = second.push("main", "d");
    // The same again is no other one.
    from(&second).await;
    assert_eq!(look(&bench).await.pushes, 1);
    assert_eq!(decided(&bench, &app, &pushed), [Decision::Deployed]);
}

/// Each push that did not come up left an image on the disk, and nobody ever took one away.
#[tokio::test]
async fn what_does_not_come_up_leaves_no_image() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    let dockerfile = repository.0.path().join("tree/Dockerfile");
    fs::write(dockerfile, "FROM scratch\nEXPOSE 80\n").expect("written");
    let good = repository.push("main", "a");
    let app = app_of(&bench, &repository).await;
    hook(&bench, &[], None).await;
    tell(&bench, &app, "main", &good).await;
    assert_eq!(settle(&bench, "blog").await, (Phase::Live, None));
    let bad = repository.push("main", "b");
    order(&bench, |orders| orders.exit = Some(1));
    tell(&bench, &app, "main", &bad).await;
    assert_eq!(settle(&bench, "blog").await.0, Phase::Failed);
    let removed = bench.node.removed_images.lock().expect("test").clone();
    assert!(removed.len() == 1 && removed[0].ends_with(":2"), "{removed:?}");
    assert_eq!(bench.node.running().len(), 1);
}

async fn frozen(bench: &Bench) -> Freeze {
    let now = bench.ground.world.now();
    let freeze = Freeze {
        id: bench.ground.world.id(),
        organization: bench.owner.organization.clone(),
        environment: None,
        name: "weekend".into(),
        when: FreezeWhen::Once {
            from: now,
            until: now.plus(Duration::from_secs(3600)),
        },
        created_at: now,
        created_by: "ada".into(),
    };
    bench.ground.store.freezes.insert(freeze).await.expect("saved").value
}

/// It was marked as taken up before it was decided on.
#[tokio::test]
async fn what_a_freeze_has_held_waits_until_it_is_decided_on() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    let commit = repository.push("main", "a");
    let app = app_of(&bench, &repository).await;
    hook(&bench, &[], None).await;
    let mut timetable = Timetable::new(bench.ground.clone());
    let freeze = frozen(&bench).await;
    assert_eq!(tell(&bench, &app, "main", &commit).await.decision, Decision::Held);
    assert_eq!(timetable.run().await.expect("runs").released, 0);
    bench.ground.store.freezes.remove(freeze.id.as_str()).await.expect("removed");
    change(&bench, &app, |webhook| webhook.rules.branches = vec!["!".into()]).await;
    let turn = timetable.run().await.expect("runs");
    assert_eq!((turn.released, turn.problems.len()), (0, 1), "{turn:?}");
    assert_eq!(decided(&bench, &app, &commit), [Decision::Held]);
    change(&bench, &app, |webhook| webhook.rules.branches.clear()).await;
    let turn = timetable.run().await.expect("runs");
    assert_eq!((turn.released, turn.problems.len()), (1, 0), "{turn:?}");
    let decisions = decided(&bench, &app, &commit);
    assert!(decisions.len() == 2 && decisions.contains(&Decision::Released) && decisions.contains(&Decision::Deployed));
    assert_eq!(timetable.run().await.expect("runs").released, 0);
}

/// It was removed as the oldest of many, and the push was lost without a word.
#[tokio::test]
async fn what_a_freeze_has_held_is_not_pushed_out_of_the_inbox() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    let commit = repository.push("main", "a");
    let app = app_of(&bench, &repository).await;
    hook(&bench, &[], None).await;
    let freeze = frozen(&bench).await;
    assert_eq!(tell(&bench, &app, "main", &commit).await.decision, Decision::Held);
    let webhook = bench.ground.store.webhooks.get(app.id.as_str()).expect("is there").value;
    let many = inbox_of(&bench, &app).remove(0).push.expect("is a push");
    let many = (0..250).fold(Batch::new(), |batch, _| {
        batch.insert(Delivery {
            decision: Decision::BranchFilter,
            ..inbox::polled(&bench.ground, &webhook, many.clone())
        })
    });
    bench.ground.store.commit(many).await.expect("saved");
    assert_eq!(tell(&bench, &app, "early", &commit).await.decision, Decision::BranchFilter);
    assert_eq!(inbox_of(&bench, &app).len(), 201);
    bench.ground.store.freezes.remove(freeze.id.as_str()).await.expect("removed");
    let turn = Timetable::new(bench.ground.clone()).run().await.expect("runs");
    assert_eq!((turn.released, turn.problems.len()), (1, 0), "{turn:?}");
    assert!(decided(&bench, &app, &commit).contains(&Decision::Deployed));
}

#[tokio::test]
async fn without_a_webhook_nothing_is_taken_up() {
    let (bench, repository) = (Bench::new().await, Repository::new());
    let commit = repository.push("main", "a");
    let app = app_of(&bench, &repository).await;
    hook(&bench, &[], None).await;
    frozen(&bench).await;
    tell(&bench, &app, "main", &commit).await;
    let webhooks = Webhooks::new(bench.ground.clone());
    webhooks.remove(&bench.owner, "blog").await.expect("removed");
    let turn = Timetable::new(bench.ground.clone()).run().await.expect("runs");
    assert_eq!((turn.released, turn.problems.len()), (0, 0), "{turn:?}");
    let all = inbox_of(&bench, &app);
    assert_eq!((all.len(), all[0].decision), (1, Decision::Disabled));
    assert!(
        all[0].why.ends_with("not taken up, since the webhook was taken away"),
        "{}",
        all[0].why
    );
}
