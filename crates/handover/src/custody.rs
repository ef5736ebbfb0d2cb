use std::io;
use std::path::Path;

use crate::packet;
use crate::{
    Descriptors, EngineLink, FromKeeper, HandoverError, Lease, LeaseTerms, PROTOCOL, ToKeeper,
};

/// What an engine keeps of its lease, to give it back to a keeper that knows nothing of it.
#[derive(Debug)]
pub struct Custody {
    terms: LeaseTerms,
    fds: Descriptors,
}

impl Custody {
    /// Copies of all descriptors of `lease`.
    ///
    /// # Errors
    /// When the process may not open as many.
    pub fn of(lease: &Lease) -> io::Result<Custody> {
        Ok(Custody {
            terms: lease.terms.clone(),
            fds: lease.fds.try_clone()?,
        })
    }

    /// Gives the connection to the keeper that listens at `path`; the talk goes on with what is
    /// returned. Blocks until that keeper has answered.
    ///
    /// # Errors
    /// When none listens there ([`HandoverError::Connect`], [`HandoverError::Gone`]: try again), or
    /// it has a mount of its own already ([`HandoverError::Refused`]).
    pub fn give_back(&self, path: &Path, version: &str) -> Result<EngineLink, HandoverError> {
        let link = EngineLink {
            socket: packet::connect(path)?,
        };
        let message = ToKeeper::Return {
            protocol: PROTOCOL,
            version: version.to_owned(),
            terms: self.terms.clone(),
        };
        link.send_with(&message, &self.fds.in_order())?;
        match link.receive()? {
            FromKeeper::Returned => Ok(link),
            FromKeeper::Refused { reason } => Err(HandoverError::Refused(reason)),
            other => Err(HandoverError::Message(format!(
                "{other:?} instead of an answer to the return"
            ))),
        }
    }
}
