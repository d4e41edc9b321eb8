//! Whose it is what the engine keeps of builds, while they run; and throwing it away again.

use crate::Lines;
use docker::Docker;
use host::{BuildPermit, DiskExcess};
use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::sync::mpsc;
use types::{AppId, BuildSpec, CacheRecord, Error, LogLine, LogStream, Result, Time, report};

/// The engine's list takes it seconds where there are many images.
pub const PROVE_EVERY: Duration = Duration::from_secs(5);
/// The engine lets go of a step that it ended only a little later, and of what another record stands on after that.
const CLEAN_AGAIN: Duration = Duration::from_secs(1);
const CLEANINGS: usize = 5;

/// The builds that run, as far as what they make can be told from what others make.
#[derive(Default)]
pub struct Makers(Mutex<Vec<Weak<Maker>>>);

/// One build.
pub struct Maker {
    app: AppId,
    began: Time,
    /// The commands of its steps.
    commands: Mutex<BTreeSet<String>>,
}

impl Makers {
    pub fn enter(&self, spec: &BuildSpec, began: Time) -> Arc<Maker> {
        let maker = Arc::new(Maker {
            app: spec.owner_app.clone(),
            began,
            commands: Mutex::default(),
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&maker));
        maker
    }

    fn all(&self) -> Vec<Arc<Maker>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether this build made it, and no other that runs can have.
    pub fn is_of(&self, maker: &Arc<Maker>, record: &CacheRecord) -> bool {
        maker.may_have_made(record)
            && !self
                .all()
                .iter()
                .any(|other| !Arc::ptr_eq(other, maker) && other.may_have_made(record))
    }
}

impl Maker {
    /// Passes on what the build prints, and remembers its steps.
    pub async fn listen(&self, mut said: mpsc::Receiver<LogLine>, lines: &Lines) {
        while let Some(line) = said.recv().await {
            if let (LogStream::Note, Some(command)) = (line.stream, command_of(&line.text)) {
                self.commands
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(command.to_owned());
            }
            let _ = lines.send(line).await;
        }
    }

    fn may_have_made(&self, record: &CacheRecord) -> bool {
        let commands = || self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        record.made_at.is_some_and(|at| at >= self.began)
            && match &record.app {
                Some(app) => *app == self.app,
                None => commands().iter().any(|command| record.what.ends_with(command.as_str())),
            }
    }
}

/// `#4 [2/3] RUN --network=none make all` is the command `make all`.
fn command_of(title: &str) -> Option<&str> {
    let (_, mut command) = title.strip_prefix('#')?.split_once("] RUN ")?;
    while let Some(rest) = command.strip_prefix("--") {
        command = rest.split_once(' ')?.1.trim_start();
    }
    Some(command.trim()).filter(|command| !command.is_empty())
}

/// Never ends: while the build is suspected of taking too much of the disk beside others, looks for what proves it.
pub async fn prove(docker: &Docker, makers: &Makers, maker: &Arc<Maker>, permit: &BuildPermit) -> Infallible {
    loop {
        permit.suspected().await;
        match docker.build_cache_records().await {
            Ok(records) => permit.proved(
                records
                    .iter()
                    .filter(|record| makers.is_of(maker, record))
                    .map(|record| record.bytes)
                    .sum(),
            ),
            Err(error) => tracing::warn!("whose the build cache is: {}", report(&error)),
        }
        tokio::time::sleep(PROVE_EVERY).await;
    }
}

/// Throws away what an ended build left: all that was made since it began if it ran alone, else what is surely its own.
/// Answers the bytes that came free.
pub async fn clean(docker: &Docker, makers: &Makers, maker: &Arc<Maker>, was_alone: bool) -> Result<u64> {
    let is_its = |record: &CacheRecord| match was_alone {
        true => record.made_at.is_some_and(|at| at >= maker.began),
        false => makers.is_of(maker, record),
    };
    throw_away(docker, is_its).await
}

/// Answers the bytes that came free.
pub async fn throw_away(docker: &Docker, is_its: impl Fn(&CacheRecord) -> bool) -> Result<u64> {
    let mut freed = 0_u64;
    for round in 0..CLEANINGS {
        if round > 0 {
            tokio::time::sleep(CLEAN_AGAIN).await;
        }
        let left: Vec<CacheRecord> = docker.build_cache_records().await?.into_iter().filter(&is_its).collect();
        if left.is_empty() {
            break;
        }
        for record in left.iter().filter(|record| !record.in_use) {
            freed = freed.saturating_add(docker.build_cache_remove(&record.id).await?);
        }
    }
    Ok(freed)
}

