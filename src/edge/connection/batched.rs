//! A connection of HTTP/2, whose answers share packets.

use super::Connection;
use async_trait::async_trait;
use pingora::protocols::Shutdown;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// A connection of HTTP/2. The protocol's library flushes after each frame, but many streams may have an answer ready
/// at once; so a flush is put off until all of them have written, and their answers share packets and TLS records.
#[derive(Clone)]
pub(crate) struct Batched(Arc<Mutex<Connection>>);

impl Batched {
    pub(crate) fn new(connection: Connection) -> Batched {
        Batched(Arc::new(Mutex::new(connection)))
    }
    /// Runs `work`, which owns a clone of this, and flushes whenever it has nothing more to do for now.
    pub(crate) async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        std::future::poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            // A broken connection shows itself at the next read or write.
            let _ = Pin::new(&mut *self.lock()).poll_flush(context);
            polled
        })
        .await
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.0.lock().expect("no panic under this lock")
    }
}

impl AsyncRead for Batched {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(context, buffer)
    }
}

impl AsyncWrite for Batched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(context, data)
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Batched {
    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}
