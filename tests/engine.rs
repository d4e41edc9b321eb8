//! What is on the tests' engine, to tell what a test leaves there.

use std::collections::BTreeMap;
use testkit::{docker, docker_host};

/// Everything on the engine, such as `network 4f…`, and the organization of ours that it belongs to.
pub fn objects() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (what, id, list) in [
        ("container", "{{.ID}}", &["ps", "-a"][..]),
        ("network", "{{.ID}}", &["network", "ls"]),
        ("volume", "{{.Name}}", &["volume", "ls"]),
    ] {
        let format = format!(r#"{what} {id}|{{{{.Label "serverkit.organization"}}}}"#);
        let found = docker(&docker_host(), &[list, &["--format", &format]].concat()).unwrap();
        all.extend(
            found
                .lines()
                .filter_map(|line| line.split_once('|'))
                .map(|(object, owner)| (object.to_owned(), owner.to_owned())),
        );
    }
    all
}

/// Names of the volumes that a container has.
pub fn mounted(container: &str) -> Vec<String> {
    let format = r#"{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}"#;
    let names = docker(&docker_host(), &["inspect", "--format", format, container]).unwrap();
    names.lines().filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
