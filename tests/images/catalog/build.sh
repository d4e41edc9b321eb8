#!/usr/bin/env bash
# Builds the images that the catalog's templates pin and tests/catalog.rs runs, as `recipes` lists them. ../build.sh calls this
# after the images that these stand on; DIR keeps an archive of them, for an engine that has none.
#
#   tests/images/catalog/build.sh DIR
#
# A recipe that fails is named, and fails the tests of its template only: packages of three registries are not in our hands.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$1
export DOCKER_BUILDKIT=0 DOCKER_CLI_HINTS=false
label=serverkit.tests.inputs

say() { printf 'images: %s\n' "$*"; }
inputs_of() { docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null || true; }
# name:tag of an image, as a template pins it or the list says.
pinned() {
    case $2 in :*) printf '%s%s\n' "$1" "$2"; return ;; esac
    local files=$here/../../../catalog/${2%@*} chosen= image value
    case $2 in *@*) chosen="name: \"\{0,1\}${2#*@}[\",]" ;; esac
    image=$(sed -n "s|^ *image: \\($1:.*\\)\$|\\1|p" "$files/compose.yaml" | head -n 1)
    # Of the versions that a template offers, the one behind the @, else the first.
    while [[ $image =~ \{\{\ version\.([a-z_]+)\ \}\} ]]; do
        value=$(sed -n "/^  - {.*$chosen/s|^  - {.* set: {.*[ {]${BASH_REMATCH[1]}: \"\{0,1\}\([^\", }]*\).*|\1|p" "$files/template.yaml" | head -n 1)
        [ -n "$value" ] || return 0
        image=${image/"${BASH_REMATCH[0]}"/$value}
    done
    printf '%s\n' "$image"
}

# Of its files, of what it stands on, and of the name, for the version is in it.
key_of() {
    local folders=("$1")
    ! grep -q '^FROM tests/node' "$here/$1/Dockerfile" || folders+=(node)
    ! grep -q '^FROM eclipse-temurin' "$here/$1/Dockerfile" || folders+=(java-jre)
    ! grep -q '^FROM mcr.microsoft.com/dotnet' "$here/$1/Dockerfile" || folders+=(dotnet-sdk node)
    (cd "$here" && { echo "$ground $2"; find "${folders[@]}" -type f -print0 | sort -z | xargs -0 sha256sum; }) | sha256sum | cut -c1-16
}

# Recipes and names, in the order of the list.
recipes=() names=() keys=()
ground=$(inputs_of debian:bookworm-slim)
while read -r recipe image template; do
    case $recipe in '' | '#'*) continue ;; esac
    name=$(pinned "$image" "$template")
    [ -n "$name" ] || { say "catalog/$template pins no $image" >&2; exit 1; }
    case $recipe in
        =tests/node:*) key=${keys[0]} ;;
        =*) key=$(inputs_of "${recipe#=}") ;;
        *) key=$(key_of "$recipe" "$name") ;;
    esac
    recipes+=("$recipe") names+=("$name") keys+=("$key")
done <"$here/recipes"
whole=$(printf '%s\n' "${keys[@]}" "${names[@]}" | sha256sum | cut -c1-16)
archive=$cache/catalog-$whole.tar.zst

has() { [ "$(inputs_of "${names[$1]}")" = "${keys[$1]}" ]; }
missing() {
    local at
    for at in "${!names[@]}"; do has "$at" || printf '%s\n' "$at"; done
}

# The recipe with this place in the list; a network that hiccups gets a second chance.
make() {
    local recipe=${recipes[$1]} name=${names[$1]} log version try
    log=$cache/catalog-${name//[\/:]/-}.log
    version=$(grep -oE '[0-9]+(\.[0-9]+)*' <<<"${name##*:}" | head -n 1)
    for try in 1 2; do
        # The host's network, as in ../build.sh.
        docker build --network host --force-rm --label "$label=${keys[$1]}" --build-arg "VERSION=$version" -t "$name" "$here/$recipe" >"$log" 2>&1 &&
            { say "made $name"; return; }
    done
    say "building $name failed; its log: $log" >&2
    tail -n 20 "$log" >&2
}

mapfile -t open < <(missing)
((${#open[@]})) || exit 0
if [ -s "$archive" ]; then
    say "loading from $archive"
    zstd -dcq "$archive" | docker load -q >/dev/null
    mapfile -t open < <(missing)
fi
((${#open[@]})) || exit 0

jobs=()
for at in "${open[@]}"; do
    case ${recipes[$at]} in
        =*) docker tag "${recipes[$at]#=}" "${names[$at]}" ;;
        # The ground of others.
        node | java-jre | dotnet-sdk) make "$at" ;;
        *)
            make "$at" &
            jobs+=($!)
            ((${#jobs[@]} < 2)) || { wait "${jobs[0]}"; jobs=("${jobs[@]:1}"); }
            ;;
    esac
done
for job in "${jobs[@]}"; do wait "$job"; done
docker image prune -f --filter label=serverkit.tests.stage >/dev/null
docker image prune -f --filter "label=$label" >/dev/null
mapfile -t open < <(missing)
((${#open[@]} == 0)) || exit 0
find "$cache" -maxdepth 1 -name 'catalog-*.tar.zst' -delete
docker save "${names[@]}" | zstd -q -1 -T0 -f -o "$archive.part" && mv "$archive.part" "$archive"
