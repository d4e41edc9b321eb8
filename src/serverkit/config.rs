//! The configuration file and the flags over it.
//!
//! `RawConfig` is what stands in the file; `Config` is what it means, checked. All problems come in one message.

use app::BuildFloor;
use clap::Subcommand;
use ipnet::{IpNet, Ipv4Net};
use serde::Deserialize;
use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use tracing_subscriber::EnvFilter;
use types::{BuildDisk, BuildLimits, Doing, Error, Host, Result};
use url::Url;

/// Where it is looked for unless `--config` says otherwise.
pub const USUAL: &str = "/etc/serverkit/config.toml";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is wrong with the configuration file, or where the panel would listen
    Check {
        /// The file
        #[arg(value_name = "FILE", default_value = USUAL)]
        file: PathBuf,
    },
}

pub fn run(command: Command) -> Result<()> {
    let Command::Check { file } = command;
    let config = Config::resolve(RawConfig::read(&file)?, Flags::default())?;
    // Nobody to tell if standard output is gone.
    let _ = writeln!(std::io::stdout().lock(), "{} is fine\n{config}", file.display());
    Ok(())
}

/// The file as it is written. Every field may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    /// Where the panel keeps its state: `/var/lib/serverkit`.
    data: Option<PathBuf>,
    /// Where sites are served in plain: `:80`. An address, or a list: `80`, `:80` (all addresses), `192.0.2.1:80`.
    http: Option<OneOrMany>,
    /// Where sites are served over TLS: `:443`.
    https: Option<OneOrMany>,
    /// The panel's own TLS port: `:9443`.
    panel: Option<OneOrMany>,
    /// Apps get a name under it when the settings name no other domain.
    apps_domain: Option<String>,
    /// What to log: `info`, `debug`, `warn,serverkit_edge=debug`.
    log: Option<String>,
    /// How long requests may take to end when it stops: 30 s.
    drain_seconds: Option<u64>,
    /// Threads of the edge: one for each core.
    edge_threads: Option<usize>,
    /// Inner networks in which every organization may name addresses of repositories, forges, catalogs and the like; else those
    /// that do not run the panel reach public ones only: none.
    open_networks: Vec<String>,
    docker: RawDocker,
    builds: RawBuilds,
    network: RawNetwork,
    acme: RawAcme,
    passwords: RawPasswords,
    upgrade: RawUpgrade,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawDocker {
    /// `unix:///var/run/docker.sock`, `tcp://127.0.0.1:2375`; else `DOCKER_HOST`, else the usual socket.
    host: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawBuilds {
    /// What each step of a build may use: half of the machine's memory, between 256 MiB and 8 GiB.
    memory_mib: Option<u64>,
    /// Processes and threads of a step: 4096.
    processes: Option<u32>,
    /// Its share of the cores when all are busy; an app has 100: 25.
    cpu_weight: Option<u32>,
    /// What the engine may keep of builds: a tenth of the disk, between 2 and 50.
    cache_gib: Option<u64>,
    /// Memory that must be free when a build begins beside others: 256, on small servers a quarter.
    free_memory_mib: Option<u64>,
    /// Disk that must be free when a build begins: 1024, on small disks a twentieth.
    free_disk_mib: Option<u64>,
    /// What a whole build may take of the disk: a quarter of it, between 4 and 64 GiB.
    disk_mib: Option<u64>,
    /// Disk that stays free for the apps while a build runs: 512, on small disks a fortieth.
    reserve_disk_mib: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawNetwork {
    /// Networks of environments are cut from it, a `/24` each: `10.201.0.0/16`.
    range: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawAcme {
    /// In place of the directory in the settings.
    directory: Option<String>,
    /// PEM file of the authority that signed the directory's own certificate.
    ca_file: Option<PathBuf>,
    /// The name servers that are asked whether an order would work, when the settings name none: public ones.
    dns_servers: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawPasswords {
    /// Passwords that leaked, which nobody may choose: a file of SHA-1 hashes ordered by hash, or a folder of ranges, as
    /// haveibeenpwned.com offers both for download. Looked through on this machine; without it nothing is.
    breached: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawUpgrade {
    /// The key that signs releases, as `minisign` prints it; else the one that was built in.
    key: Option<String>,
    /// How long the new version is watched before the old one goes.
    window_seconds: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Number(u16),
    One(String),
    Many(Vec<String>),
}

impl RawConfig {
    /// A file that must be there.
    pub fn read(path: &Path) -> Result<RawConfig> {
        let text =
            std::fs::read_to_string(path).map_err(|error| Error::invalid("config", format!("cannot read {}: {error}", path.display())))?;
        RawConfig::parse(&text, path)
    }

    /// The usual file, if it is there.
    pub fn usual() -> Result<RawConfig> {
        match std::fs::read_to_string(USUAL) {
            Ok(text) => RawConfig::parse(&text, Path::new(USUAL)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(RawConfig::default()),
            Err(error) => Err(Error::invalid("config", format!("cannot read {USUAL}: {error}"))),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<RawConfig> {
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Error::invalid("config", format!("{} line {line}: {}", path.display(), error.message()))
        })
    }
}

/// What the command line says; it goes before the file.
#[derive(Debug, Default)]
pub struct Flags {
    pub dev: bool,
    pub data: Option<PathBuf>,
    pub http: Option<String>,
    pub https: Option<String>,
    pub panel: Option<String>,
}

/// Checked, and complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// Absolute.
    pub data: PathBuf,
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    pub panel: Vec<SocketAddr>,
    pub apps_domain: Option<Host>,
    pub log: String,
    pub drain: Duration,
    pub edge_threads: usize,
    pub docker_host: Option<String>,
    pub builds: WantedBuildLimits,
    pub build_cache_bytes: Option<u64>,
    pub build_floor: BuildFloor,
    pub network_range: Ipv4Net,
    pub acme_directory: Option<Url>,
    pub acme_ca_pem: Option<String>,
    pub release_key: Option<String>,
    pub upgrade_window: Duration,
    pub dns_servers: Vec<SocketAddr>,
    pub breached_passwords: Option<PathBuf>,
    pub open_networks: Vec<IpNet>,
}

/// What the file says of the limits of builds; the rest follows from the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct WantedBuildLimits {
    memory_bytes: Option<u64>,
    pids: Option<u32>,
    cpu_weight: Option<u32>,
    disk_bytes: Option<u64>,
    reserve_bytes: Option<u64>,
}

impl WantedBuildLimits {
    /// On a disk of this size.
    pub fn on_disk(self, disk_bytes: u64) -> BuildDisk {
        let usual = BuildDisk::usual(disk_bytes);
        BuildDisk {
            most_bytes: self.disk_bytes.unwrap_or(usual.most_bytes),
            reserve_bytes: self.reserve_bytes.unwrap_or(usual.reserve_bytes),
        }
    }

    /// On a machine with so much memory.
    pub fn on(self, machine_bytes: u64) -> BuildLimits {
        let usual = BuildLimits::usual(machine_bytes);
        BuildLimits {
            memory_bytes: self.memory_bytes.unwrap_or(usual.memory_bytes),
            pids: self.pids.unwrap_or(usual.pids),
            cpu_weight: self.cpu_weight.unwrap_or(usual.cpu_weight),
        }
    }
}

impl Config {
    /// Flags, then the file, then what is usual. Fails with all problems in one message.
    pub fn resolve(raw: RawConfig, flags: Flags) -> Result<Config> {
        let mut problems = Problems::default();
        let (data, http, https, panel) = match flags.dev {
            true => ("./.serverkit", "127.0.0.1:8080", "127.0.0.1:8443", "127.0.0.1:8444"),
            false => ("/var/lib/serverkit", ":80", ":443", ":9443"),
        };
        let mut listen = |field: &str, flag: Option<String>, raw: Option<OneOrMany>, usual: &str| {
            let words = match (flag, raw) {
                (Some(flag), _) => flag.split(',').map(str::to_owned).collect(),
                (None, Some(OneOrMany::Number(port))) => vec![port.to_string()],
                (None, Some(OneOrMany::One(word))) => vec![word],
                (None, Some(OneOrMany::Many(words))) => words,
                (None, None) => vec![usual.to_owned()],
            };
            let addresses: Vec<_> = words.iter().filter_map(|word| problems.keep(field, addresses(word))).collect();
            addresses.concat()
        };
        let http = listen("http", flags.http, raw.http, http);
        let https = listen("https", flags.https, raw.https, https);
        let panel = listen("panel", flags.panel, raw.panel, panel);
        if panel.is_empty() && !problems.has("panel") {
            problems.add("panel", "needs an address: without it nobody reaches the panel");
        }
        let data = flags.data.or(raw.data).unwrap_or_else(|| data.into());
        let log = raw.log.unwrap_or_else(|| "info".to_owned());
        problems.keep("log", EnvFilter::try_new(&log).map_err(|error| error.to_string()));
        let range = raw.network.range.unwrap_or_else(|| "10.201.0.0/16".to_owned());
        let drain = raw.drain_seconds.unwrap_or(30);
        if drain > 3600 {
            problems.add("drain_seconds", "must be 3600 at most");
        }
        let config = Config {
            data: problems
                .keep("data", std::path::absolute(&data).map_err(|error| error.to_string()))
                .unwrap_or_default(),
            http,
            https,
            panel,
            apps_domain: match raw.apps_domain {
                Some(name) => problems.keep("apps_domain", name.parse::<Host>().map_err(|_| "must be a domain name".to_owned())),
                None => flags.dev.then(|| "localhost".parse().expect("a literal name")),
            },
            log,
            drain: Duration::from_secs(drain),
            edge_threads: raw.edge_threads.unwrap_or(0),
            docker_host: raw.docker.host,
            builds: builds_of(&raw.builds, &mut problems),
            build_cache_bytes: raw.builds.cache_gib.map(|gib| gib.saturating_mul(1 << 30)),
            build_floor: BuildFloor {
                memory_bytes: raw.builds.free_memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
                disk_bytes: raw.builds.free_disk_mib.map(|mib| mib.saturating_mul(1 << 20)),
            },
            network_range: problems.keep("network.range", range_of(&range)).unwrap_or_default(),
            open_networks: raw
                .open_networks
                .iter()
                .filter_map(|word| problems.keep("open_networks", network(word)))
                .collect(),
            acme_directory: raw
                .acme
                .directory
                .and_then(|url| problems.keep("acme.directory", web_address(&url))),
            dns_servers: raw
                .acme
                .dns_servers
                .iter()
                .filter_map(|word| problems.keep("acme.dns_servers", name_server(word)))
                .collect(),
            acme_ca_pem: raw.acme.ca_file.and_then(|path| problems.keep("acme.ca_file", pem_of(&path))),
            breached_passwords: raw
                .passwords
                .breached
                .and_then(|path| problems.keep("passwords.breached", there(path))),
            release_key: raw.upgrade.key.or_else(|| option_env!("SERVERKIT_RELEASE_KEY").map(str::to_owned)),
            upgrade_window: Duration::from_secs(raw.upgrade.window_seconds.unwrap_or(30)),
        };
        problems.into_result(config)
    }
}

/// A wrong value does not hide the next one.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, field: &str, why: &str) {
        self.0.push(format!("{field}: {why}"));
    }
    fn has(&self, field: &str) -> bool {
        self.0.iter().any(|problem| problem.starts_with(&format!("{field}: ")))
    }
    fn keep<T>(&mut self, field: &str, value: std::result::Result<T, String>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(why) => {
                self.add(field, &why);
                None
            }
        }
    }
    fn into_result<T>(self, value: T) -> Result<T> {
        match self.0.as_slice() {
            [] => Ok(value),
            problems => Err(Error::invalid(
                "",
                format!("the configuration is wrong\n  {}", problems.join("\n  ")),
            )),
        }
    }
}

fn builds_of(raw: &RawBuilds, problems: &mut Problems) -> WantedBuildLimits {
    let mut within = |field: &str, value: Option<u64>, least: u64, most: u64| {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            problems.add(field, &format!("must be between {least} and {most}"));
        }
    };
    within("builds.memory_mib", raw.memory_mib, 64, 1 << 24);
    within("builds.processes", raw.processes.map(u64::from), 16, 1 << 22);
    within("builds.cpu_weight", raw.cpu_weight.map(u64::from), 1, 10_000);
    within("builds.cache_gib", raw.cache_gib, 1, 1 << 20);
    within("builds.free_memory_mib", raw.free_memory_mib, 0, 1 << 24);
    within("builds.free_disk_mib", raw.free_disk_mib, 0, 1 << 30);
    within("builds.disk_mib", raw.disk_mib, 64, 1 << 30);
    within("builds.reserve_disk_mib", raw.reserve_disk_mib, 0, 1 << 30);
    WantedBuildLimits {
        memory_bytes: raw.memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
        pids: raw.processes,
        cpu_weight: raw.cpu_weight,
        disk_bytes: raw.disk_mib.map(|mib| mib.saturating_mul(1 << 20)),
        reserve_bytes: raw.reserve_disk_mib.map(|mib| mib.saturating_mul(1 << 20)),
    }
}

