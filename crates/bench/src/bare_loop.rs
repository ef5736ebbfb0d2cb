//! The floor of a round trip: a FUSE server that reads a request, answers it from constants, and does nothing else.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use crate::Result;

/// `struct fuse_in_header` and `struct fuse_out_header` (include/uapi/linux/fuse.h).
const IN_HEADER: usize = 40;
const OUT_HEADER: usize = 16;
/// Opcodes of the same file.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;
const STATX: u32 = 52;
/// Id of the one file; its name does not matter.
const FILE: u64 = 2;

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_ne_bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

/// `struct fuse_attr` of 88 bytes.
fn attributes(node: u64) -> [u8; 88] {
    let mut attr = [0; 88];
    attr[..8].copy_from_slice(&node.to_ne_bytes());
    let (mode, size): (u32, u64) = if node == FILE {
        (0o100_444, 1 << 30)
    } else {
        (0o040_555, 4096)
    };
    attr[8..16].copy_from_slice(&size.to_ne_bytes());
    attr[60..64].copy_from_slice(&mode.to_ne_bytes());
    attr[64..68].copy_from_slice(&1u32.to_ne_bytes());
    attr
}

fn answer(request: &[u8], reply: &mut Vec<u8>) {
    reply.clear();
    reply.extend([0; OUT_HEADER]);
    match word(request, 4) {
        INIT => {
            // struct fuse_init_out: 7.31, no flags, 64 KiB writes.
            for value in [7u32, 31, 128 << 10, 0, 0, 64 << 10, 0, 0] {
                reply.extend(value.to_ne_bytes());
            }
            reply.extend([0; 32]);
        }
        LOOKUP => {
            // struct fuse_entry_out: valid for ever.
            for value in [FILE, 1, 1 << 30, 1 << 30, 0] {
                reply.extend(value.to_ne_bytes());
            }
            reply.extend(attributes(FILE));
        }
        GETATTR => {
            reply.extend([0; 16]);
            reply.extend(attributes(number(request, 16)));
        }
        FORGET | BATCH_FORGET => return reply.clear(),
        opcode => {
            let errno: i32 = if opcode == STATX { -38 } else { -2 };
            reply[4..8].copy_from_slice(&errno.to_ne_bytes());
        }
    }
    let length = reply.len() as u32;
    reply[..4].copy_from_slice(&length.to_ne_bytes());
    reply[8..16].copy_from_slice(&number(request, 8).to_ne_bytes());
}

/// Mounts at `path` and answers until it is unmounted.
pub(crate) fn serve(path: &Path) -> Result<()> {
    let mut device = File::options().read(true).write(true).open("/dev/fuse")?;
    let data = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
        device.as_raw_fd()
    );
    let data = std::ffi::CString::new(data)?;
    mount(
        "bare-loop",
        path,
        "fuse",
        MountFlags::RDONLY,
        Some(data.as_c_str()),
    )?;
    let mut request = vec![0; 128 << 10];
    let mut reply = Vec::with_capacity(4096);
    loop {
        match device.read(&mut request) {
            Ok(length) if length >= IN_HEADER => {
                answer(&request[..length], &mut reply);
                if !reply.is_empty() {
                    // A caller that is gone is no error.
                    let _ = device.write(&reply);
                }
            }
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // ENODEV: unmounted.
            Err(_) => return Ok(()),
        }
    }
}
