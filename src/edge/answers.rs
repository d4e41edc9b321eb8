//! What the edge says itself: a page for people, JSON (RFC 9457) or a plain sentence for programs, by `Accept`.

use http::{HeaderMap, header};
use std::borrow::Cow;

/// One answer of the edge's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: u16,
    pub title: &'static str,
    /// One sentence; shown as text, never as markup.
    pub detail: Cow<'static, str>,
    /// Seconds; the page then loads itself again.
    pub retry_after: Option<u32>,
}

impl Answer {
    pub(crate) fn new(status: u16, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Answer {
        Answer {
            status,
            title,
            detail: detail.into(),
            retry_after: None,
        }
    }
    fn again_in(self, seconds: u32) -> Answer {
        Answer {
            retry_after: Some(seconds),
            ..self
        }
    }
    pub(crate) fn bad_request(why: &'static str) -> Answer {
        Answer::new(400, "Bad request", why)
    }
    pub(crate) fn no_such_host(host: &str) -> Answer {
        Answer::new(
            404,
            "Nothing here yet",
            if host.is_empty() {
                "The request names no host, and this server has sites only by name.".to_owned()
            } else {
                format!("No site on this server answers to {host}.")
            },
        )
    }
    pub(crate) fn no_tunnels() -> Answer {
        Answer::new(405, "Not allowed", "This server is no proxy for other servers.")
    }
    pub(crate) fn slow_request() -> Answer {
        Answer::new(408, "Request timed out", "The request did not arrive in time.")
    }
    pub(crate) fn body_too_large(limit: u64) -> Answer {
        Answer::new(
            413,
            "Too large",
            format!("The body of a request may have at most {limit} bytes here."),
        )
    }
    pub(crate) fn misdirected() -> Answer {
        Answer::new(
            421,
            "Misdirected request",
            "This connection was made for another host; please open a new one.",
        )
    }
    pub(crate) fn head_too_large() -> Answer {
        Answer::new(
            431,
            "Headers too large",
            "The headers of the request are larger than this server accepts.",
        )
    }
    pub(crate) fn denied() -> Answer {
        Answer::new(403, "Forbidden", "This site may not be visited from your address.")
    }
    pub(crate) fn not_from_here() -> Answer {
        Answer::new(403, "Forbidden", "This panel may not be reached from your address.")
    }
    pub(crate) fn unauthorized() -> Answer {
        Answer::new(401, "Sign in", "This site needs a user name and a password.")
    }
    pub(crate) fn too_many(seconds: u32) -> Answer {
        Answer {
            retry_after: Some(seconds),
            ..Answer::new(429, "Too many requests", "There were too many requests; please wait a moment.")
        }
    }
    pub(crate) fn maintenance(message: &str, seconds: u32) -> Answer {
        Answer {
            retry_after: (seconds > 0).then_some(seconds),
            ..Answer::new(503, "Under maintenance", message.to_owned())
        }
    }
    pub(crate) fn cannot_ask() -> Answer {
        Answer::new(502, "Cannot ask", "The server that decides who may pass does not answer.").again_in(5)
    }
    pub(crate) fn starting(site: &str) -> Answer {
        Answer::new(503, "Starting", format!("{site} is starting. This page loads again by itself.")).again_in(3)
    }
    pub(crate) fn waking(site: &str) -> Answer {
        let detail = format!("{site} was asleep and is not awake yet. This page loads again by itself.");
        Answer::new(503, "Waking up", detail).again_in(5)
    }
    pub(crate) fn down(site: &str, why: &str) -> Answer {
        let why = why.trim().trim_end_matches('.');
        let detail = if why.is_empty() {
            format!("{site} is not running.")
        } else {
            format!("{site} is not running: {why}.")
        };
        Answer::new(503, "Not running", detail).again_in(30)
    }
    pub(crate) fn no_connection(site: &str) -> Answer {
        Answer::new(502, "No connection", format!("{site} does not accept connections right now.")).again_in(5)
    }
    pub(crate) fn bad_answer(site: &str) -> Answer {
        Answer::new(502, "No answer", format!("{site} ended the connection without a proper answer."))
    }
    pub(crate) fn timed_out(site: &str) -> Answer {
        Answer::new(504, "No answer in time", format!("{site} took too long to answer."))
    }

    /// Content type and body, as `headers` of the request prefer them. A client that takes anything gets plain text.
    pub(crate) fn render(&self, headers: Option<&HeaderMap>) -> (&'static str, String) {
        let accept = headers
            .and_then(|headers| headers.get(header::ACCEPT))
            .and_then(|accept| accept.to_str().ok())
            .unwrap_or_default();
        if accept.contains("text/html") {
            ("text/html; charset=utf-8", self.html())
        } else if accept.contains("json") {
            ("application/problem+json", self.json())
        } else {
            ("text/plain; charset=utf-8", format!("{}\n", self.detail))
        }
    }

    fn json(&self) -> String {
        let mut detail = String::new();
        for letter in self.detail.chars() {
            match letter {
                '"' | '\\' => detail.extend(['\\', letter]),
                letter if letter.is_control() => detail.push_str(&format!("\\u{:04x}", letter as u32)),
                letter => detail.push(letter),
            }
        }
        format!(
            r#"{{"type":"about:blank","title":"{}","status":{},"detail":"{detail}"}}"#,
            self.title, self.status
        )
    }

    fn html(&self) -> String {
        let refresh = match self.retry_after {
            Some(seconds) => format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">"),
            None => String::new(),
        };
        let working = if self.status == 503 && self.retry_after.is_some_and(|seconds| seconds < 10) {
            " class=\"busy\""
        } else {
            ""
        };
        include_str!("answer.html")
            .replace("{refresh}", &refresh)
            .replace("{working}", working)
            .replace("{status}", &self.status.to_string())
            .replace("{title}", self.title)
            .replace("{detail}", &escaped(&self.detail))
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn rendered(accept: &'static str) -> (&'static str, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        Answer::down("blog", "exit code 1 <\"\n>").render(Some(&headers))
    }

    #[test]
    fn the_client_gets_what_it_can_show() {
        let (kind, body) = rendered("text/html,application/xhtml+xml");
        assert_eq!(kind, "text/html; charset=utf-8");
        assert!(body.contains("blog is not running: exit code 1 &lt;&quot;\n&gt;."), "{body}");
        assert!(!body.contains('{') || !body.contains("{detail}"), "{body}");
        let (kind, body) = rendered("application/json");
        assert_eq!(kind, "application/problem+json");
        let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(json["status"], 503);
        assert_eq!(json["detail"], "blog is not running: exit code 1 <\"\n>.");
        assert_eq!(rendered("*/*").0, "text/plain; charset=utf-8");
    }

    #[test]
    fn a_host_in_a_page_is_text() {
        let page = Answer::no_such_host("<script>alert(1)</script>").html();
        assert!(!page.contains("<script>"), "{page}");
    }
}
