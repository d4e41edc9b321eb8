//! Names that are taken, and names that are not.

use super::*;

#[test]
fn pages_of_commits() {
    for (url, page) in [
        ("https://github.com/a/b.git", Some("https://github.com/a/b/commit/c1")),
        ("https://ada@bitbucket.org/a/b", Some("https://bitbucket.org/a/b/commits/c1")),
        ("http://git.test:3000/a/b/", Some("http://git.test:3000/a/b/commit/c1")),
        ("git@git.test:a/b.git", Some("https://git.test/a/b/commit/c1")),
        ("ssh://git@git.test:2222/a/b.git", Some("https://git.test/a/b/commit/c1")),
        (
            "https://git.test/scm/web/b.git",
            Some("https://git.test/projects/web/repos/b/commits/c1"),
        ),
        (
            "https://git.test/bitbucket/scm/~ada/b.git",
            Some("https://git.test/bitbucket/users/ada/repos/b/commits/c1"),
        ),
        ("https://git.test/scm/b.git", Some("https://git.test/scm/b/commit/c1")),
        ("/srv/git/b.git", None),
    ] {
        let url: GitUrl = url.parse().expect("an address");
        assert_eq!(url.commit_page("c1").as_deref(), page, "{url}");
    }
}

fn check<T: FromStr>(good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(text.parse::<T>().is_ok(), "should be taken: {text:?}");
    }
    for text in bad {
        assert!(text.parse::<T>().is_err(), "should be refused: {text:?}");
    }
}

#[test]
fn slugs() {
    let long = "a".repeat(300);
    check::<Slug>(
        &["a", "blog", "blog-2", "0", &"a".repeat(63)],
        &[
            "",
            "../etc",
            "a;b",
            "$(id)",
            "-a",
            "a-",
            "Blog",
            "bl og",
            "блог",
            "a.b",
            "a\0",
            &"a".repeat(64),
            &long,
        ],
    );
}

#[test]
fn names_in_certificates() {
    check::<CertificateName>(
        &["example.com", "*.example.com", "*.Bücher.example", "10.0.0.1"],
        &[
            "*",
            "*.",
            "*.com",
            "*.10.0.0.1",
            "a.*.example.com",
            "*.*.example.com",
            "*example.com",
        ],
    );
    let name = |text: &str| text.parse::<CertificateName>().expect("a name");
    for (name_, host, covers) in [
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "a.b.example.com", false),
        ("example.com", "example.com", true),
        ("example.com", "a.example.com", false),
    ] {
        assert_eq!(name(name_).covers(&host.parse().expect("a host")), covers, "{name_} {host}");
    }
}

#[test]
fn hosts() {
    check::<Host>(
        &[
            "example.com",
            "EXAMPLE.com.",
            "xn--bcher-kva.example",
            "bücher.example",
            "localhost",
            "10.0.0.1",
            "::1",
            "[::1]",
        ],
        &[
            "",
            "*.example.com",
            "a b",
            "http://a",
            "a/b",
            "-a.com",
            "a..b",
            "1.2.3",
            "a_b.com",
            &"a".repeat(254),
        ],
    );
    assert_eq!("Bücher.Example.".parse::<Host>().expect("valid").as_str(), "xn--bcher-kva.example");
}

#[test]
fn host_patterns() {
    check::<HostPattern>(
        &["example.com", "*.example.com", "*.Example.COM.", "10.0.0.1", "*.a.b.test"],
        &["*", "*.com", "*.10.0.0.1", "a.*.com", "*.*.com", "*a.example.com", "*.", ""],
    );
    let pattern: HostPattern = "*.example.com".parse().expect("valid");
    for (host, fits) in [
        ("a.example.com", true),
        ("a.b.example.com", false),
        ("example.com", false),
        (".example.com", false),
        ("aexample.com", false),
    ] {
        assert_eq!(pattern.fits(host), fits, "{host}");
    }
    assert_eq!((pattern.base().as_str(), pattern.exact()), ("example.com", None));
}

