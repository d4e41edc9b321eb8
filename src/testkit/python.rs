//! Programs from PyPI that test the panel or stand beside it, each in a virtual environment of its own below the cache folder.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The `bin` folder of an environment that has this version of a package; made at the first run. `package` may name extras: `name[extra]`.
/// Panics where that cannot be. It waits for `pip`: call it off the runtime.
pub fn python(folder: &str, package: &str, version: &str) -> PathBuf {
    let usual = || Path::new(&std::env::var_os("HOME").expect("there is a home")).join(".cache/serverkit");
    let cache = std::env::var_os("SERVERKIT_CACHE").map_or_else(usual, PathBuf::from);
    std::fs::create_dir_all(&cache).expect("a folder");
    // Tests that need it at the same time make it once.
    let lock = File::create(cache.join(format!("{folder}.lock"))).expect("a file");
    lock.lock().expect("a lock");
    let home = cache.join(folder);
    let bin = home.join("bin");
    let name = package.split('[').next().unwrap_or(package);
    let is_there = || {
        let asks = format!("import importlib.metadata as all; print(all.version('{name}'))");
        let said = Command::new(bin.join("python3")).args(["-c", &asks]).output();
        said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).trim() == version)
    };
    if !is_there() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        run(Command::new(bin.join("pip")).args(["install", "--quiet", &format!("{package}=={version}")]));
        assert!(is_there(), "{package} {version} is installed");
    }
    bin
}

fn run(command: &mut Command) {
    let done = command.stdout(Stdio::null()).status();
    let done = done.expect("Python runs (Debian packages python3-venv, python3-pip)");
    assert!(done.success(), "{command:?} failed");
}
