//! Whether another organization's things can be told from what is nowhere: every operation that names a thing in its path is asked for a
//! thing of others and for one that nobody has. Both must answer the same, and do the same work: of that a clock says little on a busy
//! machine, so what each request asked of the store is counted. The clock has its say in the long form.

use crate::probing::{Operation, Things, ask, body, id, is_stream, more, operations, things, token};
use serde_json::{Value, json};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use testkit::{Api, Options, TestPanel, eventually};

/// They ask name servers, of any name: what they say and how long it takes is the name servers'.
const OF_ANY_NAME: [&str; 3] = ["domain_check", "dns_setup_show", "dns_setup_apply"];
/// What others cannot have here without an engine, a forge or a browser, by the part of a path before it; and the program's own templates
/// and the machine's ports, which are of nobody.
const ABSENT: [&str; 8] = [
    "sessions",
    "devices",
    "passkeys",
    "ports",
    "deliveries",
    "catalog",
    "runs",
    "clones",
];
/// The same log as ever, and what each request cost.
const COSTS: &str = "info,sled=warn,poem=warn,pingora=warn,serverkit_api=debug";

/// What a request asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    look_ups: u32,
    records: u32,
    batches: u32,
}

impl Cost {
    /// What is not the request's own, such as noting when a token was used, is not in all of them.
    fn least(self, other: Cost) -> Cost {
        Cost {
            look_ups: self.look_ups.min(other.look_ups),
            records: self.records.min(other.records),
            batches: self.batches.min(other.batches),
        }
    }
}

/// An operation, its path to a thing of others, and one to a thing that nobody has.
struct Pair {
    operation: String,
    method: String,
    there: String,
    nowhere: String,
}

/// A panel with two organizations, and a token of the one that has nothing.
async fn prepared(options: Options) -> (TestPanel, Things, Api) {
    let panel = options.start().await;
    // It asks more in a minute than anybody may.
    panel
        .patch("/api/v1/api-limits", json!({"exempt": ["127.0.0.0/8", "::1/128"]}))
        .await
        .expect(200);
    let mut things = things(&panel).await;
    things.more = more(&panel).await;
    let provider = json!({"name": "zqdns", "kind": "webhook", "options": {"endpoint": "http://127.0.0.1:1/", "zones": ["zqzone.test"]}});
    let provider = panel.post("/api/v1/dns/providers", provider).await.expect(201).json();
    things.more.insert("providers", id(&provider));
    things.more.insert("zones", "zqzone.test".to_owned());
    let servers = panel.list("/api/v1/servers").await;
    things.more.insert("servers", id(&servers[0]));
    let organizations = panel.list("/api/v1/organizations").await;
    things.more.insert("organizations", id(&organizations[0]));
    let browser = panel.organization("acme").await;
    let script = token(&browser, json!({"name": "probe", "scope": "admin"})).await;
    (panel, things, script)
}

/// A name or id of the same form and length that nobody has.
fn twin(part: &str) -> String {
    match part.split_once('_') {
        Some((prefix, letters)) if letters.len() == 26 => format!("{prefix}_{}", "0".repeat(26)),
        _ => part
            .replace("zqjournal", "zqnowhere")
            .replace("zqshelf", "zqnoone")
            .replace("zqzone", "zqnone"),
    }
}

async fn pairs(panel: &TestPanel, things: &Things) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut unknown = BTreeSet::new();
    for Operation {
        id: operation,
        method,
        path,
    } in operations(panel).await
    {
        if !path.contains('{') || OF_ANY_NAME.contains(&operation.as_str()) {
            continue;
        }
        let there = format!("/api/v1{}", things.fill(&path));
        let parts = there.split('/').map(twin).collect::<Vec<_>>();
        let nowhere = parts.join("/");
        if there == nowhere {
            let before = path
                .split('/')
                .zip(path.split('/').skip(1))
                .find(|(_, place)| place.starts_with('{'));
            let (part, _) = before.expect("it has a place");
            if !ABSENT.contains(&part) {
                unknown.insert(format!("{operation}: what is in {path}?"));
            }
            continue;
        }
        pairs.push(Pair {
            operation,
            method,
            there,
            nowhere,
        });
    }
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(pairs.len() > 140, "only {} operations are compared", pairs.len());
    pairs
}

/// All of an answer but what every answer has of its own, and the names that were asked for.
async fn told(panel: &TestPanel, api: &Api, pair: &Pair, path: &str) -> String {
    if is_stream(&pair.operation) {
        return ask(panel, api, &pair.operation, &pair.method, path).await.0.to_string();
    }
    let request = api.request(pair.method.parse().expect("a method"), path);
    let request = if pair.method == "GET" {
        request
    } else {
        request.json(&body(&pair.operation))
    };
    let reply = api.try_send(request).await.expect("an answer");
    let own = |name: &str| matches!(name, "date" | "x-request-id");
    let headers = reply.headers.iter().filter(|(name, _)| !own(name.as_str()));
    let headers: BTreeSet<String> = headers
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()))
        .collect();
    let mut words = match serde_json::from_str::<Value>(&reply.text()) {
        Ok(Value::Object(mut problem)) => {
            problem.remove("request_id");
            Value::Object(problem).to_string()
        }
        _ => reply.text(),
    };
    for part in path
        .split('/')
        .filter(|part| part.contains('_') || twin(part) != *part || is_twin(part))
    {
        words = words.replace(part, "…");
    }
    format!("{} {headers:?} {words}", reply.status.as_u16())
}

fn is_twin(part: &str) -> bool {
    ["zqnowhere", "zqnoone", "zqnone"].iter().any(|twin| part.starts_with(twin))
}

