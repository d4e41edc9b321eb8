//! How much a piece of work asks of the store: what can be counted where time cannot be told.
//!
//! Two answers that must not be told apart must also have cost the same. A clock says so only over many of them; this says it of each.

use std::{cell::Cell, future::Future};

/// What was asked of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// How often it was asked for a record, for several, or for who holds a claim (with that record).
    pub look_ups: u32,
    /// Records that were read on the way.
    pub records: u32,
    /// Batches that were to be written.
    pub batches: u32,
}

tokio::task_local! {
    /// Of the work that is under way in this task.
    static EFFORT: Cell<Effort>;
}

/// Does `work` and says what it asked of the store. What it spawns is not counted.
pub async fn counted<T>(work: impl Future<Output = T>) -> (T, Effort) {
    let counting = async {
        let done = work.await;
        (done, EFFORT.with(Cell::get))
    };
    EFFORT.scope(Cell::default(), counting).await
}

pub(crate) fn note(add: impl FnOnce(&mut Effort)) {
    // Nobody counts what the panel does by itself.
    let _ = EFFORT.try_with(|cell| {
        let mut effort = cell.get();
        add(&mut effort);
        cell.set(effort);
    });
}
