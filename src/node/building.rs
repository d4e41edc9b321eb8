//! A build on any engine: the context is packed here while it is sent there.

use crate::Lines;
use docker::Docker;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio_util::io::SyncIoBridge;
use types::{BuildSpec, Doing, Error, Image, Result};

/// Bytes between the one who packs the context and the one who sends it.
const PIPE: usize = 256 << 10;

/// The context takes neither disk nor memory here.
pub(crate) async fn build(docker: &Docker, spec: &BuildSpec, lines: &Lines) -> Result<Image> {
    let (reader, writer) = tokio::io::duplex(PIPE);
    let is_cut = Arc::new(AtomicBool::new(false));
    let context = reader.chain(Verdict(is_cut.clone()));
    let (folder, dockerfile) = (spec.context.clone(), spec.dockerfile.clone());
    let mut writer = SyncIoBridge::new(writer);
    let packing = tokio::task::spawn_blocking(move || {
        let packed = build::pack(&folder, &dockerfile, &mut writer);
        is_cut.store(packed.is_err(), Ordering::Release);
        packed
    });
    let built = docker.image_build(spec, context, lines).await;
    match packing.await.doing("packing the build context")? {
        // The build needed no more of it; or it ended early, and says itself why.
        Err(error) if is_broken_pipe(&error) => built,
        Err(error) => Err(error),
        Ok(_) => built,
    }
}

/// Follows the packed context: nothing, or a failure when it was cut short. Without it the engine would take what came
/// for all there is.
struct Verdict(Arc<AtomicBool>);

impl AsyncRead for Verdict {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.0.load(Ordering::Acquire) {
            true => Err(io::Error::other("the build context could not be packed")),
            false => Ok(()),
        })
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let Error::Internal { source, .. } = error else {
        return false;
    };
    source
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cut_context_is_a_failure() {
        for is_cut in [false, true] {
            let mut read = Vec::new();
            let mut context = (&b"tar"[..]).chain(Verdict(Arc::new(AtomicBool::new(is_cut))));
            assert_eq!(context.read_to_end(&mut read).await.is_err(), is_cut);
            assert_eq!(read, b"tar");
        }
    }

    #[test]
    fn only_a_broken_pipe_is_the_readers_doing() {
        let of = |kind: io::ErrorKind| is_broken_pipe(&Error::internal("packing", io::Error::from(kind)));
        assert!(of(io::ErrorKind::BrokenPipe) && !of(io::ErrorKind::PermissionDenied));
        assert!(!is_broken_pipe(&Error::Cancelled));
    }
}
