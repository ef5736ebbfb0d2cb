//! What a backend has to answer before it is let at the kernel's requests.

use std::time::Duration;

use debridfs_handover::InHeader;
use debridfs_vfs::{NodeId, Vfs};

use crate::backend::{Backend, Call, Outcome};
use crate::wire::{Opcode, Reply};

/// Lets a backend answer two requests whose answers are always at hand, and looks at the replies.
pub(crate) fn trial(backend: &dyn Backend, vfs: &dyn Vfs) -> Result<(), String> {
    let mut reply = Reply::new();
    let mut ask = |opcode: Opcode, arguments: &[u8]| {
        reply.clear();
        let request = request_of_root(opcode, arguments);
        let left = Duration::from_secs(1);
        let request = &request;
        let call = Call { request, left };
        match backend.answer(call, &mut reply) {
            Outcome::Ready if reply.errno() == 0 => Ok(reply.body().clone()),
            Outcome::Ready => Err(format!("{} fails with {}", opcode.name(), reply.errno())),
            Outcome::Later(_) => Err(format!("{} has to wait", opcode.name())),
        }
    };
    let mut expected = Reply::new();
    crate::wire::statfs_out(expected.body(), &vfs.statfs());
    let got = ask(Opcode::StatFs, &[])?;
    if got.len() != expected.body().len() {
        return Err(format!("STATFS is answered with {} bytes", got.len()));
    }
    ask(Opcode::Access, &[0; 8])?;
    Ok(())
}

/// A request about the root as the kernel sends it.
fn request_of_root(opcode: Opcode, arguments: &[u8]) -> Vec<u8> {
    let length = (InHeader::LEN + arguments.len()) as u32;
    let mut out = Vec::with_capacity(length as usize);
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&(opcode as u32).to_ne_bytes());
    // unique
    out.extend_from_slice(&2u64.to_ne_bytes());
    out.extend_from_slice(&NodeId::ROOT.0.to_ne_bytes());
    // uid, gid, pid, and the extensions' length with its padding
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(arguments);
    out
}

#[cfg(test)]
mod tests {
    use debridfs_vfs::MemoryVfs;

    use super::*;

    /// Fails whatever it is asked.
    struct Broken;

    impl Backend for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }

        fn answer(&self, _: Call<'_>, reply: &mut Reply) -> Outcome {
            reply.fail(libc::EIO);
            Outcome::Ready
        }
    }

    #[test]
    fn a_backend_that_fails_its_trial_is_told_from_one_that_passes() {
        let vfs = MemoryVfs::new(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(trial(&Broken, &vfs), Err("STATFS fails with 5".into()));
    }
}
