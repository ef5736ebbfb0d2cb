//! A hook for tests alone: a request that kills the engine, to show that one which did so twice is answered EIO.

use crate::wire::{InHeader, Opcode};

/// Names the request that crashes the engine; see [`CrashHook::from_env`].
pub const CRASH_VARIABLE: &str = "DEBRIDFS_TEST_CRASH";

/// Has to be `1` for [`CRASH_VARIABLE`] to be accepted.
pub const ALLOW_VARIABLE: &str = "DEBRIDFS_ALLOW_TEST_HOOKS";

/// Why the hook is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrashHookError {
    /// It was not asked for on purpose.
    #[error(
        "{CRASH_VARIABLE} is a hook for tests that kills the program; it needs {ALLOW_VARIABLE}=1"
    )]
    NotAllowed,
    /// It names nothing.
    #[error("{CRASH_VARIABLE} must be lookup:PART-OF-A-NAME or read:INODE")]
    Malformed,
}

/// The request that crashes the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrashHook {
    /// A LOOKUP of a name that contains this.
    Lookup(String),
    /// A READ of this inode.
    Read(u64),
}

impl CrashHook {
    /// Reads [`CRASH_VARIABLE`]: `lookup:PART-OF-A-NAME`, `read:INODE`, or a part of a name alone, which means LOOKUP.
    ///
    /// # Errors
    /// If it is set without [`ALLOW_VARIABLE`], or makes no sense.
    pub fn from_env() -> Result<Option<Self>, CrashHookError> {
        let allowed = std::env::var_os(ALLOW_VARIABLE).is_some_and(|value| value == "1");
        match std::env::var_os(CRASH_VARIABLE) {
            None => Ok(None),
            Some(_) if !allowed => Err(CrashHookError::NotAllowed),
            Some(value) => {
                let text = value.to_str().ok_or(CrashHookError::Malformed)?;
                Self::parse(text).map(Some)
            }
        }
    }

    fn parse(text: &str) -> Result<Self, CrashHookError> {
        if let Some(inode) = text.strip_prefix("read:") {
            let inode = inode.parse().map_err(|_| CrashHookError::Malformed)?;
            return Ok(Self::Read(inode));
        }
        let name = text.strip_prefix("lookup:").unwrap_or(text);
        if name.is_empty() {
            return Err(CrashHookError::Malformed);
        }
        Ok(Self::Lookup(name.to_owned()))
    }

    /// Ends the process by SIGABRT if this is the request.
    pub(crate) fn strike(&self, header: &InHeader, request: &[u8]) {
        let hit = match self {
            Self::Lookup(part) => {
                header.opcode == Opcode::Lookup as u32
                    && request[InHeader::LEN..]
                        .windows(part.len())
                        .any(|window| window == part.as_bytes())
            }
            Self::Read(inode) => header.opcode == Opcode::Read as u32 && header.node == *inode,
        };
        if hit {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let parse = CrashHook::parse;
        assert_eq!(parse("abc"), Ok(CrashHook::Lookup("abc".into())));
        assert_eq!(parse("lookup:a:b"), Ok(CrashHook::Lookup("a:b".into())));
        assert_eq!(parse("read:77"), Ok(CrashHook::Read(77)));
        assert_eq!(parse("read:x"), Err(CrashHookError::Malformed));
        assert_eq!(parse("lookup:"), Err(CrashHookError::Malformed));
    }
}
