//! Cloud Native Buildpacks: the phases of a builder's lifecycle as steps of a build.
//!
//! Source: the Platform Interface Specification of buildpacks.io (`platform.md`). Of the two ways that it gives a platform, `creator` and the
//! phases one by one, this is the second: `detector` and `builder` run as the builder's own user in an ordinary step of BuildKit, with
//! its limits, log, secret mounts and cache. They need neither the engine's socket nor a registry, which `creator` cannot do without; so a
//! builder is trusted with no more than a Dockerfile is. What `restorer` and `exporter` would do for a registry the same step does with
//! the app's cache mount and the last stage does by `COPY`: launch layers, the launcher, a link for each process, and the app.

use crate::{
    recipe::{BuildKeys, Lines, Recipe},
    tree::Tree,
};
use serde_json::Value;
use std::{cmp::Reverse, collections::BTreeMap};
use types::{BuildWish, Error, Preset, Result};

/// Where nobody names another.
const BUILDER: &str = "paketobuildpacks/builder-jammy-base";
/// Versions of the Platform API that the steps below keep to, oldest and newest: all that they give is said by variables that have not
/// changed in them.
const OLDEST: (u32, u32) = (0, 3);
const NEWEST: (u32, u32) = (0, 15);
/// The build argument with the image that apps run on, and that with the version to speak.
const RUN_IMAGE: &str = "CNB_RUN_IMAGE";
const PLATFORM_API: &str = "CNB_PLATFORM_API";

/// The builder that is wished for, else the one that `project.toml` names, else the usual one.
pub fn builder(tree: &Tree, wish: &BuildWish) -> String {
    match &wish.builder {
        Some(builder) => builder.to_string(),
        None => described(tree).unwrap_or_else(|| BUILDER.to_owned()),
    }
}

/// The builder of `project.toml`, in either version of that file.
fn described(tree: &Tree) -> Option<String> {
    let file = tree.toml("project.toml");
    let text = |table: Option<&toml::Value>| Some(table?.get("builder")?.as_str()?.to_owned());
    let named = text(file.get("io").and_then(|io| io.get("buildpacks"))).or_else(|| text(file.get("build")))?;
    named.parse::<types::ImageRef>().ok().map(|builder| builder.to_string())
}

/// Whether `project.toml` says that buildpacks build it.
pub fn is_described(tree: &Tree) -> bool {
    let file = tree.toml("project.toml");
    file.get("io").and_then(|io| io.get("buildpacks")).is_some() || described(tree).is_some()
}

/// Fails with `Invalid` for what is said to buildpacks in another way.
pub fn recipe(tree: &Tree, wish: &BuildWish) -> Result<Recipe> {
    let other = [
        ("version", wish.version.is_some()),
        ("packages", wish.packages.as_ref().is_some_and(|names| !names.is_empty())),
        ("install", wish.install.as_ref().is_some_and(|text| !text.is_empty())),
        ("build", wish.build.as_ref().is_some_and(|text| !text.is_empty())),
        ("output", wish.output.is_some()),
    ];
    if let Some((field, _)) = other.into_iter().find(|(_, is_given)| *is_given) {
        return Err(Error::invalid(
            field,
            "is nothing that buildpacks take; they are told by variables of the build, such as BP_NODE_VERSION",
        ));
    }
    let why = match is_described(tree) {
        true => "project.toml names buildpacks",
        false => "chosen",
    };
    let mut recipe = Recipe::new(Preset::Buildpacks, "Cloud Native Buildpacks", why, "");
    recipe.start.clone_from(&wish.start);
    recipe.builder = Some(builder(tree, wish));
    Ok(recipe)
}