/// A file or folder that is there; absolute.
fn there(path: PathBuf) -> std::result::Result<PathBuf, String> {
    let words = |error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::metadata(&path).map_err(words)?;
    std::path::absolute(&path).map_err(words)
}

/// An address, with or without a port.
fn name_server(word: &str) -> std::result::Result<SocketAddr, String> {
    let word = word.trim();
    let parsed = word.parse().ok().or_else(|| Some(SocketAddr::new(word.parse().ok()?, 53)));
    parsed.ok_or_else(|| "must be addresses such as 192.0.2.1 or 192.0.2.1:53".to_owned())
}

/// `80` and `:80` are all addresses of this machine, both families; else an address with a port.
fn addresses(word: &str) -> std::result::Result<Vec<SocketAddr>, String> {
    let word = word.trim();
    if let Ok(port) = u16::from_str(word.trim_start_matches(':')) {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        return Ok(any.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    if let Some(port) = word.strip_prefix("localhost:").and_then(|port| u16::from_str(port).ok()) {
        return Ok(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)]);
    }
    match word.parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => Err(format!("`{word}` is no address; use 80, :80, 127.0.0.1:80 or [::1]:80")),
    }
}

/// It must hold many `/24`.
fn range_of(text: &str) -> std::result::Result<Ipv4Net, String> {
    match text.parse::<Ipv4Net>() {
        Ok(range) if (8..=20).contains(&range.prefix_len()) && range.addr().is_private() => Ok(range.trunc()),
        Ok(_) => Err(format!(
            "`{text}` must be private (RFC 1918) and between /8 and /20: each environment takes a /24 of it"
        )),
        Err(_) => Err(format!("`{text}` is no range; use 10.201.0.0/16")),
    }
}

