//! A workflow for GitHub Actions that deploys an app and waits for the outcome, to be taken over as it is. It needs no action of anybody, only
//! `curl` and `jq`, which every runner has.

use types::{App, Source};

/// The text of `.github/workflows/deploy.yml`. `panel` is where it is reached, and the audience of ID tokens.
pub(crate) fn workflow(app: &App, panel: &str) -> String {
    let branch = match &app.source {
        Source::Git(git) => git.branch.as_ref().map_or("main", |branch| branch.as_str()),
        _ => "main",
    };
    let (wanted, image) = match &app.source {
        // A commit is what was pushed, whatever the branch has become since.
        Source::Git(_) => (r#"'{"reference": "'"$GITHUB_SHA"'"}'"#, ""),
        Source::Image { .. } => (
            r#"$(jq -n --arg image "${IMAGE_TAG:-}" 'if $image == "" then {} else {image: $image} end')"#,
            IMAGE,
        ),
        _ => ("'{}'", ""),
    };
    // The branch last: what people call it must not be taken for a place of ours.
    TEXT.replace("WANTED", wanted)
        .replace("IMAGE_LINES", image)
        .replace("NAME", app.name.as_str())
        .replace("PANEL_URL", panel)
        .replace("APP_ID", app.id.as_str())
        .replace("BRANCH", &branch.replace('"', "\\\""))
}

/// For an app from an image, which steps before have built and pushed.
const IMAGE: &str = r#"
      # The tag or digest that was pushed before, such as ${{ github.sha }}; left empty: what the app's own tag is now.
      IMAGE_TAG: """#;

const TEXT: &str = r#"name: Deploy NAME
on:
  push:
    branches: ["BRANCH"]
permissions:
  contents: read
  id-token: write
jobs:
  deploy:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    env:
      PANEL: PANEL_URL
      APP: APP_IDIMAGE_LINES
    steps:
      - name: Deploy and wait for the outcome
        shell: bash
        run: |
          set -euo pipefail
          # This job's own ID token is changed for a token that can deploy this app, for an hour.
          # Whoever keeps a token as a secret of the repository puts that into `token` instead.
          id_token=$(curl -fsS --retry 3 -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
            "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$PANEL" | jq -er .value)
          echo "::add-mask::$id_token"
          answer=$(jq -n --arg app "$APP" --arg id_token "$id_token" '$ARGS.named' |
            curl -sS --fail-with-body "$PANEL/api/v1/ci/token" -H "Content-Type: application/json" -d @-) || { echo "$answer"; exit 1; }
          token=$(jq -er .token <<<"$answer")
          echo "::add-mask::$token"
          ask() {
            curl -sS --fail-with-body --retry 5 --retry-connrefused -H "Authorization: Bearer $token" -H "Content-Type: application/json" "$@"
          }
          wanted=WANTED
          answer=$(ask "$PANEL/api/v1/apps/$APP/deployments" -H "Idempotency-Key: $GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT" -d "$wanted") ||
            { echo "$answer"; exit 1; }
          deployment=$(jq -er .id <<<"$answer")
          phase=queued
          until [[ $phase =~ ^(live|failed|cancelled|superseded)$ ]]; do
            sleep 3
            phase=$(ask "$PANEL/api/v1/deployments/$deployment" | jq -er .phase)
          done
          ask "$PANEL/api/v1/deployments/$deployment/log.txt"
          echo "The deployment is $phase."
          [[ $phase == live ]]
"#;