/// What the build of a builder's image is given: the newest version of the Platform API that both know, and the image to run on.
/// `labels` are the builder's. Fails with `Invalid` when it is no builder, or one of another time.
pub fn arguments(builder: &str, labels: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let no = |why: &str| Error::invalid("builder", format!("`{builder}` {why}"));
    let metadata = labels
        .get("io.buildpacks.builder.metadata")
        .ok_or_else(|| no("is no builder of Cloud Native Buildpacks: it has no label io.buildpacks.builder.metadata"))?;
    let metadata: Value = serde_json::from_str(metadata).map_err(|_| no("has a label io.buildpacks.builder.metadata that is no JSON"))?;
    let apis = match labels
        .get("io.buildpacks.lifecycle.apis")
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
    {
        Some(apis) => apis["platform"].clone(),
        None => metadata["lifecycle"]["apis"]["platform"].clone(),
    };
    let of = |key: &str| apis[key].as_array().cloned().unwrap_or_default();
    let old = metadata["lifecycle"]["api"]["platform"].clone();
    let mut versions: Vec<(u32, u32)> = [of("supported"), of("deprecated"), vec![old]]
        .concat()
        .iter()
        .filter_map(|version| numbers(version.as_str()?))
        .collect();
    versions.sort_by_key(|version| Reverse(*version));
    let Some(api) = versions.iter().find(|version| (OLDEST..=NEWEST).contains(version)) else {
        let theirs: Vec<String> = versions.iter().map(|(major, minor)| format!("{major}.{minor}")).collect();
        return Err(no(&format!(
            "speaks the Platform API {}, serverkit {}.{} to {}.{}",
            if theirs.is_empty() {
                "of no version that it names".into()
            } else {
                theirs.join(", ")
            },
            OLDEST.0,
            OLDEST.1,
            NEWEST.0,
            NEWEST.1
        )));
    };
    let run_image = [&metadata["images"][0]["image"], &metadata["stack"]["runImage"]["image"]]
        .into_iter()
        .find_map(Value::as_str)
        .ok_or_else(|| no("does not say which image apps run on"))?;
    run_image
        .parse::<types::ImageRef>()
        .map_err(|_| no("names an image to run on that is no name of an image"))?;
    Ok(BTreeMap::from([
        (RUN_IMAGE.to_owned(), run_image.to_owned()),
        (PLATFORM_API.to_owned(), format!("{}.{}", api.0, api.1)),
    ]))
}

