//! A steady number of requests a second against the edge, on kept connections, counting every one that fails.

use crate::{api::chain, network::Loopback};
use reqwest::Client;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time::MissedTickBehavior};

/// More requests under way than this means that nothing is answered.
const AT_ONCE: usize = 4000;

/// Load that goes on until [`Load::finish`].
pub struct Load {
    ends: Arc<AtomicBool>,
    counted: Arc<Counted>,
    under_way: Arc<AtomicUsize>,
    task: JoinHandle<()>,
    begun: Instant,
}

#[derive(Default)]
struct Counted {
    sent: AtomicUsize,
    failed: Mutex<BTreeMap<String, usize>>,
    millis: Mutex<Vec<u32>>,
}

/// What came of it.
#[derive(Debug)]
pub struct LoadReport {
    pub sent: usize,
    pub failed: usize,
    /// Each way of failing, and how often.
    pub reasons: BTreeMap<String, usize>,
    pub per_second: f64,
    pub median: Duration,
    pub p99: Duration,
    pub worst: Duration,
}

impl Load {
    /// `rate` requests a second to `url`, half of them by HTTP/1.1 and half by HTTP/2; an answer other than 200 is a
    /// failure, and so is one that takes 10 s.
    pub fn start(url: &str, rate: u32) -> Load {
        let clients = [client(true), client(false)];
        let (ends, counted, under_way): (Arc<AtomicBool>, Arc<Counted>, Arc<AtomicUsize>) = Default::default();
        let task = tokio::spawn(send(
            url.to_owned(),
            rate,
            clients,
            ends.clone(),
            counted.clone(),
            under_way.clone(),
        ));
        Load {
            ends,
            counted,
            under_way,
            task,
            begun: Instant::now(),
        }
    }

    /// How many have failed so far.
    pub fn failed(&self) -> usize {
        lock(&self.counted.failed).values().sum()
    }

    /// Stops sending, waits for the answers under way, and reports.
    pub async fn finish(self) -> LoadReport {
        self.ends.store(true, Ordering::Relaxed);
        self.task.await.expect("the sender does not panic");
        let took = self.begun.elapsed();
        let patience = Instant::now();
        while self.under_way.load(Ordering::Relaxed) > 0 && patience.elapsed() < Duration::from_secs(15) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let reasons = lock(&self.counted.failed).clone();
        let mut millis = lock(&self.counted.millis).clone();
        millis.sort_unstable();
        let at = |share: f64| {
            let index = (millis.len() as f64 * share) as usize;
            Duration::from_millis(u64::from(
                millis.get(index.min(millis.len().saturating_sub(1))).copied().unwrap_or(0),
            ))
        };
        let sent = self.counted.sent.load(Ordering::Relaxed);
        LoadReport {
            sent,
            failed: reasons.values().sum(),
            reasons,
            per_second: sent as f64 / took.as_secs_f64(),
            median: at(0.5),
            p99: at(0.99),
            worst: at(1.0),
        }
    }
}

fn client(http1: bool) -> Client {
    let builder = Client::builder()
        .dns_resolver(Loopback)
        .tls_danger_accept_invalid_certs(true)
        .timeout(Duration::from_secs(10));
    let builder = if http1 { builder.http1_only() } else { builder };
    builder.build().expect("a client with these options builds")
}

async fn send(url: String, rate: u32, clients: [Client; 2], ends: Arc<AtomicBool>, counted: Arc<Counted>, under_way: Arc<AtomicUsize>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !ends.load(Ordering::Relaxed) {
        tick.tick().await;
        let number = counted.sent.fetch_add(1, Ordering::Relaxed);
        if under_way.load(Ordering::Relaxed) > AT_ONCE {
            failed(&counted, format!("more than {AT_ONCE} requests without an answer"));
            continue;
        }
        let request = clients[number % 2].get(&url);
        let (counted, under_way) = (counted.clone(), under_way.clone());
        under_way.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let begun = Instant::now();
            let outcome = async {
                let answer = request.send().await.map_err(|error| chain(&error.without_url()))?;
                let status = answer.status();
                let body = answer.text().await.map_err(|error| chain(&error.without_url()))?;
                if status == 200 {
                    Ok(())
                } else {
                    let words: String = body.chars().take(120).collect();
                    Err(format!("{status}: {}", words.replace('\n', " ")))
                }
            };
            match outcome.await {
                Ok(()) => lock(&counted.millis).push(u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX)),
                Err(why) => failed(&counted, why),
            }
            under_way.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn failed(counted: &Counted, why: String) {
    *lock(&counted.failed).entry(why).or_default() += 1;
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics while counting")
}
