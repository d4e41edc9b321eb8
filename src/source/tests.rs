//! Fetching from real servers.
#![allow(clippy::unwrap_used)]

use crate::{
    DeployKey, Login, fetch,
    testbed::{Bed, HERE, Manner, Run, Sshd, Web, address, branch_names, git, password, turning},
};
use base64::Engine;
use egress::Egress;
use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{Error, World};

mod lfs;

/// How many commits of history are in a checkout.
fn depth(checkout: &Path) -> usize {
    git(checkout, &["rev-list", "HEAD"]).lines().count()
}

async fn check_references(bed: &Bed, url: &str, login: &Login) {
    for (reference, commit, file) in [
        (None, bed.id("main"), "page.html"),
        (Some("main"), bed.id("main"), "page.html"),
        (Some("dev"), bed.id("dev"), "dev.txt"),
        (Some("v1"), bed.id("v1"), "run.sh"),
        (Some("v2"), bed.id("v2"), "page.html"),
        (Some(bed.id("dev").as_str()), bed.id("dev"), "dev.txt"),
        (Some(bed.id("v1").as_str()), bed.id("v1"), "run.sh"),
        (Some(&bed.id("v1")[..10]), bed.id("v1"), "run.sh"),
    ] {
        let run = Run::of(url, reference, login.clone()).await;
        assert_eq!(run.commit(), commit, "{url} {reference:?}");
        run.text(file);
        assert_eq!(run.into.join("dev.txt").exists(), commit == bed.id("dev"));
        assert!(fs::read_link(run.into.join("link")).unwrap() == Path::new("Dockerfile"));
        let mode = |name: &str| fs::metadata(run.into.join(name)).unwrap().permissions().mode() & 0o111;
        assert!(mode("run.sh") != 0 && mode("Dockerfile") == 0);
        assert_eq!(
            fs::read_dir(run.into.parent().unwrap()).unwrap().count(),
            1,
            "only the checkout is left"
        );
    }
    let error = Run::of(url, Some("man"), login.clone()).await.error();
    assert_eq!(
        error,
        "branch: there is no branch, tag or commit `man` in the repository; there is `main`, `dev`, `v1`, `v2`"
    );
    let absent = "0123456789".repeat(4);
    let error = Run::of(url, Some(&absent), login.clone()).await.error();
    assert!(
        error.starts_with(&format!("branch: there is no branch, tag or commit `{absent}`")),
        "{error}"
    );
    assert_eq!(branch_names(url, login).await.unwrap(), ["dev", "main (default)"]);
}

#[tokio::test]
async fn from_a_path() {
    let bed = Bed::new();
    check_references(&bed, &bed.local(), &Login::None).await;
    let run = Run::of(&bed.work().display().to_string(), None, Login::None).await;
    assert_eq!(run.commit(), bed.id("main"));
    let commit = &run.result.as_ref().unwrap().commit;
    assert_eq!((commit.subject.as_str(), commit.author.as_str()), ("second", "Ada"));
    assert!(commit.at.0 > 1_600_000_000_000);
}

#[tokio::test]
async fn from_a_path_of_another_user() {
    let bed = Bed::new();
    let owner = fs::metadata(bed.local()).unwrap().uid();
    if std::os::unix::fs::chown(bed.local(), Some(owner + 1_000), None).is_err() {
        return; // Only root can give a folder away.
    }
    assert_eq!(Run::of(&bed.local(), None, Login::None).await.commit(), bed.id("main"));
}

#[tokio::test]
async fn from_a_path_that_is_shallow_or_borrows_itself() {
    let bed = Bed::new();
    git(
        bed.path(),
        &["clone", "-q", "--depth=1", &format!("file://{}", bed.local()), "shallow"],
    );
    git(bed.path(), &["clone", "-q", "--shared", "blog.git", "shared"]);
    for folder in ["shallow", "shared"] {
        let url = bed.path().join(folder).display().to_string();
        assert_eq!(Run::of(&url, None, Login::None).await.commit(), bed.id("main"), "{folder}");
    }
}

