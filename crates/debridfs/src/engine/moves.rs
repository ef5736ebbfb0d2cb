//! Moves between accounts, as they are configured.

use std::sync::Arc;

use debridfs_acquire::Acquire;
use debridfs_base::volume::Volume;
use debridfs_base::{Late, SystemClock, Trouble};
use debridfs_config::Config;
use debridfs_repair::{LibraryWard, Moves};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use super::trouble::of_state;

/// Moves, and what they are made of.
#[derive(Clone)]
pub struct Moving {
    /// Settings.
    pub config: Arc<Config>,
    /// The library whose releases are moved.
    pub parts: Arc<Parts>,
    /// Moves, once they are open.
    pub moves: Late<Moves>,
}

impl Moving {
    /// Opens them unless they are open, and goes on until `shutdown`.
    ///
    /// # Errors
    /// Why they cannot be opened, or that they ended.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Trouble> {
        let moves = match self.moves.get() {
            Some(moves) => moves.clone(),
            None => {
                let moves = self.open().await?;
                self.moves.set(moves.clone());
                moves
            }
        };
        moves.run(shutdown).await;
        Err(Trouble::of_end())
    }

    async fn open(&self) -> Result<Arc<Moves>, Trouble> {
        let parts = &self.parts;
        let ward = LibraryWard::new(
            parts.catalogue.clone(),
            parts.content.clone(),
            parts.providers.clone(),
            Vec::new(),
            Late::<Acquire>::default(),
        );
        let path = self.config.state_dir.join("moves.json");
        let place = path.clone();
        let open = move || Moves::open(&place, Arc::new(ward), Arc::new(SystemClock));
        let opened = Volume::state().run(&path, open).await;
        let opened = opened.map_err(|error| of_state(&self.config, error))?;
        opened.map_err(|error| of_state(&self.config, error))
    }
}
