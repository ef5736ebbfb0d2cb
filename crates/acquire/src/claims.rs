//! Who asks: known by its login, or else by the category that it listed or added to last.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::request::Viewer;

/// Callers that are remembered; the one not heard of for longest makes room.
const CALLERS: usize = 1000;

/// A caller of a front.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// An arr that logged in as itself, by its URL.
    Arr(Arc<str>),
    /// A session with another login, by its number.
    Session(u64),
    /// Without a session: a program, by its name, at an address.
    Program(Option<IpAddr>, String),
}

impl Caller {
    /// Whoever makes a call with `headers` from `peer` and has no session.
    pub(crate) fn program(headers: &HeaderMap, peer: Option<IpAddr>) -> Self {
        let name = headers.get(header::USER_AGENT);
        let name = name.and_then(|name| name.to_str().ok()).unwrap_or_default();
        // Longer ones differ in their first part as well.
        Self::Program(peer, name.chars().take(100).collect())
    }
}

/// A category, and when somebody showed it to be his.
#[derive(Debug)]
struct Claim {
    category: Option<String>,
    at: Instant,
}

/// What callers list.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<HashMap<Caller, Claim>>);

impl Claims {
    /// `caller` lists or adds to this category; `None` is all of them.
    pub(crate) fn note(&self, caller: &Caller, category: Option<&str>) {
        let mut claims = self.0.lock();
        if claims.len() >= CALLERS
            && !claims.contains_key(caller)
            && let Some((oldest, _)) = claims.iter().min_by_key(|(_, claim)| claim.at)
        {
            let oldest = oldest.clone();
            claims.remove(&oldest);
        }
        let claim = Claim {
            category: category.map(str::to_owned),
            at: Instant::now(),
        };
        claims.insert(caller.clone(), claim);
    }

    /// What `caller` means.
    pub(crate) fn viewer(&self, caller: &Caller) -> Viewer {
        let claims = self.0.lock();
        let others = claims.iter().filter(|(other, _)| *other != caller);
        Viewer {
            arr: match caller {
                Caller::Arr(url) => Some(url.clone()),
                Caller::Session(_) | Caller::Program(..) => None,
            },
            category: claims.get(caller).and_then(|claim| claim.category.clone()),
            others: others
                .filter_map(|(_, claim)| claim.category.clone())
                .collect(),
        }
    }
}
