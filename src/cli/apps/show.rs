//! Apps as a table, and one as facts.

use super::{List, describe::describe};
use crate::{
    commands::Context,
    failure::Result,
    lists,
    output::{Cell, Table, when},
};
use client::types::{App, Service};
use serde_json::Value;
use types::{Clock, SystemClock};

pub(super) async fn list(context: &Context, args: List) -> Result {
    let client = context.panel()?;
    let apps = lists::all::<App, _>(async |cursor| {
        let call = client.app_list(cursor, args.environment.as_deref(), lists::LIMIT, args.project.as_deref(), None);
        client.ask(call).await
    })
    .await?;
    let empty = "no apps yet; make one: serverkit app create NAME --git URL";
    context.out.list(&apps.json, empty, || table(&apps.items))
}

/// Apps as a table, here and in `status`.
pub fn table(apps: &[App]) -> Table {
    let mut table = Table::new(["NAME", "STATE", "SOURCE", "RELEASE", "DEPLOYED", "URL"]);
    let now = SystemClock.now();
    for app in apps {
        let state = app.state.to_string();
        let state = if app.pending_changes { format!("{state}*") } else { state };
        table.row([
            app.name.clone().into(),
            Cell::tone(state, crate::output::tone_of(&app.state.to_string())),
            source_text(app).into(),
            app.release
                .as_ref()
                .map(|release| format!("#{}", release.number))
                .unwrap_or_default()
                .into(),
            app.release
                .as_ref()
                .map(|release| when(&release.created_at, now))
                .unwrap_or_default()
                .into(),
            app.url.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

pub(super) fn source_json(app: &App) -> Value {
    serde_json::to_value(&app.source).unwrap_or_default()
}

pub(super) fn public_key(app: &App) -> Option<String> {
    source_json(app)["deploy_key_public"].as_str().map(str::to_owned)
}

/// `https://…/blog.git (main)` or `redis:7`.
pub(super) fn source_text(app: &App) -> String {
    let source = source_json(app);
    let text = |key: &str| source[key].as_str().unwrap_or_default().to_owned();
    match (text("kind").as_str(), text("branch").as_str()) {
        ("image", _) => text("reference"),
        ("upload", _) => "an upload".to_owned(),
        ("compose", _) => "a Compose file".to_owned(),
        (_, "") => text("url"),
        (_, branch) => format!("{} ({branch})", text("url")),
    }
}

pub(super) async fn show(context: &Context, name: &str) -> Result {
    let client = context.panel()?;
    let app = client.ask(client.app_show(name)).await?;
    let out = context.out;
    let source = source_json(&app.value);
    // A file that cannot be read at the moment says nothing of its services, and the app is shown all the same.
    let services = match source["kind"] == "compose" || !source["services"].is_null() {
        true => {
            let all = lists::all::<Service, _>(async |cursor| client.ask(client.service_list(&app.value.id, cursor, lists::LIMIT)).await);
            Some(all.await.map(|list| list.items).unwrap_or_default())
        }
        false => None,
    };
    out.answer(&app.json, || describe(&app.value, services.as_deref(), &out))
}