#[tokio::test]
async fn from_paths_that_are_none() {
    let bed = Bed::empty();
    fs::create_dir(bed.path().join("plain")).unwrap();
    for (path, why) in [
        (bed.path().join("nowhere"), "there is no such folder on this machine"),
        (bed.path().join("plain"), "is not a Git repository"),
        (bed.path().join("blog.git"), "the repository is empty; push a commit first"),
    ] {
        let path = path.display().to_string();
        assert_eq!(Run::of(&path, None, Login::None).await.error(), format!("git: {path}: {why}"));
    }
    assert!(branch_names(&bed.local(), &Login::None).await.unwrap().is_empty());
}

#[tokio::test]
async fn over_http_without_a_login() {
    let bed = Bed::new();
    let web = Web::start(Manner::Git(bed.path().to_owned(), None));
    check_references(&bed, &web.url("blog.git"), &Login::None).await;
    let run = Run::of(&web.url("blog.git"), Some("dev"), Login::None).await;
    assert_eq!(depth(&run.into), 1, "without history");
    assert!(
        run.lines.iter().any(|line| line.starts_with("Receiving objects 100 % (")),
        "{:?}",
        run.lines
    );
    assert!(run.lines.iter().any(|line| line.ends_with("on dev")), "{:?}", run.lines);
    let run = Run::of(&web.url("blog.git"), Some(&bed.id("v1")), Login::None).await;
    assert_eq!(depth(&run.into), 1);
}

#[tokio::test]
async fn over_http_a_commit_that_the_server_does_not_give_alone() {
    let bed = Bed::new();
    for message in ["third", "fourth"] {
        bed.write(message, "");
        bed.commit(message);
    }
    bed.push();
    bed.git(&["checkout", "-q", "--detach"]);
    bed.write("hidden", "");
    bed.commit("not on a branch");
    let hidden = bed.id("HEAD");
    let web = Web::start(Manner::Git(bed.path().to_owned(), None));
    let inner = Run::of(&web.url("blog.git"), Some(&bed.id("main~1")), Login::None).await;
    assert_eq!((inner.commit(), depth(&inner.into)), (bed.id("main~1").as_str(), 3));
    assert!(
        inner.lines.iter().any(|line| line == "Fetching the whole history"),
        "{:?}",
        inner.lines
    );
    git(
        &bed.path().join("blog.git"),
        &["config", "uploadpack.allowReachableSHA1InWant", "true"],
    );
    let inner = Run::of(&web.url("blog.git"), Some(&bed.id("main~1")), Login::None).await;
    assert_eq!((inner.commit(), depth(&inner.into)), (bed.id("main~1").as_str(), 1));
    let error = Run::of(&web.url("blog.git"), Some(&hidden), Login::None).await.error();
    assert!(error.starts_with("branch: there is no branch, tag or commit"), "{error}");
}

#[tokio::test]
async fn over_http_with_a_login() {
    let bed = Bed::new();
    let web = Web::start(Manner::Git(bed.path().to_owned(), Some(("ada", "s3cret"))));
    let url = web.url("blog.git");
    check_references(&bed, &url, &password("ada", "s3cret")).await;
    let error = Run::of(&url, None, Login::None).await.error();
    assert_eq!(error, format!("git: {url}: not found, or it needs a login"));
    let error = Run::of(&url, None, password("ada", "wrong")).await.error();
    let place = url.trim_start_matches("http://").split('/').next().unwrap();
    assert_eq!(
        error,
        format!("password: {place} does not take this user name and password or token for {url}")
    );
    let key = DeployKey::generate(&World::system(), "").unwrap();
    let error = Run::of(&url, None, Login::Key { private: key.private }).await.error();
    assert_eq!(
        error,
        format!("deploy_key: {url}: a deploy key is for ssh; use the repository's ssh address")
    );
    let missing = web.url("nothing.git");
    let error = Run::of(&missing, None, password("ada", "s3cret")).await.error();
    assert_eq!(error, format!("git: {missing}: not found, or this login may not read it"));
    let error = branch_names(&url, &password("ada", "wrong")).await.unwrap_err();
    assert!(error.to_string().starts_with("password: "));
}