/// What the log tells of each request, by method and path.
fn costs(printed: &str) -> BTreeMap<(String, String), Vec<Cost>> {
    let mut costs: BTreeMap<(String, String), Vec<Cost>> = BTreeMap::new();
    for line in printed.lines().filter(|line| line.contains(" look_ups=")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.parse::<u32>().ok());
        let at = words.iter().position(|word| word.starts_with("/api/v1/"));
        if let (Some(at), Some(look_ups), Some(records), Some(batches)) = (at, number("look_ups="), number("records="), number("batches="))
        {
            let key = (words[at - 1].to_owned(), words[at].to_owned());
            costs.entry(key).or_default().push(Cost {
                look_ups,
                records,
                batches,
            });
        }
    }
    costs
}

/// Statuses, words and headers are the same, and so is the work: as many look-ups, nothing written, and at most one record more, the one
/// that the id leads to, as somebody must read whose it is.
#[tokio::test]
async fn what_is_anothers_costs_what_is_nowhere_costs() {
    let (panel, things, script) = prepared(Options::default().variable("RUST_LOG", COSTS)).await;
    let pairs = pairs(&panel, &things).await;
    let mut wrong = Vec::new();
    for pair in &pairs {
        let mut answers = BTreeSet::new();
        for _ in 0..3 {
            for path in [&pair.there, &pair.nowhere] {
                answers.insert(told(&panel, &script, pair, path).await);
            }
        }
        if answers.len() != 1 {
            wrong.push(format!("{} answers {answers:#?}", pair.operation));
        }
    }
    let last = pairs.last().map(|pair| (pair.method.clone(), pair.nowhere.clone())).expect("some");
    let costs = eventually("the log tells of the last request", Duration::from_secs(20), || async {
        Some(costs(&panel.printed())).filter(|costs| costs.get(&last).is_some_and(|told| told.len() >= 3))
    })
    .await;
    for pair in &pairs {
        let of = |path: &String| {
            let told = costs.get(&(pair.method.clone(), path.clone()))?;
            told.iter().copied().reduce(Cost::least)
        };
        let (Some(there), Some(nowhere)) = (of(&pair.there), of(&pair.nowhere)) else {
            wrong.push(format!("the log does not tell of {} {}", pair.method, pair.there));
            continue;
        };
        let is_alike = there.look_ups == nowhere.look_ups
            && there.batches == nowhere.batches
            && (nowhere.records..=nowhere.records + 1).contains(&there.records);
        if !is_alike {
            wrong.push(format!("{} costs {there:?}, and of what is nowhere {nowhere:?}", pair.operation));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of each.
const PAIRS: usize = 200;
/// How many standard deviations the ranks of one may be apart from the other's (Mann and Whitney).
const APART: f64 = 6.0;
/// Less than this between the medians no network lets through; a debug build needs some of it to read a record.
const SHIFT: Duration = Duration::from_millis(1);

/// How many standard deviations the sum of ranks of `one` is from what it were if both came from the same. Ties are in the order of the
/// clock's own steps, which are far finer than what is measured.
fn ranks_apart(one: &[Duration], other: &[Duration]) -> f64 {
    let (n, m) = (count(one), count(other));
    let mut all: Vec<(Duration, bool)> = one.iter().map(|time| (*time, true)).collect();
    all.extend(other.iter().map(|time| (*time, false)));
    all.sort();
    let ranks = (1_u32..).zip(&all).filter(|(_, (_, is_of_one))| *is_of_one);
    let sum: f64 = ranks.map(|(rank, _)| f64::from(rank)).sum();
    let expected = n * (n + m + 1.0) / 2.0;
    (sum - expected) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

fn count(times: &[Duration]) -> f64 {
    f64::from(u32::try_from(times.len()).expect("few"))
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn ranks_tell_two_kinds_of_times_apart() {
    let times = |from: u64, step: u64| (0..100).map(|n| Duration::from_micros(from + n * step)).collect::<Vec<_>>();
    assert!(ranks_apart(&times(0, 2), &times(1, 2)).abs() < 1.0);
    assert!(ranks_apart(&times(1000, 1), &times(0, 1)) > APART);
    assert!(ranks_apart(&times(0, 1), &times(1000, 1)) < -APART);
    assert_eq!(median(&times(0, 1)), Duration::from_micros(50));
}

/// The clock's word on the same, in turns, so that what else the machine does meets both; the worst are printed.
#[tokio::test]
#[ignore = "long: tests/run.sh --long"]
async fn what_is_anothers_takes_as_long_as_what_is_nowhere() {
    let (panel, things, script) = prepared(Options::default()).await;
    let mut found = Vec::new();
    for pair in pairs(&panel, &things).await.iter().filter(|pair| !is_stream(&pair.operation)) {
        let mut times: [Vec<Duration>; 2] = Default::default();
        for turn in 0..PAIRS {
            for which in [turn % 2, 1 - turn % 2] {
                let path = [&pair.there, &pair.nowhere][which];
                let request = script.request(pair.method.parse().expect("a method"), path);
                let request = request.json(&body(&pair.operation));
                let begun = Instant::now();
                script.try_send(request).await.expect("an answer");
                times[which].push(begun.elapsed());
            }
        }
        let [there, nowhere] = &times;
        let shift = median(there).abs_diff(median(nowhere));
        found.push((shift, ranks_apart(there, nowhere), pair.operation.clone()));
    }
    found.sort_by_key(|(shift, ..)| Reverse(*shift));
    for (shift, apart, operation) in found.iter().take(10) {
        println!("{operation}: medians {shift:?} apart, ranks {apart:.1} standard deviations");
    }
    let wrong: Vec<_> = found
        .iter()
        .filter(|(shift, apart, _)| *shift > SHIFT && apart.abs() > APART)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
