//! A door for a library that looks names up and connects by itself, as libgit2 does: what was looked at before could lead elsewhere by
//! then. It connects to the door, on a port of this machine, and the door looks the name up, asks of all that it leads to, and connects to
//! the very address that it asked of; each time again.
//!
//! Others on this machine may come to the door too: it leads nowhere that they could not go themselves, to one server alone, and adds no
//! login. They are let in up to a number, and not for long without saying what they want.

use crate::Egress;
use std::{
    io,
    net::{Ipv4Addr, TcpListener as Listener},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};
use types::{Error, Result};
use url::Url;

const CONNECTING: Duration = Duration::from_secs(15);
/// The head of a request or an answer is not larger.
const HEAD: usize = 64 << 10;
/// Connections at a time; whoever comes then waits. A library has one or two.
const INSIDE: usize = 32;

/// Where a door leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leads {
    /// It is a proxy for TLS and opens tunnels (`CONNECT`) to one server.
    Tunnels { host: String, port: u16 },
    /// Plain HTTP of one server. A request on each connection, and no redirection: whoever follows one goes without the door.
    Web { host: String, port: u16 },
    /// Whatever one server speaks.
    Server { host: String, port: u16 },
}

/// An open door; it shuts when it is dropped, with all that goes through it.
#[derive(Debug)]
pub struct Door {
    port: u16,
    failed: Failed,
    keeper: AbortHandle,
}

/// Why somebody did not get through, for who sees only that they did not.
type Failed = Arc<Mutex<Option<Error>>>;

impl Door {
    /// Opens one within the runtime that is entered. Fails where no port can be had.
    pub fn open(egress: &Egress, leads: Leads) -> io::Result<Door> {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let failed = Failed::default();
        let keeping = keep(TcpListener::from_std(listener)?, egress.clone(), leads, failed.clone());
        Ok(Door {
            port,
            failed,
            keeper: tokio::spawn(keeping).abort_handle(),
        })
    }

