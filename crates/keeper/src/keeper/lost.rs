//! Requests that an engine took and noted nowhere: it was broken, or worse. Their readers would
//! wait for as long as the connection lives, whoever serves it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use debridfs_handover::journal::Origin;
use debridfs_handover::{InHeader, Recovery};

use super::Keeper;
use crate::connection::Connection;
use crate::options::Level;
use crate::wire;

/// Looks at kernel and journal until they agree: a request that comes between the two is counted
/// by one of them.
const LOOKS: u32 = 3;

impl Keeper {
    /// Something is still to be done about the last engine before the next gets the connection.
    pub(super) fn is_unsettled(&self) -> bool {
        self.recount || self.processes.offspring.is_expected()
    }

    /// Does it. What an engine left behind could still take requests, so that comes first.
    pub(super) fn settle(&mut self, now: Instant) {
        self.processes.end_offspring(now);
        if self.recount && !self.processes.offspring.is_expected() {
            self.recount = false;
            self.ask_for_what_was_lost(now);
        }
    }

    /// After the end of an engine: if the kernel waits for other answers than the journal has
    /// requests, asks for all of them again (`FUSE_NOTIFY_RESEND`, Linux 6.9). What was noted keeps
    /// its age and its suspicion.
    pub(super) fn ask_for_what_was_lost(&mut self, now: Instant) {
        let Some(connection) = &self.connection else {
            return;
        };
        if self.options.recovery != Recovery::Journal {
            return;
        }
        let stand_in = &mut self.stand_in;
        let agree = (0..LOOKS).any(|_| {
            stand_in.take_all(connection);
            stand_in.look_at_slots(connection, false, Duration::ZERO, now);
            // Where the kernel can't be asked (no root) the journal is believed.
            let unanswered = connection.unanswered();
            unanswered.is_none_or(|unanswered| unanswered == noted(connection).len())
        });
        if agree {
            return;
        }
        let noted = noted(connection);
        if connection.resend().is_err() {
            // An older kernel. Who waits in vain can be ended, which an interrupt answers.
            let text =
                "the engine may have lost requests; a process that waits for one can be killed";
            self.log.line(Level::Warn, text);
            return;
        }
        connection.journal.empty();
        self.stand_in.expect(noted);
        self.stand_in.take_all(connection);
        let text = "the journal is not what the kernel waits for: all was asked for again";
        self.log.line(Level::Warn, text);
    }
}

/// What the journal has that wants an answer, by number.
fn noted(connection: &Connection) -> HashMap<u64, Origin> {
    let held = connection.journal.held().into_iter();
    held.filter_map(|held| {
        let header = InHeader::decode(&held.request)?;
        let origin = Origin {
            fd: 0,
            ..held.origin
        };
        wire::is_answered(header.opcode).then_some((header.unique | wire::RESENT, origin))
    })
    .collect()
}