fn network(text: &str) -> std::result::Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| format!("`{text}` is no network; use 10.0.0.0/8 or an address"))
}

fn web_address(text: &str) -> std::result::Result<Url, String> {
    match text.parse::<Url>() {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => Ok(url),
        _ => Err(format!("`{text}` is no web address")),
    }
}

fn pem_of(path: &Path) -> std::result::Result<String, String> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => Ok(text),
        Ok(_) => Err(format!("{} holds no certificate in PEM form", path.display())),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        writeln!(f, "data           {}", self.data.display())?;
        writeln!(f, "http           {}", words(&self.http))?;
        writeln!(f, "https          {}", words(&self.https))?;
        writeln!(f, "panel          {}", words(&self.panel))?;
        writeln!(f, "network range  {}", self.network_range)?;
        writeln!(
            f,
            "docker         {}",
            self.docker_host.as_deref().unwrap_or("DOCKER_HOST, or the usual socket")
        )?;
        write!(f, "log            {}", self.log)
    }
}

/// Makes the data folder, for its owner only.
pub fn make_data_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let doing = || format!("making the data folder {}", path.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).doing(doing())?;
    let metadata = std::fs::metadata(path).doing(doing())?;
    if metadata.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).doing(doing())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str, flags: Flags) -> Result<Config> {
        Config::resolve(RawConfig::parse(text, Path::new("config.toml"))?, flags)
    }

    fn words(addresses: &[SocketAddr]) -> String {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_usual() {
        let config = resolve("", Flags::default()).expect("the defaults hold");
        assert_eq!(words(&config.http), "0.0.0.0:80 [::]:80");
        assert_eq!(words(&config.panel), "0.0.0.0:9443 [::]:9443");
        assert_eq!(config.data, Path::new("/var/lib/serverkit"));
        assert_eq!(config.network_range.to_string(), "10.201.0.0/16");
        let dev = resolve(
            "",
            Flags {
                dev: true,
                ..Flags::default()
            },
        )
        .expect("the defaults hold");
        assert_eq!(words(&dev.https), "127.0.0.1:8443");
        assert!(dev.data.ends_with(".serverkit") && dev.data.is_absolute());
        assert_eq!(dev.apps_domain.expect("one for development").as_str(), "localhost");
    }

    #[test]
    fn flags_go_before_the_file() {
        let flags = Flags {
            http: Some("127.0.0.1:1".into()),
            data: Some("/a".into()),
            ..Flags::default()
        };
        let config = resolve("http = 81\nhttps = [\"10.0.0.1:443\", \":8443\"]\ndata = \"/b\"", flags).expect("fine");
        assert_eq!(words(&config.http), "127.0.0.1:1");
        assert_eq!(words(&config.https), "10.0.0.1:443 0.0.0.0:8443 [::]:8443");
        assert_eq!(config.data, Path::new("/a"));
    }

    #[test]
    fn limits_of_builds() {
        let limits = |text, memory| resolve(text, Flags::default()).expect("fine").builds.on(memory);
        let usual = limits("", 3 << 30);
        assert_eq!((usual.memory_bytes, usual.pids, usual.cpu_weight), (3 << 29, 4096, 25));
        assert_eq!(limits("", 1 << 40).memory_bytes, 8 << 30);
        let wanted = limits("[builds]\nmemory_mib = 700\ncpu_weight = 100", 3 << 30);
        assert_eq!((wanted.memory_bytes, wanted.pids, wanted.cpu_weight), (700 << 20, 4096, 100));
        let disk = |text, bytes| {
            let disk = resolve(text, Flags::default()).expect("fine").builds.on_disk(bytes);
            (disk.most_bytes >> 20, disk.reserve_bytes >> 20)
        };
        assert_eq!(disk("", 40 << 30), (10 << 10, 512));
        assert_eq!(disk("", 8 << 30), (4 << 10, 204));
        assert_eq!(disk("[builds]\ndisk_mib = 300\nreserve_disk_mib = 0", 40 << 30), (300, 0));
    }

    #[test]
    fn all_problems_come_at_once() {
        let text = "http = \"nowhere\"\npanel = []\nopen_networks = [\"10.0.0.0/8\", \"::1\", \"inside\"]\nlog = \"a=b=c\"\ndrain_seconds = 99999\n\
                    [network]\nrange = \"8.8.8.0/24\"\n[builds]\nmemory_mib = 1\nprocesses = 0\ndisk_mib = 1\n[acme]\ndirectory = \"ftp://x\"\nca_file = \"/nowhere\"";
        let error = resolve(text, Flags::default()).expect_err("all wrong").to_string();
        for field in [
            "http:",
            "panel:",
            "log:",
            "drain_seconds:",
            "open_networks: `inside`",
            "network.range:",
            "builds.memory_mib:",
            "builds.processes:",
            "builds.disk_mib:",
            "acme.directory:",
            "acme.ca_file:",
        ] {
            assert!(error.contains(field), "{field} in {error}");
        }
    }

    #[test]
    fn unknown_fields_are_refused_with_their_line() {
        let error = resolve("data = \"/x\"\nhtpp = 80", Flags::default())
            .expect_err("a typing error")
            .to_string();
        assert!(error.contains("line 2") && error.contains("htpp"), "{error}");
    }
}