#[tokio::test]
async fn over_http_where_nothing_is() {
    let bed = Bed::empty();
    let web = Web::start(Manner::Git(bed.path().to_owned(), None));
    let url = web.url("nothing.git");
    assert_eq!(
        Run::of(&url, None, Login::None).await.error(),
        format!("git: {url}: not found, or it needs a login")
    );
    assert_eq!(
        Run::of(&url, None, password("ada", "x")).await.error(),
        format!("git: {url}: not found, or this login may not read it")
    );
    let url = web.url("blog.git");
    assert_eq!(
        Run::of(&url, None, Login::None).await.error(),
        format!("git: {url}: the repository is empty; push a commit first")
    );
    assert!(branch_names(&url, &Login::None).await.unwrap().is_empty());
    let page = Web::start(Manner::Status(200, "<html>"));
    let url = page.url("");
    assert_eq!(
        Run::of(&url, None, Login::None).await.error(),
        format!("git: {url}: there is no Git repository at this address")
    );
    let forbidden = Web::start(Manner::Status(403, "")).url("x");
    assert_eq!(
        Run::of(&forbidden, None, Login::None).await.error(),
        format!("git: {forbidden}: not found, or it needs a login")
    );
    let broken = Web::start(Manner::Status(502, "")).url("x");
    let error = Run::of(&broken, None, Login::None).await.result.unwrap_err();
    assert_eq!(
        types::report(&error),
        format!("{broken} cannot be fetched: unexpected http status code: 502")
    );
}

#[tokio::test]
async fn a_login_goes_to_no_other_server() {
    let bed = Bed::new();
    let other = Web::start(Manner::Git(bed.path().to_owned(), Some(("ada", "s3cret"))));
    let first = Web::start(Manner::SendsOn(other.url("").trim_end_matches('/').to_owned()));
    let run = Run::of(&first.url("blog.git"), None, password("ada", "s3cret")).await;
    assert!(run.result.is_err());
    assert_eq!(first.logins.lock().unwrap().len(), 1);
    assert!(other.logins.lock().unwrap().is_empty(), "the other server saw the login");
}

#[tokio::test]
async fn over_https_from_a_server_that_is_not_trusted() {
    let bed = Bed::new();
    let (web, _) = Web::start_tls(Manner::Git(bed.path().to_owned(), None));
    let error = Run::of(&web.url("blog.git"), None, Login::None).await.error();
    assert!(
        error.starts_with("the certificate of 127.0.0.1:") && error.ends_with("is not trusted here"),
        "{error}"
    );
}

/// A process of its own, as what is trusted is read once.
#[test]
fn over_https_from_a_server_in_the_bundle() {
    let bed = Bed::new();
    let (web, certificate) = Web::start_tls(Manner::Git(bed.path().to_owned(), Some(("ada", "s3cret"))));
    let bundle = bed.path().join("bundle.pem");
    fs::write(&bundle, certificate).unwrap();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::trusting_child", "--ignored", "--nocapture"])
        .envs([("SSL_CERT_FILE", bundle.as_os_str()), ("TEST_URL", web.url("blog.git").as_ref())])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(
        child.status.success() && told.matches(&format!("fetched {}", bed.id("main"))).count() == 2,
        "{told}"
    );
}

#[tokio::test]
#[ignore = "part of over_https_from_a_server_in_the_bundle"]
#[allow(clippy::print_stdout)]
async fn trusting_child() {
    let Ok(url) = std::env::var("TEST_URL") else { return };
    println!("fetched {}", Run::of(&url, None, password("ada", "s3cret")).await.commit());
    // Within bounds by a tunnel, to the certificate's own name.
    let egress = turning("127.0.0.1", HERE);
    let run = Run::with(&url, None, password("ada", "s3cret"), |fetch| fetch.egress = egress).await;
    println!("fetched {}", run.commit());
}

