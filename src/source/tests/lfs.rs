//! Files in Git LFS, fetched from real servers.

use super::*;

/// `art/` is in Git LFS; a file elsewhere that looks like a pointer is none.
fn bed_with_lfs() -> Bed {
    let bed = Bed::new();
    bed.write("art/.gitattributes", "*.svg filter=lfs diff=lfs merge=lfs -text\n");
    bed.write_lfs("art/one.svg", &"<svg/>\n".repeat(5_000), true);
    bed.write_lfs("art/deep/two.svg", "<svg id='two'/>", true);
    bed.write_lfs("art/deep/same.svg", "<svg id='two'/>", true);
    bed.write_lfs("example.svg", "<svg id='two'/>", true);
    fs::set_permissions(bed.work().join("art/one.svg"), fs::Permissions::from_mode(0o755)).unwrap();
    bed.commit("pictures");
    bed.push();
    bed
}

fn check_lfs(run: &Run) {
    run.commit();
    assert_eq!(run.text("art/one.svg").len(), 35_000);
    assert_eq!(run.text("art/deep/two.svg"), "<svg id='two'/>");
    assert_eq!(run.text("art/deep/same.svg"), "<svg id='two'/>");
    assert!(run.text("example.svg").starts_with("version https://git-lfs"));
    let mode = fs::metadata(run.into.join("art/one.svg")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{mode:o}");
}

#[tokio::test]
async fn files_in_git_lfs() {
    let bed = bed_with_lfs();
    let web = Web::start(Manner::Git(bed.path().to_owned(), None));
    let run = Run::of(&web.url("blog.git"), None, Login::None).await;
    check_lfs(&run);
    assert!(run.lines.iter().any(|line| line == "Git LFS: 2 files, 1 MiB"), "{:?}", run.lines);
    let plain = Run::with(&web.url("blog.git"), None, Login::None, |fetch| fetch.lfs = false).await;
    assert!(plain.text("art/one.svg").starts_with("version https://git-lfs"));
    // The login of the repository is the one of its files.
    let web = Web::start(Manner::Git(bed.path().to_owned(), Some(("ada", "word"))));
    check_lfs(&Run::of(&web.url("blog.git"), None, password("ada", "word")).await);
    // On this machine they are where `git lfs push` leaves them.
    let error = Run::of(&bed.local(), None, Login::None).await.error();
    assert!(error.contains("is kept in Git LFS, and the server has it not"), "{error}");
    for entry in fs::read_dir(bed.path().join("lfs")).unwrap() {
        let entry = entry.unwrap();
        let id = entry.file_name().into_string().unwrap();
        let folder = bed.path().join("blog.git/lfs/objects").join(&id[..2]).join(&id[2..4]);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(entry.path(), folder.join(&id)).unwrap();
    }
    check_lfs(&Run::of(&bed.local(), None, Login::None).await);
}

#[tokio::test]
async fn files_in_git_lfs_by_ssh() {
    let bed = bed_with_lfs();
    let web = Web::start(Manner::Git(bed.path().to_owned(), Some(("ada", "word"))));
    let key = DeployKey::generate(&World::system(), "blog").unwrap();
    let login = || Login::Key {
        private: key.private.clone(),
    };
    let sshd = Sshd::start(&key.public);
    let url = sshd.url(&bed.local());
    // A host that does not know the command: its pointers stay, and that is said.
    let plain = Run::of(&url, None, login()).await;
    assert!(plain.text("art/one.svg").starts_with("version https://git-lfs"));
    assert!(plain.lines.iter().any(|line| line.contains("stay pointers")), "{:?}", plain.lines);
    let pass = base64::prelude::BASE64_STANDARD.encode("ada:word");
    sshd.answers_lfs(&format!(
        r#"{{"href":"{}","header":{{"Authorization":"Basic {pass}"}},"expires_in":600}}"#,
        web.url("blog.git/info/lfs")
    ));
    let run = Run::with(&url, None, login(), |fetch| fetch.host_key = Some(sshd.host_key())).await;
    check_lfs(&run);
    assert!(run.lines.iter().any(|line| line == "Git LFS: 2 files, 1 MiB"), "{:?}", run.lines);
    assert_eq!(sshd.asked_for_lfs(), format!("git-lfs-authenticate '{}' download", bed.local()));
    // It was told where to go and with what, and a wrong word there is no way in.
    sshd.answers_lfs(&format!(r#"{{"href":"{}","header":{{}}}}"#, web.url("blog.git/info/lfs")));
    let error = Run::of(&url, None, login()).await.error();
    assert!(error.contains("wants a login for the files in Git LFS"), "{error}");
    sshd.refuses_lfs("no such repository");
    let error = Run::of(&url, None, login()).await.error();
    assert!(
        error.contains("does not give the files in Git LFS by ssh: no such repository"),
        "{error}"
    );
    // Another host key than the one of the fetch.
    let other = crate::ssh::run(
        &crate::target::Target::of(&url.parse().unwrap()).unwrap(),
        &login(),
        Some("SHA256:another"),
        &Egress::Anywhere,
        "true",
    );
    assert!(other.expect_err("it is not met").to_string().contains("host key"));
}

#[tokio::test]
async fn files_in_git_lfs_that_cannot_be_had() {
    let bed = bed_with_lfs();
    let web = Web::start(Manner::Git(bed.path().to_owned(), None));
    let id = bed.write_lfs("art/three.svg", "<svg id='three'/>", true);
    bed.commit("one more");
    bed.push();
    // Something else under its name; nothing under its name.
    fs::write(bed.path().join("lfs").join(&id), "<svg id='THREE'/>").unwrap();
    let error = Run::of(&web.url("blog.git"), None, Login::None).await.error();
    assert!(
        error.contains("what it sends for art/three.svg is not what the repository names"),
        "{error}"
    );
    fs::remove_file(bed.path().join("lfs").join(&id)).unwrap();
    let error = Run::of(&web.url("blog.git"), None, Login::None).await.error();
    assert!(error.contains("art/three.svg is kept in Git LFS"), "{error}");
    // Another server gets no login, and what is no address is none.
    let elsewhere = Web::start(Manner::Git(bed.path().to_owned(), Some(("ada", "word"))));
    bed.write(".lfsconfig", &format!("[lfs]\n\turl = {}\n", elsewhere.url("lfs")));
    bed.commit("another server");
    bed.push();
    let own = Web::start(Manner::Git(bed.path().to_owned(), Some(("ada", "word"))));
    let error = Run::of(&own.url("blog.git"), None, password("ada", "word")).await.error();
    assert!(error.contains("wants a login for the files in Git LFS"), "{error}");
    assert!(elsewhere.logins.lock().unwrap().is_empty());
    bed.write(".lfsconfig", "[lfs]\n\turl = file:///etc\n");
    bed.commit("no server");
    bed.push();
    let error = Run::of(&own.url("blog.git"), None, password("ada", "word")).await.error();
    assert!(error.contains("none of http or https"), "{error}");
}
