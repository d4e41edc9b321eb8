//! What values of a Compose file come to, as a running panel says it: each row of `interpolation.txt`.

use serde_json::json;
use testkit::TestPanel;

/// The cases of `interpolation.txt`, which says how they are written.
fn interpolation_cases() -> Vec<(&'static str, Result<&'static str, &'static str>)> {
    let lines = include_str!("interpolation.txt").lines();
    let case = |line: &'static str| match (line.split_once(" =>"), line.split_once(" !! ")) {
        (Some((text, value)), None) => (text, Ok(value.trim_start())),
        (None, Some((text, reason))) => (text, Err(reason)),
        _ => panic!("neither `=>` nor `!!` in {line}"),
    };
    lines.filter(|line| !line.starts_with('#')).map(case).collect()
}

#[tokio::test]
async fn values_of_variables_come_out_as_the_table_says() {
    let panel = TestPanel::start().await;
    let source = json!({"kind": "compose", "compose": "services:\n  a: {image: x:1, restart: always}\n"});
    let variables = json!([{"key": "SET", "value": "v"}, {"key": "EMPTY", "value": ""}]);
    let app = json!({"name": "words", "source": source, "variables": variables, "deploy": false});
    panel.create_app(app).await;
    let look = async |file: &str| {
        let body = json!({"compose": file, "app": "words"});
        panel.post("/api/v1/compose/check", body).await.expect(200).json()
    };
    let (taken, refused): (Vec<_>, Vec<_>) = interpolation_cases().into_iter().partition(|(_, expected)| expected.is_ok());
    assert!(taken.len() >= 50 && refused.len() >= 12, "{} and {}", taken.len(), refused.len());

    // What a hook runs is shown as it comes out, so one file asks for all of them.
    let mut file = "services:\n  a:\n    image: x:1\n    restart: always\n    post_start:\n".to_owned();
    for (text, _) in &taken {
        file.push_str(&format!("      - command: [say, '<{text}>']\n"));
    }
    let report = look(&file).await;
    assert_eq!(report["problems"], json!([]), "{report}");
    let said = report["services"][0]["post_start"].as_array().unwrap();
    assert_eq!(said.len(), taken.len(), "{report}");
    for ((text, expected), said) in taken.iter().zip(said) {
        assert_eq!(*said, json!(format!("say <{}>", expected.unwrap())), "{text}");
    }

    for (text, expected) in refused {
        let file = format!("services:\n  a:\n    image: x:1\n    restart: always\n    environment:\n      V: '{text}'\n");
        let report = look(&file).await;
        assert_eq!(report["problems"], json!([{"line": 6, "what": expected.unwrap_err()}]), "{text}");
    }
}
