//! Quotas at work, on an engine that does as it is told.

use super::*;
use crate::{AppChange, Apps, Deployer, Deployments, NewApp, NewSource, Trash, Wanted, testing::Bench};
use jobs::Job;
use types::{Fact, Limits, Phase};

fn wish(name: &str, memory: u64, deploy: bool) -> NewApp {
    NewApp {
        limits: Limits {
            memory_bytes: memory,
            ..Limits::default()
        },
        deploy,
        ..crate::tests::wish(name)
    }
}

fn compose(name: &str, text: &str) -> NewApp {
    NewApp {
        source: NewSource::Compose {
            text: text.into(),
            profiles: Vec::new(),
            main: None,
            template: None,
        },
        ..wish(name, 512 << 20, false)
    }
}

async fn bounded(bench: &Bench, limits: QuotaLimits) -> Quotas {
    let quotas = Quotas::new(bench.ground.clone());
    quotas.set_organization(&bench.owner, "default", limits).await.expect("set");
    quotas
}

async fn refusal<T: std::fmt::Debug>(doing: impl Future<Output = Result<T>>) -> String {
    match doing.await {
        Err(Error::Busy { what }) => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn memory_is_bounded_over_making_resizing_scaling_and_coming_back() {
    let bench = Bench::new().await;
    let (apps, trash) = (Apps::new(bench.ground.clone()), Trash::new(bench.ground.clone()));
    let limits = QuotaLimits {
        memory_bytes: Some(1 << 30),
        ..QuotaLimits::default()
    };
    bounded(&bench, limits).await;
    let quarter = 256 << 20;
    apps.create(&bench.owner, wish("one", quarter, false)).await.expect("fits");
    apps.create(&bench.owner, wish("two", 2 * quarter, false)).await.expect("fits");
    let words = refusal(apps.create(&bench.owner, wish("three", 2 * quarter, false))).await;
    assert_eq!(
        words,
        "the organization `default` may have 1 GiB of memory and has 768 MiB of memory, and this asks for 512 MiB of memory more (an app \
         that names no limits gets 512 MiB and 1 core); those who run this panel can raise the quota"
    );
    let change = |replicas, memory_bytes: Option<u64>| AppChange {
        replicas,
        limits: memory_bytes.map(|memory_bytes| Limits {
            memory_bytes,
            ..Limits::default()
        }),
        ..AppChange::default()
    };
    apps.update(&bench.owner, "one", change(Some(2), None)).await.expect("all of it");
    for change in [change(Some(3), None), change(None, Some(quarter + 1))] {
        let words = refusal(apps.update(&bench.owner, "one", change)).await;
        assert!(words.contains("has 1 GiB of memory, and this asks for"), "{words}");
    }
    // What takes no more is no matter, even beyond the quota.
    let lower = QuotaLimits {
        memory_bytes: Some(quarter),
        ..QuotaLimits::default()
    };
    let quotas = bounded(&bench, lower).await;
    let less = change(Some(1), None);
    apps.update(&bench.owner, "one", less).await.expect("less is always possible");
    trash.put(&bench.owner, "two").await.expect("put");
    assert_eq!(quotas.list(&bench.owner).await.expect("lists")[0].used.memory_bytes, quarter);
    let words = refusal(trash.restore(&bench.owner, "two")).await;
    assert!(words.contains("this asks for 512 MiB of memory more"), "{words}");
    // Without limits there is no quota, and nothing is asked.
    bounded(&bench, QuotaLimits::default()).await;
    trash.restore(&bench.owner, "two").await.expect("nothing is bounded");
    assert!(bench.ground.store.quotas.list().expect("lists").is_empty());
}

#[tokio::test]
async fn two_at_once_do_not_both_get_the_last_place() {
    let bench = Bench::new().await;
    let limits = QuotaLimits {
        apps: Some(3),
        ..QuotaLimits::default()
    };
    bounded(&bench, limits).await;
    let made = (0..12).map(|n| {
        let (apps, owner) = (Apps::new(bench.ground.clone()), bench.owner.clone());
        tokio::spawn(async move { apps.create(&owner, wish(&format!("app{n}"), 64 << 20, false)).await })
    });
    let mut fits = 0;
    for made in futures::future::join_all(made).await {
        match made.expect("no panic") {
            Ok(_) => fits += 1,
            Err(error) => assert!(
                error
                    .to_string()
                    .contains("may have 3 apps and has 3 apps, and this asks for 1 app more"),
                "{error}"
            ),
        }
    }
    assert_eq!(fits, 3);
}

#[tokio::test]
async fn a_stack_counts_as_a_whole_or_not_at_all() {
    let bench = Bench::new().await;
    let apps = Apps::new(bench.ground.clone());
    let limits = QuotaLimits {
        memory_bytes: Some(1 << 30),
        apps: Some(1),
        ..QuotaLimits::default()
    };
    let quotas = bounded(&bench, limits).await;
    let text = |memory: &str| {
        format!(
            "services:\n  web:\n    image: nginx:1\n    mem_limit: {memory}\n    volumes: [data:/data]\n  db:\n    image: db:1\n    deploy: {{replicas: 2}}\nvolumes:\n  data:\n"
        )
    };
    let words = refusal(apps.create(&bench.owner, compose("shop", &text("256m")))).await;
    assert!(words.contains("this asks for 1.2 GiB of memory more"), "{words}");
    assert!(
        bench.ground.store.volumes.list().expect("lists").is_empty(),
        "nothing of it is made"
    );
    let mut fits = compose("shop", &text("256m"));
    fits.limits.memory_bytes = 256 << 20;
    apps.create(&bench.owner, fits).await.expect("3 x 256 MiB");
    assert_eq!(quotas.list(&bench.owner).await.expect("lists")[0].used.memory_bytes, 768 << 20);
    let larger = |memory: &str| AppChange {
        source: Some(compose("shop", &text(memory)).source),
        ..AppChange::default()
    };
    let words = refusal(apps.update(&bench.owner, "shop", larger("600m"))).await;
    assert!(
        words.contains("has 768 MiB of memory, and this asks for 344 MiB of memory more"),
        "{words}"
    );
    apps.update(&bench.owner, "shop", larger("512m")).await.expect("all of it");
}

#[tokio::test]
async fn a_project_is_bounded_within_its_organization() {
    let bench = Bench::new().await;
    let apps = |count| QuotaLimits {
        apps: Some(count),
        ..QuotaLimits::default()
    };
    let quotas = bounded(&bench, apps(2)).await;
    let refused = quotas
        .set_project(&bench.owner, "default", apps(3))
        .await
        .expect_err("more than the whole");
    assert_eq!(
        refused.to_string(),
        "apps: must be at most 2, which the whole organization may have"
    );
    quotas.set_project(&bench.owner, "default", apps(1)).await.expect("set");
    let service = Apps::new(bench.ground.clone());
    service.create(&bench.owner, wish("one", 64 << 20, false)).await.expect("fits");
    let words = refusal(service.create(&bench.owner, wish("two", 64 << 20, false))).await;
    assert!(
        words.starts_with("the project `default` may have 1 app")
            && words.ends_with("an administrator of the organization can raise the quota"),
        "{words}"
    );
    // Who is not of the panel's organization sees its own, and sets no organization's.
    let mut elsewhere = bench.owner.clone();
    elsewhere.hosts = false;
    assert!(matches!(
        quotas.set_organization(&elsewhere, "default", apps(9)).await,
        Err(Error::Forbidden { .. })
    ));
    assert!(
        quotas
            .list(&elsewhere)
            .await
            .expect("lists")
            .iter()
            .all(|view| view.own && (view.changeable == view.project.is_some()))
    );
}

#[tokio::test]
async fn disk_and_traffic_are_measured_told_once_and_refused() {
    let bench = Bench::new().await;
    let apps = Apps::new(bench.ground.clone());
    let mut wanted = wish("blog", 64 << 20, true);
    wanted.mounts.push(crate::MountWish {
        volume: crate::VolumeName::Name("data".parse().expect("a name")),
        path: "/data".parse().expect("a path"),
        read_only: false,
    });
    let view = apps.create(&bench.owner, wanted).await.expect("made");
    let limits = QuotaLimits {
        disk_bytes: Some(1000),
        traffic_bytes: Some(1000),
        traffic_cap: Some(77),
        ..QuotaLimits::default()
    };
    let quotas = bounded(&bench, limits).await;
    let mut keeper = QuotaKeeper::new(bench.ground.clone());
    let orders = |disk: u64, sent: u64| {
        let mut orders = bench.node.orders.lock().expect("test");
        orders.volume_bytes = Some(disk);
        orders.sent.insert(view.app.id.clone(), sent);
    };
    let told = || {
        let events = bench.ground.store.events.list().expect("lists").into_iter();
        let mut all: Vec<String> = events
            .filter(|event| matches!(event.fact, Fact::QuotaReached { .. }))
            .map(|event| event.fact.words())
            .collect();
        all.sort();
        all
    };
    orders(799, 799);
    keeper.run().await.expect("runs");
    assert_eq!(told(), Vec::<String>::new());
    let deployments = Deployments::new(bench.ground.clone());
    deployments
        .create(&bench.owner, "blog", Wanted::Usual)
        .await
        .expect("there is room");

    orders(1000, 900);
    // Only every few minutes it looks at the disk.
    keeper.run().await.expect("runs");
    assert_eq!(
        told(),
        ["found 80 % of the traffic of the organization default used: 900 B of 1000 B"]
    );
    QuotaKeeper::new(bench.ground.clone()).run().await.expect("as after a start");
    assert_eq!(told().len(), 3, "{:?}", told());
    let words = refusal(deployments.create(&bench.owner, "blog", Wanted::Usual)).await;
    assert!(
        words.starts_with("the organization `default` may take 1000 B of disk and takes 1000 B; delete volumes"),
        "{words}"
    );
    let used = quotas.list(&bench.owner).await.expect("lists")[0].used.clone();
    assert_eq!((used.disk_bytes, used.traffic_bytes), (Some(1000), 1800));

    // The month's traffic is used up, so that each domain is held to its speed.
    crate::routing::apply(&bench.ground).await.expect("applies");
    let host = "blog.localhost".parse().expect("a host");
    let bandwidth = || {
        bench
            .node
            .edge
            .lock()
            .expect("test")
            .routes
            .get(&host)
            .expect("its route")
            .policy
            .as_ref()
            .and_then(|policy| policy.bandwidth)
    };
    assert_eq!(bandwidth(), Some(77));
    bounded(&bench, QuotaLimits::default()).await;
    crate::routing::apply(&bench.ground).await.expect("applies");
    assert_eq!(bandwidth(), None);
}

#[tokio::test]
async fn builds_are_counted_and_the_next_month_begins_anew() {
    let bench = Bench::new().await;
    let apps = Apps::new(bench.ground.clone());
    let limits = QuotaLimits {
        builds_per_month: Some(1),
        ..QuotaLimits::default()
    };
    let quotas = bounded(&bench, limits).await;
    let mut wanted = wish("blog", 64 << 20, false);
    wanted.source = NewSource::Upload {
        folder: ".".parse().expect("a path"),
        dockerfile: "Dockerfile".parse().expect("a path"),
        target: None,
        build: None,
        compose: None,
    };
    let app = apps.create(&bench.owner, wanted).await.expect("made").app;
    count_build(&bench.ground, &app).await.expect("the first");
    let words = refusal(count_build(&bench.ground, &app)).await;
    assert!(words.contains("may begin 1 build in a month and has begun 1 in 2"), "{words}");
    let words = refusal(Deployments::new(bench.ground.clone()).create(&bench.owner, "blog", Wanted::Usual)).await;
    assert!(words.contains("and this asks for 1 more"), "{words}");
    assert_eq!(quotas.list(&bench.owner).await.expect("lists")[0].used.builds, 1);
    // What is not built is not counted.
    apps.create(&bench.owner, wish("ready", 64 << 20, true)).await.expect("made");
    let past = change_meter(&bench.ground, &bench.owner.organization, |meter| meter.month = "1999-12".into());
    past.await.expect("changed");
    count_build(&bench.ground, &app).await.expect("another month");
    Deployer::new(bench.ground.clone()).run().await.expect("runs");
    assert!(
        bench
            .ground
            .store
            .deployments
            .list()
            .expect("lists")
            .iter()
            .all(|one| one.phase != Phase::Failed)
    );
}
