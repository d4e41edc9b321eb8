//! Terminals that are open in an app keep it awake.

use crate::ground::Ground;
use async_trait::async_trait;
use node::ExecControl;
use std::sync::Arc;
use types::{AppId, Result};

/// A terminal in an app, which keeps it awake.
struct Terminal {
    ground: Arc<Ground>,
    app: AppId,
    control: Box<dyn ExecControl>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut open = self.ground.sleeping.terminals.lock().expect("no panic while held");
        if let Some(number) = open.get_mut(&self.app) {
            *number -= 1;
            if *number == 0 {
                open.remove(&self.app);
            }
        }
    }
}

#[async_trait]
impl ExecControl for Terminal {
    async fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        self.control.resize(columns, rows).await
    }
    async fn exit_code(&self) -> Result<Option<i64>> {
        self.control.exit_code().await
    }
}

/// The same control; as long as it is there, the app is in use.
pub(crate) fn while_open(ground: &Arc<Ground>, app: &AppId, control: Box<dyn ExecControl>) -> Box<dyn ExecControl> {
    let mut open = ground.sleeping.terminals.lock().expect("no panic while held");
    *open.entry(app.clone()).or_default() += 1;
    Box::new(Terminal {
        ground: ground.clone(),
        app: app.clone(),
        control,
    })
}
