//! Fetching within bounds: by way of a door, to nothing inside.
#![allow(clippy::unwrap_used)]

use crate::{
    DeployKey, Login,
    testbed::{Bed, HERE, Manner, Run, Sshd, Web, address, password, turning},
};
use egress::{Bounds, Egress};
use std::net::TcpListener;
use types::World;

#[tokio::test]
async fn within_bounds_nothing_inner_is_fetched() {
    let bed = Bed::new();
    let web = Web::start(Manner::Git(bed.path().to_owned(), None));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let inner = Egress::public(Bounds::default());
    let open = |network: &str| {
        Egress::public(Bounds {
            open: vec![network.parse().unwrap()],
            ..Bounds::default()
        })
    };
    let fetched = async |url: &str, login: Login, egress: &Egress| Run::with(url, None, login, |fetch| fetch.egress = egress.clone()).await;
    // The same whether something listens there or not.
    let refused = fetched(&web.url("blog.git"), Login::None, &inner).await.error();
    assert!(refused.contains("127.0.0.1 leads to an inner address"), "{refused}");
    let url = format!("http://127.0.0.1:{closed}/blog.git");
    assert_eq!(fetched(&url, Login::None, &inner).await.error(), refused);
    for url in [
        "git@localhost:ada/blog.git",
        "ssh://git@localhost:2222/ada/blog.git",
        "https://localhost/blog.git",
    ] {
        let refused = fetched(url, Login::None, &inner).await.error();
        assert!(refused.contains("localhost leads to an inner address"), "{refused}");
    }
    for asked in [
        crate::branches(&address(&url), &Login::None, None, inner.clone()).await.map(drop),
        crate::tips(&address(&url), &Login::None, None, inner.clone()).await.map(drop),
    ] {
        assert_eq!(asked.unwrap_err().to_string(), refused);
    }

    // A network that was opened; from there to no other host.
    let open = open("127.0.0.1/32");
    let whole = fetched(&web.url("blog.git"), Login::None, &open).await;
    assert_eq!(whole.commit(), bed.id("main"));
    assert_eq!(
        crate::tips(&address(&web.url("blog.git")), &Login::None, None, open.clone())
            .await
            .unwrap()
            .len(),
        4
    );
    let elsewhere = web.url("").replace("127.0.0.1", "localhost");
    let first = Web::start(Manner::SendsOn(elsewhere.trim_end_matches('/').to_owned()));
    let error = fetched(&first.url("blog.git"), password("ada", "word"), &open).await.error();
    assert!(error.contains("sends us on to another server"), "{error}");

    // What the repository names itself is asked too.
    bed.write(".lfsconfig", "[lfs]\n\turl = http://127.0.0.2:1/lfs\n");
    bed.write(".gitattributes", "*.svg filter=lfs\n");
    bed.write_lfs("one.svg", "<svg/>", false);
    bed.commit("with a server of its own");
    bed.push();
    let error = fetched(&web.url("blog.git"), Login::None, &open).await.error();
    assert!(error.contains("127.0.0.2 leads to an inner address"), "{error}");
}

/// It is not libgit2 that looks names up within bounds: it gets where it could not by itself.
#[tokio::test]
async fn within_bounds_git_goes_through_the_door() {
    let bed = Bed::new();
    let egress = turning("127.0.0.1", HERE);
    let named = |url: String| url.replace("127.0.0.1", "forge.test");
    let web = Web::start(Manner::Git(bed.path().to_owned(), Some(("ada", "s3cret"))));
    let login = password("ada", "s3cret");
    let set = |fetch: &mut crate::Fetch| fetch.egress = egress.clone();
    let run = Run::with(&named(web.url("blog.git")), Some("dev"), login.clone(), set).await;
    assert_eq!(run.commit(), bed.id("dev"));
    let run = Run::with(&named(web.url("blog.git")), None, password("ada", "wrong"), set).await;
    assert!(run.error().starts_with("password: forge.test:"), "{}", run.error());

    let key = DeployKey::generate(&World::system(), "blog").unwrap();
    let login = Login::Key {
        private: key.private.clone(),
    };
    let sshd = Sshd::start(&key.public);
    let url = named(sshd.url(&bed.local()));
    let run = Run::with(&url, None, login.clone(), set).await;
    assert_eq!(run.commit(), bed.id("main"));
    assert_eq!(run.result.unwrap().host_key.unwrap(), sshd.host_key());
    let pinned = |fetch: &mut crate::Fetch| {
        set(fetch);
        fetch.host_key = Some("SHA256:another".to_owned());
    };
    let error = Run::with(&url, None, login, pinned).await.error();
    assert!(error.starts_with("the host key of forge.test:"), "{error}");

    // Another server of this machine is not reached by a redirection.
    let other = Web::start(Manner::Git(bed.path().to_owned(), Some(("ada", "s3cret"))));
    let first = Web::start(Manner::SendsOn(other.url("").trim_end_matches('/').to_owned()));
    let error = Run::with(&named(first.url("blog.git")), None, password("ada", "s3cret"), set)
        .await
        .error();
    assert!(error.contains("sends us on to another server"), "{error}");
    assert!(other.logins.lock().unwrap().is_empty());
}

/// A name that leads outside when it is looked at and inside when it is connected to.
#[tokio::test]
async fn a_name_that_turns_inside_is_not_fetched_from() {
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let port = inside.local_addr().unwrap().port();
    for scheme in ["http", "https", "ssh"] {
        let egress = turning("127.0.0.2", &[[127, 0, 0, 2], [127, 0, 0, 1]]);
        let url = format!("{scheme}://forge.test:{port}/blog.git");
        let error = Run::with(&url, None, Login::None, |fetch| fetch.egress = egress).await.error();
        assert!(error.contains("forge.test leads to an inner address"), "{scheme}: {error}");
    }
    assert!(inside.accept().is_err(), "something was connected to");
}