#[test]
fn public_hosts() {
    for (host, public) in [
        ("blog.example.com", true),
        ("blog.test", false),
        ("a.localhost", false),
        ("nas.local", false),
        ("x.internal", false),
        ("192.0.2.1", false),
        ("server", false),
    ] {
        assert_eq!(host.parse::<Host>().expect("valid").is_public(), public, "{host}");
    }
}

#[test]
fn git_refs() {
    check::<GitRef>(
        &["main", "feature/a-b", "v1.2.3", "0123abcd"],
        &[
            "",
            "--upload-pack=touch /tmp/x",
            "-b",
            "a..b",
            "a b",
            "a~1",
            "x.lock",
            "refs/../x",
            "a@{1}",
            "a\nb",
            "/a",
            "a/",
        ],
    );
}

#[test]
fn git_urls() {
    check::<GitUrl>(
        &[
            "https://a.example/b.git",
            "http://127.0.0.1:3000/x",
            "ssh://git@h.example:22/x",
            "git@h.example:x/y.git",
            "/srv/git/x",
            "file:///srv/x",
        ],
        &[
            "",
            "--upload-pack=x",
            "ext::sh -c x",
            "ftp://a/b",
            "https://u:p@a.example/b",
            "x",
            "/srv/../etc",
            "-oProxyCommand=x:y",
            "git@-x:y",
        ],
    );
}

#[test]
fn image_refs() {
    let digest = format!("a@sha256:{}", "0".repeat(64));
    check::<ImageRef>(
        &[
            "nginx",
            "nginx:1.27",
            "ghcr.io/a/b:c",
            "localhost:5000/a",
            "10.0.0.1:5000/a/b",
            &digest,
        ],
        &["", "Nginx", "a b", "a:", "a:-x", "a@sha256:12", "../a", "a//b", "a;b", "http://a"],
    );
}

#[test]
fn other_tags_of_an_image() {
    let digest = format!("sha256:{}", "a".repeat(64));
    for (own, wanted, expected) in [
        ("nginx", "1.27", Ok("nginx:1.27".to_owned())),
        ("localhost:5000/a/b:main", "v2", Ok("localhost:5000/a/b:v2".to_owned())),
        ("ghcr.io/a/b:main", digest.as_str(), Ok(format!("ghcr.io/a/b@{digest}"))),
        ("ghcr.io/a/b:main", "ghcr.io/a/b:v2", Ok("ghcr.io/a/b:v2".to_owned())),
        ("nginx:1", "docker.io/library/nginx:2", Ok("docker.io/library/nginx:2".to_owned())),
        ("ghcr.io/a/b:main", "ghcr.io/a/c:v2", Err("is not of `ghcr.io/a/b`")),
        ("ghcr.io/a/b:main", "a/b:v2", Err("is not of")),
        ("nginx", "no tag", Err("must be an image reference")),
        ("nginx", "", Err("must be an image reference")),
        ("nginx", "sha256:12", Err("must be an image reference")),
    ] {
        let own: ImageRef = own.parse().expect("a reference");
        match (own.at(wanted), expected) {
            (Ok(made), Ok(expected)) => assert_eq!(made.as_str(), expected),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (made, expected) => panic!("{own} at {wanted}: {made:?}, not {expected:?}"),
        }
    }
}

#[test]
fn keys_and_paths() {
    check::<VariableKey>(&["A", "_a1"], &["", "1A", "A-B", "A=B", "A B", "Ä"]);
    check::<RepoPath>(&[".", "", "web", "./web/", "a/b"], &["../a", "a/../b", "/etc"]);
    check::<ContainerPath>(&["/data", "/var/lib/x/"], &["", "data", "/", "/a/../b"]);
    check::<Email>(&["Ada@Example.com", "a+b@c.test"], &["", "a", "@b", "a@", "a b@c", "a@b_c"]);
}