    /// On 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Why the first that did not get through did not; once.
    pub fn failure(&self) -> Option<Error> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(listener: TcpListener, egress: Egress, leads: Leads, failed: Failed) {
    let mut inside = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if inside.len() < INSIDE => match accepted {
                Ok((client, _)) => {
                    let (egress, leads, failed) = (egress.clone(), leads.clone(), failed.clone());
                    inside.spawn(async move {
                        if let Err(error) = lead(client, &egress, &leads, &failed).await {
                            note(&failed, error);
                        }
                    });
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = inside.join_next() => {}
        }
    }
}

fn note(failed: &Failed, error: Error) {
    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

async fn lead(mut client: TcpStream, egress: &Egress, leads: &Leads, failed: &Failed) -> Result<()> {
    match leads {
        Leads::Tunnels { host, port } => tunnel(client, egress, host, *port, failed).await,
        Leads::Web { host, port } => web(client, egress, host, *port, failed).await,
        Leads::Server { host, port } => {
            // What is wrong is known before the client sees its connection end.
            let connected = connected(egress, host, *port).await.map_err(|error| note(failed, error));
            if let Ok(mut server) = connected {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
            Ok(())
        }
    }
}

/// The first of its addresses that takes the connection, if all of them are admitted now.
async fn connected(egress: &Egress, host: &str, port: u16) -> Result<TcpStream> {
    let place = format!("{host}:{port}");
    let mut last = None;
    for address in egress.look_up(host, port).await? {
        match timeout(CONNECTING, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = Some(io::ErrorKind::TimedOut.into()),
        }
    }
    Err(match last {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => Error::unavailable(format!(
            "{place} refuses the connection: nothing listens there, or a firewall is in the way"
        )),
        Some(error) if error.kind() == io::ErrorKind::TimedOut => {
            Error::unavailable(format!("{place} does not answer ({} s)", CONNECTING.as_secs()))
        }
        Some(error) => Error::unavailable_by(format!("{place} takes no connection"), error),
        None => Error::unavailable(format!("the host {host} has no address")),
    })
}

async fn tunnel(mut client: TcpStream, egress: &Egress, host: &str, port: u16, failed: &Failed) -> Result<()> {
    let Some((asked, rest)) = asked(&mut client).await else {
        return Ok(());
    };
    let server = match wanted(&asked) {
        Some((name, number)) if name == host && number == port => connected(egress, host, port).await,
        Some((name, number)) => Err(Error::unavailable(format!("{name}:{number} is another server than {host}:{port}"))),
        None => Err(Error::unavailable("only tunnels lead through here")),
    };
    let mut server = match server {
        Ok(server) => server,
        Err(error) => {
            note(failed, error);
            let _ = client
                .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .await;
            return Ok(());
        }
    };
    let opened = client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
    if opened.is_ok() && server.write_all(&rest).await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
    Ok(())
}

/// `CONNECT host:port HTTP/1.1`.
fn wanted(head: &str) -> Option<(String, u16)> {
    let mut words = head.lines().next()?.split(' ');
    let (method, authority) = (words.next()?, words.next()?);
    let url = Url::parse(&format!("https://{authority}/")).ok()?;
    let is_plain = method == "CONNECT" && !authority.contains(['/', '?', '#', '@', '\\']);
    is_plain.then_some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

async fn web(mut client: TcpStream, egress: &Egress, host: &str, port: u16, failed: &Failed) -> Result<()> {
    let Some((asked, rest)) = asked(&mut client).await else {
        return Ok(());
    };
    let name = if port == 80 { host.to_owned() } else { format!("{host}:{port}") };
    let asked = request(&asked, &name).ok_or_else(|| Error::unavailable("this is no request over HTTP"))?;
    let mut server = match connected(egress, host, port).await {
        Ok(server) => server,
        Err(error) => {
            note(failed, error);
            return Ok(());
        }
    };
    if server.write_all(&bytes(&asked)).await.is_err() || server.write_all(&rest).await.is_err() {
        return Ok(());
    }
    let (mut of_client, mut to_client) = client.split();
    let (mut of_server, mut to_server) = server.split();
    let up = async {
        let _ = copy(&mut of_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
        // The answer ends it.
        std::future::pending::<()>().await;
    };
    let down = async {
        let Some((answered, rest)) = head(&mut of_server).await else {
            return;
        };
        match answer(&answered, &name) {
            Ok(answered) => {
                if to_client.write_all(&bytes(&answered)).await.is_ok() && to_client.write_all(&rest).await.is_ok() {
                    let _ = copy(&mut of_server, &mut to_client).await;
                }
            }
            Err(error) => note(failed, error),
        }
    };
    tokio::select! {
        () = down => {}
        () = up => {}
    }
    Ok(())
}

/// The head of a client's request, if it comes in time.
async fn asked(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    timeout(CONNECTING, head(client)).await.ok()?
}

/// The head of a message with the empty line at its end, a letter for each byte, and what came after it; `None` where it breaks off or
/// is too large.
async fn head(from: &mut (impl AsyncReadExt + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(at + 4);
            return Some((read.into_iter().map(char::from).collect(), rest));
        }
        if read.len() > HEAD || from.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

fn bytes(head: &str) -> Vec<u8> {
    head.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect()
}

/// The lines of a head. `None` where one ends in any other way: the client might see an end that is none here.
fn lines(head: &str) -> Option<Vec<&str>> {
    let lines: Vec<&str> = head.strip_suffix("\r\n\r\n")?.split("\r\n").collect();
    lines.iter().all(|line| !line.contains(['\r', '\n'])).then_some(lines)
}

fn name_of(line: &str) -> String {
    line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_of_the_connection(line: &str) -> bool {
    matches!(name_of(line).as_str(), "connection" | "keep-alive" | "proxy-connection")
}

/// The request as the server gets it: by its own name, and the only one on this connection.
fn request(head: &str, host: &str) -> Option<String> {
    let lines = lines(head)?;
    let (first, headers) = lines.split_first()?;
    first.contains(" HTTP/1.").then_some(())?;
    let kept = headers.iter().filter(|line| !is_of_the_connection(line) && name_of(line) != "host");
    let kept: String = kept.map(|line| format!("{line}\r\n")).collect();
    Some(format!("{first}\r\nHost: {host}\r\nConnection: close\r\n{kept}\r\n"))
}

/// Of `HTTP/1.1 200 OK`.
fn status(first: &str) -> Option<u16> {
    let word = first.strip_prefix("HTTP/1.")?.get(1..)?.strip_prefix(' ')?.split(' ').next()?;
    let is_one = word.len() == 3 && word.bytes().all(|letter| letter.is_ascii_digit());
    is_one.then(|| word.parse().ok())?
}

/// The answer as the client gets it: the last on this connection. Fails for one that sends the client elsewhere, and for what is none.
fn answer(head: &str, host: &str) -> Result<String> {
    let strange = || Error::unavailable(format!("{host} gives no answer over HTTP"));
    let lines = lines(head).ok_or_else(strange)?;
    let (first, headers) = lines.split_first().ok_or_else(strange)?;
    let status = status(first).ok_or_else(strange)?;
    match status {
        // Nobody asked for one before the answer, and another head would follow unseen.
        100..=199 => return Err(strange()),
        300..=399 if status != 304 => {
            let to = headers.iter().find(|line| name_of(line) == "location");
            let to = to.and_then(|line| Some(line.split_once(':')?.1.trim())).unwrap_or_default();
            let to: String = to.chars().filter(|letter| !letter.is_control()).take(200).collect();
            return Err(Error::invalid(
                "git",
                format!("{host} sends us on to another server or address ({to}); use the address there"),
            ));
        }
        _ => {}
    }
    let kept: String = headers
        .iter()
        .filter(|line| !is_of_the_connection(line))
        .map(|line| format!("{line}\r\n"))
        .collect();
    Ok(format!("{first}\r\nConnection: close\r\n{kept}\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bounds, Resolver};
    use std::{
        net::IpAddr,
        sync::atomic::{AtomicUsize, Ordering},
    };

    /// Of a name that leads to each of these in turn, the last for ever; 127.0.0.2 alone is open.
    fn egress(leads_to: &'static [[u8; 4]]) -> Egress {
        let asked = AtomicUsize::new(0);
        let resolver = Resolver::told(move |_| {
            let at = asked.fetch_add(1, Ordering::SeqCst).min(leads_to.len() - 1);
            vec![IpAddr::from(leads_to[at])]
        });
        Egress::public(Bounds {
            open: vec!["127.0.0.2/32".parse().expect("a network")],
            resolver,
            ..Bounds::default()
        })
    }

    /// Answers every connection with what it heard, and `said` before it; on the port that it returns.
    async fn listener(address: &str, said: &'static str) -> u16 {
        let listener = TcpListener::bind((address, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut heard = vec![0; 1024];
                let length = stream.read(&mut heard).await.unwrap_or(0);
                let _ = stream.write_all(said.as_bytes()).await;
                let _ = stream.write_all(&heard[..length]).await;
            }
        });
        port
    }

    async fn through(door: &Door, says: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, door.port())).await.expect("open");
        stream.write_all(says.as_bytes()).await.expect("taken");
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        String::from_utf8_lossy(&heard).into_owned()
    }

    const OPEN: &[[u8; 4]] = &[[127, 0, 0, 2]];
    const TURNS: &[[u8; 4]] = &[[127, 0, 0, 2], [127, 0, 0, 1]];

    #[tokio::test]
    async fn it_connects_to_what_it_asked_of() {
        let port = listener("127.0.0.2", "").await;
        let leads = Leads::Server {
            host: "forge.example".into(),
            port,
        };
        let door = Door::open(&egress(OPEN), leads).expect("open");
        assert_eq!(through(&door, "hello").await, "hello");
        assert!(door.failure().is_none());
    }

    #[tokio::test]
    async fn a_name_that_turns_inside_leads_nowhere() {
        let port = listener("127.0.0.1", "").await;
        for leads in [
            Leads::Server {
                host: "forge.example".into(),
                port,
            },
            Leads::Web {
                host: "forge.example".into(),
                port,
            },
            Leads::Tunnels {
                host: "forge.example".into(),
                port,
            },
        ] {
            let egress = egress(TURNS);
            // As it is looked at before.
            assert!(egress.addresses("forge.example", port).is_ok());
            let door = Door::open(&egress, leads.clone()).expect("open");
            let says = match leads {
                Leads::Tunnels { .. } => format!("CONNECT forge.example:{port} HTTP/1.1\r\n\r\n"),
                _ => "GET / HTTP/1.1\r\n\r\n".to_owned(),
            };
            let heard = through(&door, &says).await;
            assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 502"), "{leads:?}: {heard}");
            let why = door.failure().expect("it was refused").to_string();
            assert!(why.contains("forge.example leads to an inner address"), "{leads:?}: {why}");
        }
    }

    #[tokio::test]
    async fn tunnels_are_asked_of_each_by_itself() {
        let port = listener("127.0.0.2", "").await;
        let leads = Leads::Tunnels {
            host: "forge.example".into(),
            port,
        };
        let door = Door::open(&egress(OPEN), leads).expect("open");
        let heard = through(&door, &format!("CONNECT forge.example:{port} HTTP/1.1\r\nHost: x\r\n\r\nhello")).await;
        assert_eq!(heard, "HTTP/1.1 200 Connection established\r\n\r\nhello");
        assert!(door.failure().is_none());
        let another = listener("127.0.0.2", "").await;
        for asked in [
            "GET http://forge.example/ HTTP/1.1",
            "CONNECT",
            "CONNECT a@b:1 HTTP/1.1",
            &format!("CONNECT forge.example:{another} HTTP/1.1"),
            &format!("CONNECT other.example:{port} HTTP/1.1"),
        ] {
            let heard = through(&door, &format!("{asked}\r\n\r\n")).await;
            assert!(heard.starts_with("HTTP/1.1 502"), "{asked}: {heard}");
        }
    }

    #[tokio::test]
    async fn only_so_many_are_inside_at_a_time() {
        let port = listener("127.0.0.2", "").await;
        let leads = Leads::Tunnels {
            host: "forge.example".into(),
            port,
        };
        let door = Door::open(&egress(OPEN), leads).expect("open");
        let mut silent = Vec::new();
        for _ in 0..INSIDE {
            silent.push(TcpStream::connect((Ipv4Addr::LOCALHOST, door.port())).await.expect("open"));
        }
        let asked = format!("CONNECT forge.example:{port} HTTP/1.1\r\n\r\nhello");
        let mut late = std::pin::pin!(through(&door, &asked));
        assert!(timeout(Duration::from_millis(300), &mut late).await.is_err(), "it waits");
        // One goes away.
        silent.pop();
        assert_eq!(late.await, "HTTP/1.1 200 Connection established\r\n\r\nhello");
    }

    #[tokio::test]
    async fn a_request_is_for_the_server_by_its_name() {
        let said = "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nX-A: 1\r\n\r\n";
        let port = listener("127.0.0.2", said).await;
        let leads = Leads::Web {
            host: "forge.example".into(),
            port,
        };
        let door = Door::open(&egress(OPEN), leads).expect("open");
        let heard = through(&door, "GET /x HTTP/1.1\r\nHost: 127.0.0.1:9\r\nAccept: */*\r\n\r\n").await;
        let asked = format!("GET /x HTTP/1.1\r\nHost: forge.example:{port}\r\nConnection: close\r\nAccept: */*\r\n\r\n");
        assert_eq!(heard, format!("HTTP/1.1 200 OK\r\nConnection: close\r\nX-A: 1\r\n\r\n{asked}"));
    }

    #[test]
    fn answers_that_lead_on_do_not_get_through() {
        let shown = |head: &str| answer(head, "forge.example").map_err(|error| error.to_string());
        let led = shown("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9100/\r\n\r\n").expect_err("elsewhere");
        assert!(
            led.contains("sends us on to another server") && led.contains("127.0.0.1:9100"),
            "{led}"
        );
        for strange in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\n\nHTTP/1.1 302 Found\r\n\r\n",
            "HTTP/1.1 200 OK\rX: 1\r\n\r\n",
            "\r\nHTTP/1.1 302 Found\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(shown(strange).is_err(), "{strange:?}");
        }
        assert!(shown("HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n").is_ok());
    }
}