fn numbers(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Everything that one phase leaves for the next; a shell of POSIX with awk, as every image that builds has.
const STEPS: &[&str] = &[
    "export CNB_APP_DIR=/workspace CNB_LAYERS_DIR=/layers CNB_PLATFORM_DIR=/serverkit/platform CNB_BUILDPACKS_DIR=/cnb/buildpacks",
    "export CNB_GROUP_PATH=/layers/group.toml CNB_PLAN_PATH=/layers/plan.toml CNB_PLATFORM_API",
    r#"cache=/serverkit/cache/layers image=/serverkit/image"#,
    // Whether a layer is of a kind: in its table [types], before Buildpack API 0.6 at the top.
    r#"is() { awk -v kind="$1" 'BEGIN { t = 1 } /^[[:space:]]*\[/ { t = /\[types\]/ } t && $0 ~ kind "[[:space:]]*=[[:space:]]*true" { f = 1 } END { exit !f }' "$2"; }"#,
    r#"without_types() { awk '/^[[:space:]]*\[/ { s = 1; t = /\[types\]/ } t || (!s && /^[[:space:]]*(launch|build|cache|types)[[:space:]]*=/) { next } { print }' "$1"; }"#,
    r#"echo "===> detecting""#,
    r#"code=0; /cnb/lifecycle/detector || code=$?"#,
    r#"case $code in 0) ;; 20|100) echo "none of the builder's buildpacks fits this source" >&2; exit $code ;; *) exit $code ;; esac"#,
    r#"if grep -q '^\[\[group-extensions\]\]' /layers/group.toml; then echo "this builder wants to change its base images (image extensions), which serverkit does not do; take another builder" >&2; exit 1; fi"#,
    r#"if [ -d $cache ]; then echo "===> taking layers from the cache"; cp -a $cache/. /layers/; fi"#,
    r#"echo "===> building""#,
    "/cnb/lifecycle/builder",
    r#"echo "===> gathering""#,
    r#"rm -rf $cache; mkdir -p $cache $image/layers $image/cnb/process $image/cnb/lifecycle"#,
    r#"for toml in /layers/*/*.toml; do [ -f "$toml" ] || continue; layer=${toml%.toml} pack=$(basename "$(dirname "$toml")") name=$(basename "$toml"); case $pack/$name in config/*|*/launch.toml|*/build.toml) continue ;; */store.toml) mkdir -p "$cache/$pack"; cp -a "$toml" "$cache/$pack/"; continue ;; esac; if is cache "$toml"; then mkdir -p "$cache/$pack"; without_types "$toml" >"$cache/$pack/$name"; if [ -d "$layer" ]; then cp -a "$layer" "$cache/$pack/"; fi; fi; if is launch "$toml" && [ -d "$layer" ]; then mkdir -p "$image/layers/$pack"; mv "$layer" "$image/layers/$pack/"; fi; done"#,
    r#"cp -a /layers/config $image/layers/config"#,
    r#"cp /cnb/lifecycle/launcher $image/cnb/lifecycle/launcher"#,
    r#"types=$(awk -F'"' '/^[[:space:]]*\[\[processes\]\]/ { p = 1; next } /^[[:space:]]*\[/ { if ($0 !~ /processes\./) p = 0 } p && /^[[:space:]]*type[[:space:]]*=/ { print $2 }' /layers/config/metadata.toml)"#,
    r#"for type in $types; do ln -sf /cnb/lifecycle/launcher "$image/cnb/process/$type"; done"#,
];

/// A word that names one of the buildpacks' processes; anything else is a command.
fn is_process(start: &str) -> bool {
    start.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

pub fn dockerfile(recipe: &Recipe, keys: &BuildKeys) -> String {
    let builder = recipe.builder.as_deref().unwrap_or(BUILDER);
    let lines = Lines::new(recipe, keys)
        .add(format!("ARG {RUN_IMAGE}"))
        // Where the cache begins: a folder of the builder's own user. Older engines apply their umask to the mode of a cache mount.
        .add(format!("FROM {builder} AS empty"))
        .add("USER root")
        .add("RUN mkdir -p /serverkit/empty && chown \"$CNB_USER_ID:$CNB_GROUP_ID\" /serverkit/empty")
        .add(format!("FROM {builder} AS build"))
        .add(format!("ARG {PLATFORM_API}"));
    let lines = keys.arguments.iter().fold(lines, |lines, key| lines.add(format!("ARG {key}")));
    let lines = lines
        .add("USER root")
        .add(
            "RUN mkdir -p /workspace /layers /serverkit/image /serverkit/platform/env && \
             chown \"$CNB_USER_ID:$CNB_GROUP_ID\" /workspace /layers /serverkit/image /serverkit/platform/env",
        )
        .add("USER ${CNB_USER_ID}:${CNB_GROUP_ID}")
        .add("WORKDIR /workspace")
        .add("COPY --chown=${CNB_USER_ID}:${CNB_GROUP_ID} . /workspace")
        .add(step(recipe.start.as_deref(), keys))
        .add(format!("FROM ${{{RUN_IMAGE}}}"))
        .add(format!("ARG {PLATFORM_API}"))
        .add("COPY --from=build /serverkit/image/cnb /cnb")
        .add("COPY --from=build /serverkit/image/layers /layers")
        .add("COPY --from=build /workspace /workspace")
        .add(format!(
            "ENV CNB_LAYERS_DIR=/layers CNB_APP_DIR=/workspace CNB_PLATFORM_API=${{{PLATFORM_API}}} CNB_DEPRECATION_MODE=quiet PORT={} PATH=/cnb/process:/cnb/lifecycle:$PATH",
            recipe.port
        ))
        .add("WORKDIR /workspace")
        .add(format!("EXPOSE {}", recipe.port));
    match recipe.start.as_deref() {
        None | Some("") => lines.add(r#"ENTRYPOINT ["/cnb/process/web"]"#),
        Some(process) if is_process(process) => lines.add(format!("ENTRYPOINT [\"/cnb/process/{process}\"]")),
        Some(command) => lines
            .add(r#"ENTRYPOINT ["/cnb/lifecycle/launcher"]"#)
            .add(format!("CMD {}", serde_json::to_string(&[command]).expect("texts are JSON"))),
    }
    .done()
}

/// The one step in which the lifecycle runs.
fn step(start: Option<&str>, keys: &BuildKeys) -> String {
    let id = match &keys.cache {
        Some(app) => format!("id={app}-buildpacks,"),
        None => String::new(),
    };
    let mut mounts = format!("RUN --mount=type=cache,{id}from=empty,source=/serverkit/empty,target=/serverkit/cache,sharing=locked");
    for key in &keys.secrets {
        mounts.push_str(&format!(
            " \\\n    --mount=type=secret,id={key},target=/serverkit/platform/env/{key},mode=0444"
        ));
    }
    let given = keys
        .arguments
        .iter()
        .map(|key| format!("printf %s \"${{{key}-}}\" >/serverkit/platform/env/{key}"));
    let process = match start {
        None | Some("") => Some("web"),
        Some(start) => Some(start).filter(|start| is_process(start)),
    };
    let checked = process.map(|process| {
        format!(
            "[ -L $image/cnb/process/{process} ] || {{ echo \"the buildpacks made no process {process}, but: $(echo $types); give one of them, or a command, as the start command\" >&2; exit 1; }}"
        )
    });
    let steps: Vec<String> = std::iter::once("set -eu".to_owned())
        .chain(given)
        .chain(STEPS.iter().map(|step| (*step).to_owned()))
        .chain(checked)
        .collect();
    format!("{mounts} \\\n    {}{}", steps.join("; \\\n    "), keys.mark())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn labels(metadata: Value) -> BTreeMap<String, String> {
        BTreeMap::from([("io.buildpacks.builder.metadata".to_owned(), metadata.to_string())])
    }

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        let run = serde_json::json!({"runImage": {"image": "example.com/run:1", "mirrors": []}});
        let apis = |supported: &[&str]| serde_json::json!({"platform": {"deprecated": [], "supported": supported}});
        for (metadata, wanted) in [
            (
                serde_json::json!({"stack": run, "lifecycle": {"apis": apis(&["0.3", "0.9", "0.10"])}}),
                "0.10",
            ),
            (
                serde_json::json!({"stack": run, "lifecycle": {"apis": apis(&["0.7", "0.15", "0.99", "1.0"])}}),
                "0.15",
            ),
            (serde_json::json!({"stack": run, "lifecycle": {"api": {"platform": "0.4"}}}), "0.4"),
        ] {
            let given = arguments("b", &labels(metadata)).unwrap();
            assert_eq!(given["CNB_PLATFORM_API"], wanted);
            assert_eq!(given["CNB_RUN_IMAGE"], "example.com/run:1");
        }
        let newer = serde_json::json!({"images": [{"image": "run:2"}], "stack": run, "lifecycle": {"apis": apis(&["0.12"])}});
        assert_eq!(arguments("b", &labels(newer)).unwrap()["CNB_RUN_IMAGE"], "run:2");
        for (metadata, why) in [
            (
                serde_json::json!({"stack": run, "lifecycle": {"apis": apis(&["0.1", "0.99"])}}),
                "speaks the Platform API 0.99, 0.1",
            ),
            (serde_json::json!({"stack": run}), "no version that it names"),
            (
                serde_json::json!({"lifecycle": {"apis": apis(&["0.9"])}}),
                "which image apps run on",
            ),
        ] {
            let error = arguments("b", &labels(metadata)).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let error = arguments("b", &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("is no builder"), "{error}");
    }

    #[test]
    fn the_builder_is_the_one_that_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path());
        assert_eq!(builder(&tree, &BuildWish::default()), BUILDER);
        assert!(!is_described(&tree));
        for text in [
            "[_]\nschema-version = \"0.2\"\n[io.buildpacks]\nbuilder = \"heroku/builder:24\"\n",
            "[build]\nbuilder = \"heroku/builder:24\"\n",
        ] {
            std::fs::write(dir.path().join("project.toml"), text).unwrap();
            assert_eq!(builder(&tree, &BuildWish::default()), "heroku/builder:24");
            assert!(is_described(&tree));
        }
        let wish = BuildWish {
            builder: Some("example.com/b:1".parse().unwrap()),
            ..BuildWish::default()
        };
        assert_eq!(recipe(&tree, &wish).unwrap().builder.as_deref(), Some("example.com/b:1"));
        let wish = BuildWish {
            install: Some("make".into()),
            ..BuildWish::default()
        };
        assert!(recipe(&tree, &wish).unwrap_err().to_string().contains("BP_NODE_VERSION"));
    }

    #[test]
    fn secrets_are_mounted_and_the_process_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let keys = BuildKeys {
            arguments: vec!["BP_NODE_VERSION".into()],
            secrets: vec!["NPM_TOKEN".into()],
            cache: Some("app_1".into()),
        };
        let with = |start: Option<&str>| {
            let wish = BuildWish {
                start: start.map(str::to_owned),
                ..BuildWish::default()
            };
            recipe(&Tree::new(dir.path()), &wish).unwrap().dockerfile(&keys)
        };
        let text = with(None);
        for part in [
            "--mount=type=secret,id=NPM_TOKEN,target=/serverkit/platform/env/NPM_TOKEN,mode=0444",
            "id=app_1-buildpacks,from=empty,",
            "printf %s \"${BP_NODE_VERSION-}\" >/serverkit/platform/env/BP_NODE_VERSION",
            "ENTRYPOINT [\"/cnb/process/web\"]",
            "no process web",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        assert!(!text.contains("ARG NPM_TOKEN"), "{text}");
        assert!(with(Some("worker")).contains("ENTRYPOINT [\"/cnb/process/worker\"]"));
        let text = with(Some("./run --all"));
        assert!(
            text.contains("ENTRYPOINT [\"/cnb/lifecycle/launcher\"]\nCMD [\"./run --all\"]"),
            "{text}"
        );
        assert!(!text.contains("made no process"), "{text}");
    }
}
