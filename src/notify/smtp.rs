//! One mail over SMTP (RFC 5321), by lettre: a connection of its own, closed behind it. The panel sends few.

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error as SmtpError,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use std::time::Duration;
use types::{Error, MailSecurity, Result, Secret};

/// Of one step: connecting, or an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Of all of it.
const WHOLE: Duration = Duration::from_secs(60);

/// A server that takes mail.
#[derive(Debug, Clone)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub security: MailSecurity,
    pub login: Option<(String, Secret)>,
    /// `panel@example.com` or `serverkit <panel@example.com>`.
    pub from: String,
    /// Of the authority that signed its certificate, if it is not a public one.
    pub ca_pem: Option<String>,
}

/// A mail to one person, in plain text.
#[derive(Debug, Clone)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
    /// Before the `@` of its `Message-ID`; a letter that is sent again keeps it, so that nobody gets it twice.
    pub id: String,
}

/// Fails with `Invalid` when mail cannot come from this.
pub fn check_sender(from: &str) -> Result<()> {
    sender(from).map(|_| ())
}

fn sender(from: &str) -> Result<Mailbox> {
    let wrong = |_| Error::invalid("from", "must be like panel@example.com or serverkit <panel@example.com>");
    from.parse().map_err(wrong)
}

/// Hands `mail` to the server. Fails with `Invalid` for what can never be sent, with `Unavailable` in words else.
pub async fn send(server: &Server, mail: &Mail) -> Result<()> {
    let from = sender(&server.from)?;
    let domain = from.email.domain().to_owned();
    let message = message(from, &domain, mail)?;
    let tls = |_| Error::invalid("ca_pem", "this certificate cannot be used for TLS");
    let mut parameters = TlsParameters::builder(server.host.clone());
    if let Some(pem) = &server.ca_pem {
        parameters = parameters.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(tls)?);
    }
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.clone())
        .port(server.port)
        .timeout(Some(PATIENCE))
        .hello_name(ClientId::Domain(domain))
        .tls(match server.security {
            MailSecurity::StartTls => Tls::Required(parameters.build().map_err(tls)?),
            MailSecurity::Tls => Tls::Wrapper(parameters.build().map_err(tls)?),
            MailSecurity::Plain => Tls::None,
        });
    if let Some((user, password)) = &server.login {
        let password = password.expose_str().unwrap_or_default().to_owned();
        transport = transport.credentials(Credentials::new(user.clone(), password));
    }
    let sent = tokio::time::timeout(WHOLE, transport.build().send(message)).await;
    match sent {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(explained(server, error)),
        Err(_) => Err(Error::unavailable(format!("{}:{} took too long", server.host, server.port))),
    }
}

fn message(from: Mailbox, domain: &str, mail: &Mail) -> Result<Message> {
    let to: Mailbox = mail
        .to
        .parse()
        .map_err(|_| Error::invalid("to", format!("`{}` is no mail address", mail.to)))?;
    let mut message = Message::builder()
        .from(from)
        .to(to)
        .subject(mail.subject.as_str())
        .message_id(Some(format!("<{}@{domain}>", mail.id)))
        .date_now()
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text.clone())
        .map_err(|error| Error::internal("writing a mail", error))?;
    // Nobody's absence notice answers it (RFC 3834).
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    message
        .headers_mut()
        .insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
    Ok(message)
}

/// In one sentence, with what the server said.
fn explained(server: &Server, error: SmtpError) -> Error {
    let place = format!("{}:{}", server.host, server.port);
    let said = {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = inner.source();
        }
        text.replace(['\r', '\n'], " ")
    };
    let code = error.status().map(|code| code.to_string());
    let what = match code.as_deref() {
        Some("535" | "534" | "530" | "538") => format!("{place} does not take this user and password: {said}"),
        Some(_) => format!("{place} refuses the mail: {said}"),
        None if error.is_tls() || said.contains("certificate") => format!("no safe connection to {place}: {said}"),
        None if error.is_timeout() => format!("{place} does not answer in time"),
        None => format!("{place} cannot be used for mail: {said}"),
    };
    Error::unavailable(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};

    fn mail() -> Mail {
        Mail {
            to: "Ada Lovelace <ada@example.com>".into(),
            subject: "Grüße from the panel".into(),
            text: "line one\n.\nline three\n".into(),
            id: "let_1".into(),
        }
    }

    fn server(port: u16) -> Server {
        Server {
            host: "127.0.0.1".into(),
            port,
            security: MailSecurity::Plain,
            login: None,
            from: "serverkit <panel@example.com>".into(),
            ca_pem: None,
        }
    }

    /// Answers each line by a table and hands on what it was told.
    fn peer(answers: &'static [(&'static str, &'static str)]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody");
            let mut heard = Vec::new();
            let lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
            stream.write_all(b"220 here\r\n").expect("written");
            let mut in_data = false;
            for line in lines {
                let Ok(line) = line else { break };
                heard.push(line.clone());
                in_data = in_data && line != ".";
                if in_data {
                    continue;
                }
                let found = answers.iter().find(|(begin, _)| line.starts_with(begin));
                let answer = found.map_or("250 fine", |(_, answer)| answer);
                in_data = line == "DATA";
                if stream.write_all(format!("{answer}\r\n").as_bytes()).is_err() {
                    break;
                }
            }
            heard
        });
        (port, heard)
    }

    #[tokio::test]
    async fn a_mail_as_it_should_be() {
        let (port, heard) = peer(&[("DATA", "354 go on"), ("QUIT", "221 bye")]);
        send(&server(port), &mail()).await.expect("sent");
        let heard = heard.join().expect("the peer ends");
        let all = heard.join("\n");
        for part in [
            "EHLO example.com",
            "MAIL FROM:<panel@example.com>",
            "RCPT TO:<ada@example.com>",
            "Message-ID: <let_1@example.com>",
            "Auto-Submitted: auto-generated",
            "Subject: =?utf-8?",
            "\n..\n",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said() {
        let (port, _) = peer(&[("RCPT", "550 no such box")]);
        let error = send(&server(port), &mail()).await.expect_err("refused").to_string();
        assert!(error.contains("refuses the mail") && error.contains("no such box"), "{error}");
        let error = send(&server(1), &mail()).await.expect_err("nobody is there").to_string();
        assert!(error.starts_with("127.0.0.1:1 cannot be used for mail"), "{error}");
        let (port, _) = peer(&[]);
        let strict = Server {
            security: MailSecurity::StartTls,
            ..server(port)
        };
        assert!(
            matches!(send(&strict, &mail()).await, Err(Error::Unavailable { .. })),
            "no TLS, no mail"
        );
        let bad = Server {
            from: "nobody".into(),
            ..server(port)
        };
        assert!(send(&bad, &mail()).await.expect_err("no sender").to_string().starts_with("from: "));
    }
}
