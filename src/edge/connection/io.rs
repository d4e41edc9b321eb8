//! A socket of one kind or another, whole or split.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream, tcp, unix},
};
use tokio_rustls::{client, server::TlsStream};

/// A socket of one kind or another.
pub(crate) enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// TLS that we asked for.
    TlsOut(Box<client::TlsStream<TcpStream>>),
    Unix(UnixStream),
    /// Split, so that a body can be written while the answer is read.
    Split(ReadHalf, SharedWriter),
    Gone,
}

pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Tls(tokio::io::ReadHalf<Box<client::TlsStream<TcpStream>>>),
    Unix(unix::OwnedReadHalf),
}

pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Tls(tokio::io::WriteHalf<Box<client::TlsStream<TcpStream>>>),
    Unix(unix::OwnedWriteHalf),
}

/// The writing side of a split socket, for the session that writes the head and the task that writes the body.
#[derive(Clone)]
pub(crate) struct SharedWriter(pub(super) Arc<Mutex<WriteHalf>>);

impl AsyncWrite for SharedWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.0.lock().expect("no panic under this lock") {
            WriteHalf::Tcp(half) => Pin::new(half).poll_write(context, data),
            WriteHalf::Tls(half) => Pin::new(half).poll_write(context, data),
            WriteHalf::Unix(half) => Pin::new(half).poll_write(context, data),
        }
    }
    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut *self.0.lock().expect("no panic under this lock") {
            WriteHalf::Tcp(half) => Pin::new(half).poll_write_vectored(context, data),
            WriteHalf::Tls(half) => Pin::new(half).poll_write_vectored(context, data),
            WriteHalf::Unix(half) => Pin::new(half).poll_write_vectored(context, data),
        }
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.lock().expect("no panic under this lock") {
            WriteHalf::Tls(half) => Pin::new(half).poll_flush(context),
            _ => Poll::Ready(Ok(())), // sockets do not buffer
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.lock().expect("no panic under this lock") {
            WriteHalf::Tcp(half) => Pin::new(half).poll_shutdown(context),
            WriteHalf::Tls(half) => Pin::new(half).poll_shutdown(context),
            WriteHalf::Unix(half) => Pin::new(half).poll_shutdown(context),
        }
    }
}

impl Io {
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::TlsOut(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Split(ReadHalf::Tcp(half), _) => Pin::new(half).poll_read(context, buffer),
            Io::Split(ReadHalf::Tls(half), _) => Pin::new(half).poll_read(context, buffer),
            Io::Split(ReadHalf::Unix(half), _) => Pin::new(half).poll_read(context, buffer),
            Io::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Io::Tcp(stream) => Pin::new(stream).poll_write(context, data),
            Io::Tls(stream) => Pin::new(stream).poll_write(context, data),
            Io::TlsOut(stream) => Pin::new(stream).poll_write(context, data),
            Io::Unix(stream) => Pin::new(stream).poll_write(context, data),
            Io::Split(_, writer) => Pin::new(writer).poll_write(context, data),
            Io::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
    pub(super) fn poll_write_vectored(&mut self, context: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Io::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, data),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(context, data),
            Io::TlsOut(stream) => Pin::new(stream).poll_write_vectored(context, data),
            Io::Unix(stream) => Pin::new(stream).poll_write_vectored(context, data),
            Io::Split(_, writer) => Pin::new(writer).poll_write_vectored(context, data),
            Io::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Tls(stream) => Pin::new(stream).poll_flush(context),
            Io::TlsOut(stream) => Pin::new(stream).poll_flush(context),
            Io::Split(_, writer) => Pin::new(writer).poll_flush(context),
            _ => Poll::Ready(Ok(())), // sockets do not buffer
        }
    }
    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Io::TlsOut(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Split(_, writer) => Pin::new(writer).poll_shutdown(context),
            Io::Gone => Poll::Ready(Ok(())),
        }
    }
}