#[tokio::test]
async fn hosts_that_do_not_answer() {
    let bed = Bed::new();
    let error = Run::of("http://nowhere.invalid/x.git", None, Login::None).await.error();
    assert_eq!(
        error,
        "the host of http://nowhere.invalid/x.git is not known: its name cannot be resolved"
    );
    for url in ["http://127.0.0.1:1/x.git", "ssh://git@127.0.0.1:1/x.git"] {
        let error = Run::of(url, None, Login::None).await.error();
        assert_eq!(
            error, "127.0.0.1:1 refuses the connection: nothing listens there, or a firewall is in the way",
            "{url}"
        );
    }
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    for url in [
        Web::start(Manner::Silent).url("blog.git"),
        Web::start(Manner::SilentLater(bed.path().to_owned())).url("blog.git"),
        format!("ssh://git@{}/blog.git", mute.local_addr().unwrap()),
    ] {
        let began = Instant::now();
        let run = Run::of(&url, None, Login::None).await;
        assert!(run.error().ends_with("does not answer (6 s)"), "{}", run.error());
        assert!(began.elapsed() < Duration::from_secs(40));
    }
}

#[tokio::test]
async fn cancelling_ends_at_once_and_leaves_nothing() {
    let bed = Bed::new();
    let web = Web::start(Manner::SilentLater(bed.path().to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let wanted = fetch::Fetch {
        url: address(&web.url("blog.git")),
        reference: None,
        login: Login::None,
        submodules: false,
        lfs: true,
        host_key: None,
        egress: Egress::Anywhere,
        into: dir.path().join("checkout"),
    };
    let cancel = CancellationToken::new();
    let soon = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        soon.cancel();
    });
    let began = Instant::now();
    let error = fetch::fetch(wanted, mpsc::channel(1).0, cancel).await.unwrap_err();
    assert!(matches!(error, Error::Cancelled) && began.elapsed() < Duration::from_secs(1));
    while fs::read_dir(dir.path()).unwrap().count() > 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "something is left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn over_ssh_with_a_deploy_key() {
    let bed = Bed::new();
    let key = DeployKey::generate(&World::system(), "blog").unwrap();
    let login = Login::Key {
        private: key.private.clone(),
    };
    let sshd = Sshd::start(&key.public);
    let url = sshd.url(&bed.local());
    check_references(&bed, &url, &login).await;

    let run = Run::of(&url, Some("dev"), login.clone()).await;
    assert_eq!(depth(&run.into), 1);
    let host_key = run.result.unwrap().host_key.unwrap();
    assert_eq!(host_key, sshd.host_key());
    let run = Run::with(&url, None, login.clone(), |fetch| fetch.host_key = Some(host_key.clone())).await;
    assert_eq!(run.commit(), bed.id("main"));

    let missing = sshd.url("/nowhere.git");
    assert_eq!(
        Run::of(&missing, None, login.clone()).await.error(),
        format!("git: {missing}: not found, or this login may not read it")
    );
    let other = DeployKey::generate(&World::system(), "other").unwrap();
    let error = Run::of(&url, None, Login::Key { private: other.private }).await.error();
    assert!(
        error.starts_with("deploy_key: 127.0.0.1:")
            && error.ends_with("does not take the deploy key; add its public half to the repository"),
        "{error}"
    );
    let error = Run::of(&url, None, Login::None).await.error();
    assert!(error.ends_with("wants a deploy key"), "{error}");
    let error = Run::of(&url, None, password("ada", "x")).await.error();
    assert!(error.ends_with("takes no password; use a deploy key"), "{error}");

    let sshd = sshd.reinstalled(&key.public);
    let run = Run::with(&url, None, login.clone(), |fetch| fetch.host_key = Some(host_key.clone())).await;
    assert!(
        run.error()
            .contains(&format!("changed: it was {host_key} and is {} now", sshd.host_key())),
        "{}",
        run.error()
    );
    assert!(!run.into.exists());
    assert_eq!(Run::of(&url, None, login).await.commit(), bed.id("main"));
}

