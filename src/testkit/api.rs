//! A client of the panel's API for tests: by token, by cookies, or as nobody.

use crate::network::Loopback;
use reqwest::{Client, Method, StatusCode, header::HeaderMap, redirect::Policy};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// How a client says who it is.
#[derive(Clone)]
enum Sign {
    Nobody,
    Bearer(String),
    Cookies(Arc<Mutex<Cookies>>),
}

#[derive(Default)]
struct Cookies {
    values: BTreeMap<String, String>,
    csrf: String,
}

/// Somebody who talks to a panel.
#[derive(Clone)]
pub struct Api {
    client: Client,
    /// `https://127.0.0.1:PORT`
    base: String,
    sign: Sign,
}

impl Api {
    pub(crate) fn nobody(base: String) -> Api {
        Api::dialling(base, None)
    }

    /// The same panel and the same proof, from another address of this machine, such as 127.0.0.2.
    pub fn from_address(&self, address: IpAddr) -> Api {
        let client = Api::dialling(String::new(), Some(address)).client;
        Api { client, ..self.clone() }
    }

    fn dialling(base: String, from: Option<IpAddr>) -> Api {
        let client = Client::builder()
            .local_address(from)
            .dns_resolver(Loopback)
            .tls_danger_accept_invalid_certs(true)
            .redirect(Policy::none())
            .timeout(Duration::from_secs(120))
            .build()
            .expect("a client with these options builds");
        Api {
            client,
            base,
            sign: Sign::Nobody,
        }
    }

    /// The same panel, as nobody.
    pub fn anonymous(&self) -> Api {
        Api {
            sign: Sign::Nobody,
            ..self.clone()
        }
    }

    /// The same panel, with an API token.
    pub fn with_token(&self, token: impl Into<String>) -> Api {
        Api {
            sign: Sign::Bearer(token.into()),
            ..self.clone()
        }
    }

    /// The same panel, as a browser that has not signed in yet: cookies are kept.
    pub fn browser(&self) -> Api {
        Api {
            sign: Sign::Cookies(Arc::default()),
            ..self.clone()
        }
    }

    /// A browser that signs in with mail and password; panics if that fails.
    pub async fn signed_in(&self, email: &str, password: &str) -> Api {
        let api = self.browser();
        api.post("/api/v1/session", serde_json::json!({"email": email, "password": password}))
            .await
            .expect(201);
        api
    }

    /// Their account, who comes into this one's organization by an invitation.
    pub async fn join(&self, email: &str, name: &str, role: &str, password: &str) -> Value {
        let wish = serde_json::json!({"email": email, "role": role});
        let made = self.post("/api/v1/invitations", wish).await.expect(201).json();
        let link = made["link"].as_str().expect("a link");
        let token = link.split('#').nth(1).expect("a link ends in its word");
        let accept = serde_json::json!({"token": token, "name": name, "password": password});
        let joined = self.browser().post("/api/v1/invitation/accept", accept).await.expect(201).json();
        joined["user"].clone()
    }

    /// A cookie's value, if the panel has set it.
    pub fn cookie(&self, name: &str) -> Option<String> {
        match &self.sign {
            Sign::Cookies(cookies) => lock(cookies).values.get(name).cloned(),
            _ => None,
        }
    }

    /// Replaces or removes a cookie, as a thief or an old browser would have it.
    pub fn set_cookie(&self, name: &str, value: Option<&str>) {
        if let Sign::Cookies(cookies) = &self.sign {
            let mut cookies = lock(cookies);
            match value {
                Some(value) => cookies.values.insert(name.to_owned(), value.to_owned()),
                None => cookies.values.remove(name),
            };
        }
    }

    /// Sends this with every unsafe request from now on, in place of what the panel gave.
    pub fn set_csrf(&self, word: &str) {
        if let Sign::Cookies(cookies) = &self.sign {
            lock(cookies).csrf = word.to_owned();
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::POST, path).json(&body)).await
    }
    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// A request to fill further and give to [`Api::send`]; it is signed already.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        };
        let unsafe_method = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        let request = self.client.request(method, url);
        match &self.sign {
            Sign::Nobody => request,
            Sign::Bearer(token) => request.bearer_auth(token),
            Sign::Cookies(cookies) => {
                let cookies = lock(cookies);
                let line: Vec<String> = cookies.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let request = if line.is_empty() {
                    request
                } else {
                    request.header("cookie", line.join("; "))
                };
                if unsafe_method && !cookies.csrf.is_empty() {
                    request.header("x-csrf-token", cookies.csrf.as_str())
                } else {
                    request
                }
            }
        }
    }

    /// Sends it; panics if there is no answer at all.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        match self.try_send(request).await {
            Ok(reply) => reply,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Sends it; an error is no answer at all, with its causes.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> Result<Reply, String> {
        let request = request.build().map_err(|error| chain(&error))?;
        let what = format!("{} {}", request.method(), request.url());
        let answer = self.client.execute(request).await.map_err(|error| chain(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| format!("{what}: {}", chain(&error)))?;
        let reply = Reply {
            what,
            status,
            headers,
            body: body.to_vec(),
        };
        self.keep_cookies(&reply);
        Ok(reply)
    }

    /// GET that is allowed to find nobody.
    pub async fn try_get(&self, path: &str) -> Result<Reply, String> {
        self.try_send(self.request(Method::GET, path)).await
    }

    /// All items of a list, over all its pages.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page = match &cursor {
                Some(cursor) => self.get(&format!("{path}{joint}cursor={cursor}")).await,
                None => self.get(path).await,
            }
            .expect(200)
            .json();
            items.extend(page["items"].as_array().expect("a list has items").iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    fn keep_cookies(&self, reply: &Reply) {
        let Sign::Cookies(cookies) = &self.sign else { return };
        let mut cookies = lock(cookies);
        for line in reply.headers.get_all("set-cookie") {
            let Some((name, value)) = line.to_str().ok().and_then(|line| line.split(';').next()?.split_once('=')) else {
                continue;
            };
            if value.is_empty() {
                cookies.values.remove(name);
            } else {
                cookies.values.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Ok(body) = serde_json::from_slice::<Value>(&reply.body)
            && let Some(csrf) = body["csrf"].as_str()
        {
            cookies.csrf = csrf.to_owned();
        }
    }
}

fn lock(cookies: &Mutex<Cookies>) -> std::sync::MutexGuard<'_, Cookies> {
    cookies.lock().expect("nobody panics while holding cookies")
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// An answer, and what it answers.
#[derive(Debug, Clone)]
pub struct Reply {
    pub what: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    /// Panics unless the status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert!(
            self.status.as_u16() == status,
            "{} answered {} in place of {status}: {}",
            self.what,
            self.status,
            self.text()
        );
        self
    }
    /// Panics unless it is a problem with this code, told in one sentence.
    #[track_caller]
    pub fn code(self, code: &str) -> Reply {
        let problem = self.json();
        assert_eq!(problem["code"], code, "{} answered {}", self.what, self.text());
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{} answered as {kind}", self.what);
        let sentence = self.detail();
        assert!(
            (3..600).contains(&sentence.len()) && !sentence.contains('\n'),
            "not one clear sentence: {sentence:?}"
        );
        assert_eq!(
            problem["status"],
            self.status.as_u16(),
            "status in the body differs: {}",
            self.text()
        );
        self
    }
    /// What a problem says.
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{} answered no JSON ({error}): {}", self.what, self.text()))
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn header(&self, name: &str) -> Option<String> {
        Some(String::from_utf8_lossy(self.headers.get(name)?.as_bytes()).into_owned())
    }
}
