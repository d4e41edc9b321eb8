//! The PROXY protocol: who a connection is from, told in its first bytes by the proxy in front, and to the app behind.
//! Source: haproxy's `doc/proxy-protocol.txt`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::net::TcpStream;
use types::ProxyVersion;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1.
const LINE: usize = 107;
/// The longest header of version 2 that is read: addresses, and room for what else a proxy tells.
const LARGEST: usize = 2048;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Client and server; `None`: the proxy speaks for itself, or does not know.
    pub between: Option<(SocketAddr, SocketAddr)>,
    /// Bytes of the header.
    pub size: usize,
}

/// Reads a header at the front of `bytes`. `Ok(None)`: more bytes are needed. `Err`: there is none, in words.
pub fn read(bytes: &[u8]) -> Result<Option<Told>, &'static str> {
    let begin = bytes.len().min(SIGNATURE.len());
    if bytes[..begin] == SIGNATURE[..begin] {
        return if begin < SIGNATURE.len() { Ok(None) } else { read_v2(bytes) };
    }
    let begin = bytes.len().min(6);
    if bytes[..begin] != b"PROXY "[..begin] {
        return Err("it does not begin with a header of the PROXY protocol");
    }
    let window = &bytes[..bytes.len().min(LINE)];
    match window.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => Ok(Some(Told {
            between: read_v1(&window[6..end.max(6)])?,
            size: end + 2,
        })),
        None if bytes.len() < LINE => Ok(None),
        None => Err("the line is too long"),
    }
}

fn read_v1(line: &[u8]) -> Result<Option<(SocketAddr, SocketAddr)>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "the line is not ASCII")?;
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let mut address = || -> Option<IpAddr> {
        let address: IpAddr = words.next()?.parse().ok()?;
        (address.is_ipv4() == (family == "TCP4")).then_some(address)
    };
    let (from, to) = (address(), address());
    let mut port = || -> Option<u16> { words.next()?.parse().ok() };
    let ports = (port(), port());
    match (family, from, to, ports, words.next()) {
        ("TCP4" | "TCP6", Some(from), Some(to), (Some(from_port), Some(to_port)), None) => {
            Ok(Some((SocketAddr::new(from, from_port), SocketAddr::new(to, to_port))))
        }
        _ => Err("the line cannot be read"),
    }
}

fn read_v2(bytes: &[u8]) -> Result<Option<Told>, &'static str> {
    let Some(&[command, family, high, low]) = bytes.get(12..16) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || command & 0xf > 1 {
        return Err("its version or command is not known");
    }
    if length > LARGEST {
        return Err("the header is too long");
    }
    let Some(body) = bytes.get(16..16 + length) else {
        return Ok(None);
    };
    let port = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    let between = match (command & 0xf, family >> 4) {
        (0, _) => None,
        (_, 1) => {
            let address = |at: usize| -> Option<Ipv4Addr> { Some(<[u8; 4]>::try_from(body.get(at..at + 4)?).ok()?.into()) };
            let read = || {
                Some((
                    SocketAddr::new(address(0)?.into(), port(8)?),
                    SocketAddr::new(address(4)?.into(), port(10)?),
                ))
            };
            Some(read().ok_or("its addresses are cut off")?)
        }
        (_, 2) => {
            let address = |at: usize| -> Option<Ipv6Addr> { Some(<[u8; 16]>::try_from(body.get(at..at + 16)?).ok()?.into()) };
            let read = || {
                Some((
                    SocketAddr::new(address(0)?.into(), port(32)?),
                    SocketAddr::new(address(16)?.into(), port(34)?),
                ))
            };
            Some(read().ok_or("its addresses are cut off")?)
        }
        _ => None,
    };
    Ok(Some(Told {
        between,
        size: 16 + length,
    }))
}

/// The header for a connection between a client and us; `None`: it is our own.
pub fn header(version: ProxyVersion, between: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let between = between.map(|(from, to)| {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        (plain(from), plain(to))
    });
    // Both must be of one family.
    let between = between.filter(|(from, to)| from.is_ipv4() == to.is_ipv4());
    match (version, between) {
        (ProxyVersion::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
        (ProxyVersion::V1, Some((from, to))) => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()).into_bytes()
        }
        (ProxyVersion::V2, between) => {
            let mut out = SIGNATURE.to_vec();
            match between {
                None => out.extend_from_slice(&[0x20, 0, 0, 0]),
                Some((from, to)) => {
                    out.push(0x21);
                    match (from.ip(), to.ip()) {
                        (IpAddr::V4(from), IpAddr::V4(to)) => {
                            out.extend_from_slice(&[0x11, 0, 12]);
                            out.extend_from_slice(&from.octets());
                            out.extend_from_slice(&to.octets());
                        }
                        (from, to) => {
                            out.extend_from_slice(&[0x21, 0, 36]);
                            for address in [from, to] {
                                if let IpAddr::V6(address) = address {
                                    out.extend_from_slice(&address.octets());
                                }
                            }
                        }
                    }
                    out.extend_from_slice(&from.port().to_be_bytes());
                    out.extend_from_slice(&to.port().to_be_bytes());
                }
            }
            out
        }
    }
}

/// Takes the header off a new connection. Fails when there is none.
pub(crate) async fn accept(stream: &mut TcpStream) -> io::Result<Told> {
    let mut bytes = vec![0; 16 + LARGEST];
    loop {
        let n = stream.peek(&mut bytes).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match read(&bytes[..n]) {
            Ok(Some(told)) => {
                tokio::io::AsyncReadExt::read_exact(stream, &mut bytes[..told.size]).await?;
                return Ok(told);
            }
            // Peeking returns at once what is there already, so the wait for more is a short sleep.
            Ok(None) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            Err(why) => return Err(io::Error::other(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let four: SocketAddr = "192.0.2.1:1234".parse().expect("address");
        let other: SocketAddr = "198.51.100.2:443".parse().expect("address");
        let six: SocketAddr = "[2001:db8::1]:5".parse().expect("address");
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:1234".parse().expect("address");
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            for (between, told) in [
                (Some((four, other)), Some((four, other))),
                (Some((mapped, other)), Some((four, other))),
                (Some((six, six)), Some((six, six))),
                (Some((six, four)), None),
                (None, None),
            ] {
                let mut bytes = header(version, between);
                let size = bytes.len();
                for cut in 0..size {
                    assert_eq!(read(&bytes[..cut]), Ok(None), "cut to {cut}");
                }
                bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
                assert_eq!(read(&bytes), Ok(Some(Told { between: told, size })));
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            b"PROXY \r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x01\x02\x03\x04",
            long.as_bytes(),
        ] {
            assert!(read(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(
            read(b"PROXY UNKNOWN anything\r\n").map(|told| told.map(|told| told.between)),
            Ok(Some(None))
        );
    }
}
