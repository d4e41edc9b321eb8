//! A server on this machine in place of a service, and what it keeps.

use super::*;

#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: String,
    pub authorization: String,
}

pub type Handler = Arc<dyn Fn(&Asked) -> (u16, String) + Send + Sync>;

/// A server on a port of its own; its address.
pub async fn serve(handler: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> String {
    let handler: Handler = Arc::new(handler);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, handler.clone()));
        }
    });
    format!("http://127.0.0.1:{port}")
}

async fn answer(mut stream: tokio::net::TcpStream, handler: Handler) {
    let mut bytes = Vec::new();
    let end = loop {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await.unwrap_or(0);
        if length == 0 {
            return;
        }
        bytes.extend_from_slice(&part[..length]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let length: usize = header("content-length").parse().unwrap_or(0);
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap_or(0);
        body.extend_from_slice(&part[..read]);
    }
    let mut first = head.lines().next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default().to_owned();
    let target = first.next().unwrap_or_default().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let asked = Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        authorization: header("authorization"),
    };
    let (status, text) = handler(&asked);
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Records in a service's own words, by its ids.
#[derive(Default)]
pub struct Kept(pub Mutex<(u64, Vec<(String, Value)>)>);

impl Kept {
    pub fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().1.iter().map(|(_, value)| value.clone()).collect()
    }
    pub fn add(&self, mut value: Value, number: bool) -> Value {
        let mut kept = self.0.lock().unwrap();
        kept.0 += 1;
        let id = kept.0.to_string();
        value["id"] = if number { kept.0.into() } else { id.clone().into() };
        kept.1.push((id, value.clone()));
        value
    }
    pub fn remove(&self, id: &str) -> bool {
        let mut kept = self.0.lock().unwrap();
        let before = kept.1.len();
        kept.1.retain(|(own, _)| own != id);
        kept.1.len() < before
    }
    pub fn change(&self, id: &str, new: &Value) -> bool {
        let mut kept = self.0.lock().unwrap();
        let Some((_, value)) = kept.1.iter_mut().find(|(own, _)| own == id) else {
            return false;
        };
        for (field, part) in new.as_object().unwrap() {
            value[field] = part.clone();
        }
        true
    }
}
