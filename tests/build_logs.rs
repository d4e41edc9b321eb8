//! The log of a build: all of it can be searched, page by page, and each hit says in which step it stands.

use crate::deploy::app_of;
use serde_json::Value;
use testkit::{GitFixture, TestPanel, eventually_ok};

#[tokio::test]
async fn docker_the_whole_log_of_a_build_is_searched() {
    let panel = TestPanel::docker().await;
    // A step that the engine has from another run prints nothing.
    let run = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let dockerfile = format!(
        "FROM tests/http:latest\nENV RUN={run}\nRUN seq 1 7000 | sed 's/^/brick /'; echo Heron one\nRUN echo heron TWO; echo nothing\nEXPOSE 8080\nCMD [\"serve\"]\n"
    );
    let repository = GitFixture::of(&[("Dockerfile", &dockerfile)]);
    let app = panel.live_app(app_of("wall", &repository)).await;
    let id = app["deployment"]["id"].as_str().unwrap().to_owned();
    let search = async |query: &str| panel.get(&format!("/api/v1/deployments/{id}/log?{query}")).await.expect(200).json();
    let texts = |page: &Value| -> Vec<String> {
        let lines = page["lines"].as_array().unwrap().iter();
        let printed = lines.filter(|line| line["stream"] != "note");
        printed.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    };

    let found = search("search=HERON").await;
    assert_eq!(texts(&found), ["Heron one", "heron TWO"], "{found}");
    let steps: Vec<&str> = found["lines"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|line| line["step"].as_str())
        .collect();
    assert!(steps.len() >= 2 && steps.iter().all(|step| step.contains("RUN")), "{found}");
    assert_eq!(found["complete"], true, "{found}");
    // In parts, to the end.
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let page = search(&format!("search=brick%2069&limit=50&after={after}")).await;
        if page["lines"].as_array().unwrap().is_empty() {
            break;
        }
        all.extend(texts(&page));
        after = page["next"].as_u64().unwrap();
    }
    let wanted: Vec<String> = (1..=7000)
        .map(|n| format!("brick {n}"))
        .filter(|line| line.contains("brick 69"))
        .collect();
    assert_eq!(all, wanted);
    assert_eq!(texts(&search("search=otter").await), Vec::<String>::new());

    let printed = panel.cli(&["logs", "wall", "--build", "--search", "heron"]).await.expect(0).stdout;
    assert!(
        printed.contains("Heron one") && printed.contains("heron TWO") && !printed.contains("brick 7"),
        "{printed}"
    );
    // Whole, as a file, and compressed where it is kept.
    let whole = panel.get(&format!("/api/v1/deployments/{id}/log.txt")).await.expect(200).text();
    let bricks = whole.lines().filter(|line| line.starts_with("brick ")).count();
    assert!(
        bricks == 7000 && whole.contains("done in "),
        "{bricks} of {} lines",
        whole.lines().count()
    );
    let file = panel.data().join("wall.txt").display().to_string();
    panel.cli(&["logs", "wall", "--build", "--output", &file]).await.expect(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
    let folder = panel.data().join("logs").join(format!("deployment-{id}"));
    eventually_ok("it is compressed", std::time::Duration::from_secs(20), || async {
        let files = std::fs::read_dir(&folder).map_err(|error| error.to_string())?.flatten();
        let bytes: u64 = files.filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        match bytes > 0 && bytes < whole.len() as u64 / 2 {
            true => Ok(()),
            false => Err(format!("{bytes} bytes of {}", whole.len())),
        }
    })
    .await;
    // With what each step took.
    let timings = panel
        .cli(&["logs", "wall", "--build", "--search", "done in"])
        .await
        .expect(0)
        .stdout;
    assert!(timings.contains("done in"), "{timings}");
}