/// One sentence.
pub fn failure(excess: DiskExcess, freed: &Result<u64>) -> Error {
    let what = match excess {
        DiskExcess::Bound { took_bytes, most_bytes } => format!(
            "the build took {} of the server's disk, and one may take {} (disk_mib below [builds] in the configuration)",
            mib(took_bytes),
            mib(most_bytes)
        ),
        DiskExcess::Reserve {
            took_bytes,
            left_bytes,
            reserve_bytes,
            others,
        } => {
            let who = match others {
                0 => format!("while this build ran it lost {}", mib(took_bytes)),
                1 => "another build ran as well, and which of them took the space is not known for sure".to_owned(),
                others => format!("{others} other builds ran as well, and which of them took the space is not known for sure"),
            };
            format!(
                "the server's disk had {} left, and {} are kept for the apps (reserve_disk_mib below [builds] in the configuration); {who}",
                mib(left_bytes),
                mib(reserve_bytes)
            )
        }
    };
    ended(&what, freed)
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// `what`: why a build was ended. Of what it left, `freed` could be thrown away.
pub fn ended(what: &str, freed: &Result<u64>) -> Error {
    let after = match freed {
        Ok(bytes) => format!("what it left in the build cache was thrown away: {}", mib(*bytes)),
        Err(error) => format!("what it left in the build cache is still there: {}", report(error)),
    };
    Error::invalid("build", format!("{what}; it was ended, and {after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::World;

    fn maker(makers: &Makers, began: i64, commands: &[&str]) -> Arc<Maker> {
        let spec = BuildSpec {
            tag: "x:1".into(),
            owner_app: World::system().id(),
            context: "/".into(),
            dockerfile: "Dockerfile".into(),
            target: None,
            arguments: Default::default(),
            secrets: Default::default(),
            logins: Vec::new(),
            labels: Default::default(),
        };
        let maker = makers.enter(&spec, Time(began));
        let commands = commands.iter().map(|text| (*text).to_owned());
        maker.commands.lock().expect("nothing panics").extend(commands);
        maker
    }

    fn record(what: &str, made: i64, app: Option<&AppId>) -> CacheRecord {
        CacheRecord {
            id: "x".into(),
            app: app.cloned(),
            what: format!("mount / from exec /bin/sh -c {what}"),
            bytes: 1,
            in_use: false,
            made_at: Some(Time(made)),
            used_at: None,
        }
    }

    #[test]
    fn what_two_may_have_made_is_nobodys() {
        let makers = Makers::default();
        let first = maker(&makers, 10, &["make", "make all"]);
        let second = maker(&makers, 20, &["make all", "npm ci"]);
        for (record, of_first, of_second) in [
            (record("make", 15, None), true, false),
            (record("make", 5, None), false, false),
            (record("make all", 30, None), false, false),
            (record("make all", 15, None), true, false),
            (record("npm ci", 30, None), false, true),
            (record("npm ci # its mark", 30, Some(&first.app)), true, false),
            (record("cargo build", 30, None), false, false),
        ] {
            let seen = (makers.is_of(&first, &record), makers.is_of(&second, &record));
            assert_eq!(seen, (of_first, of_second), "{record:?}");
        }
        drop(second);
        assert!(makers.is_of(&first, &record("make all", 30, None)));
    }

    #[test]
    fn commands_are_read_from_the_log() {
        for (title, expected) in [
            ("#4 [2/3] RUN make all", Some("make all")),
            (
                "#4 [stage 2/3] RUN --network=none --mount=type=cache,target=/x make all",
                Some("make all"),
            ),
            ("#4 [2/3] COPY . .", None),
            ("#4 done in 1.0 s", None),
            ("RUN make", None),
        ] {
            assert_eq!(command_of(title), expected, "{title}");
        }
    }

    #[test]
    fn words_name_the_bound_and_what_was_taken() {
        let bound = DiskExcess::Bound {
            took_bytes: 312 << 20,
            most_bytes: 200 << 20,
        };
        let words = failure(bound, &Ok(300 << 20)).to_string();
        assert!(
            words.contains("took 312 MiB") && words.contains("may take 200 MiB") && words.contains("thrown away: 300 MiB"),
            "{words}"
        );
        let reserve = DiskExcess::Reserve {
            took_bytes: 0,
            left_bytes: 100 << 20,
            reserve_bytes: 512 << 20,
            others: 1,
        };
        let words = failure(reserve, &Err(Error::unavailable("the engine is gone"))).to_string();
        assert!(
            words.contains("100 MiB left") && words.contains("not known for sure") && words.contains("still there"),
            "{words}"
        );
    }
}