#[tokio::test]
async fn submodules_come_with_theirs() {
    let bed = Bed::new();
    let web = Web::start(Manner::Git(bed.path().to_owned(), Some(("ada", "s3cret"))));
    for name in ["inner", "outer"] {
        git(bed.path(), &["init", "-q", "--bare", "-b", "main", &format!("{name}.git")]);
        git(bed.path(), &["clone", "-q", &format!("{name}.git"), name]);
        fs::write(bed.path().join(name).join(format!("{name}.txt")), name).unwrap();
        if name == "outer" {
            add_submodule(&bed.path().join(name), "../inner.git", "deep/inner");
        }
        git(&bed.path().join(name), &["add", "-A"]);
        git(&bed.path().join(name), &["commit", "-q", "-m", name]);
        git(&bed.path().join(name), &["push", "-q", "origin", "HEAD:main"]);
    }
    add_submodule(&bed.work(), "../outer.git", "parts/outer");
    bed.commit("with submodules");
    bed.push();
    // The submodule's branch moves on; its pinned commit is what comes.
    git(&bed.path().join("outer"), &["commit", "-q", "--allow-empty", "-m", "later"]);
    git(&bed.path().join("outer"), &["push", "-q", "origin", "HEAD:main"]);

    for (url, login) in [(web.url("blog.git"), password("ada", "s3cret")), (bed.local(), Login::None)] {
        let run = Run::with(&url, None, login.clone(), |fetch| fetch.submodules = true).await;
        assert_eq!(run.commit(), bed.id("main"));
        assert_eq!(run.text("parts/outer/outer.txt"), "outer");
        assert_eq!(run.text("parts/outer/deep/inner/inner.txt"), "inner");
        assert!(!run.into.join("parts/outer/.git").exists());
        let without = Run::of(&url, None, login).await;
        assert!(!without.into.join("parts/outer/outer.txt").exists());
        assert!(
            without.lines.iter().any(|line| line.contains("submodules are left out")),
            "{:?}",
            without.lines
        );
    }
}

#[tokio::test]
async fn submodules_that_cannot_be_had() {
    let bed = Bed::new();
    let web = Web::start(Manner::Git(bed.path().to_owned(), None));
    git(bed.path(), &["clone", "-q", "blog.git", "copy"]);
    add_submodule(&bed.work(), "../copy", "part");
    for (address, why) in [
        ("/etc", "submodule part: a submodule on this machine must lie beside its parent"),
        ("../gone.git", "not found, or it needs a login"),
        ("ext::sh -c id", "submodule part: "),
    ] {
        bed.git(&["config", "-f", ".gitmodules", "submodule.part.url", address]);
        bed.commit(address);
        bed.push();
        let run = Run::with(&web.url("blog.git"), None, Login::None, |fetch| fetch.submodules = true).await;
        assert!(
            run.error().starts_with("submodules: submodule part: ") && run.error().contains(why),
            "{}",
            run.error()
        );
        assert!(!run.into.exists());
    }
}

fn add_submodule(repository: &Path, address: &str, path: &str) {
    git(repository, &["submodule", "--quiet", "add", address, path]);
}

#[tokio::test]
async fn what_was_there_is_replaced() {
    let bed = Bed::new();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("checkout/old")).unwrap();
    for (name, days) in [(".fetch-old", 2), (".fetch-running", 0)] {
        fs::create_dir(dir.path().join(name)).unwrap();
        let at = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        fs::File::open(dir.path().join(name)).unwrap().set_modified(at).unwrap();
    }
    let run = Run::with(&bed.local(), None, Login::None, |fetch| fetch.into = dir.path().join("checkout")).await;
    run.commit();
    assert!(!dir.path().join(".fetch-old").exists() && dir.path().join(".fetch-running").exists());
    assert!(!dir.path().join("checkout/old").exists() && dir.path().join("checkout/Dockerfile").exists());
    let run = Run::with(&bed.local(), Some("nope"), Login::None, |fetch| {
        fetch.into = dir.path().join("checkout")
    })
    .await;
    assert!(run.result.is_err() && dir.path().join("checkout/Dockerfile").exists());
}

#[tokio::test]
async fn a_full_disk_is_told_of() {
    let bed = Bed::new();
    bed.write("big", &"0123456789abcdef".repeat(300_000));
    bed.commit("big");
    bed.push();
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(dir.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return; // Needs root.
    }
    let web = Web::start(Manner::Git(bed.path().to_owned(), None));
    let mut errors = Vec::new();
    for url in [web.url("blog.git"), bed.local()] {
        let run = Run::with(&url, None, Login::None, |fetch| fetch.into = dir.path().join("checkout")).await;
        errors.push(run.error());
    }
    std::process::Command::new("umount").arg(dir.path()).status().unwrap();
    assert_eq!(errors, ["the disk is full; free some room and try again"; 2]);
}
