//! The answer to a PROPFIND.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use bytes::Bytes;
use debridfs_vfs::{Attr, DirEntry, Kind};
use futures_util::stream;

use crate::conditions::Version;
use crate::kinds::kind_of;
use crate::paths::encoded;
use crate::propfind::{DAV, Name, Wanted};

/// Bytes of the answer that are made at one time.
const CHUNK: usize = 64 << 10;
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n";
const TAIL: &str = "</D:multistatus>\n";
/// What RFC 4918 defines and a node of ours has.
const ALL: [&str; 9] = [
    "creationdate",
    "displayname",
    "getcontentlength",
    "getcontenttype",
    "getetag",
    "getlastmodified",
    "lockdiscovery",
    "resourcetype",
    "supportedlock",
];

/// A node, as it is told of.
pub(crate) struct Resource {
    /// Its address without host: encoded, and with a slash at the end of a directory's.
    pub(crate) address: String,
    /// Its name; that of the root is empty.
    pub(crate) name: String,
    pub(crate) attr: Attr,
}

impl Resource {
    /// The node of a line of the directory at `address`.
    pub(crate) fn below(address: &str, line: DirEntry) -> Self {
        let slash = match line.attr.kind {
            Kind::Directory => "/",
            Kind::File => "",
        };
        Self {
            address: format!("{address}{}{slash}", encoded(&line.name)),
            name: line.name,
            attr: line.attr,
        }
    }
}

/// The body: made while it is sent, so a large directory takes the memory of its lines alone. `used`
/// is what all files have, in bytes.
pub(crate) fn body(wanted: Arc<Wanted>, resources: Vec<Resource>, used: u64) -> Body {
    let begin = (Some(HEAD.to_owned()), resources.into_iter());
    let chunks = stream::unfold(begin, move |(text, mut resources)| {
        let wanted = wanted.clone();
        async move {
            let mut text = text?;
            while text.len() < CHUNK {
                let Some(resource) = resources.next() else {
                    text.push_str(TAIL);
                    return Some((Ok::<_, Infallible>(Bytes::from(text)), (None, resources)));
                };
                write(&mut text, &wanted, &resource, used);
            }
            let next = String::with_capacity(CHUNK + 4096);
            Some((Ok(Bytes::from(text)), (Some(next), resources)))
        }
    });
    Body::from_stream(chunks)
}

/// Writes what is told of one resource.
fn write(out: &mut String, wanted: &Wanted, resource: &Resource, used: u64) {
    out.push_str("<D:response><D:href>");
    out.push_str(&resource.address);
    out.push_str("</D:href><D:propstat><D:prop>");
    let mut missing = Vec::new();
    let all = |out: &mut String| {
        for local in ALL {
            let _ = property(out, local, resource, used);
        }
    };
    match wanted {
        Wanted::Names => {
            let has = |local: &&str| property(&mut String::new(), local, resource, used);
            for local in ALL.iter().filter(|local| has(local)) {
                let _ = write!(out, "<D:{local}/>");
            }
        }
        Wanted::All(also) => {
            all(out);
            let others = also.iter().filter(|name| !ALL.contains(&&*name.local));
            missing.extend(others.filter(|name| !named(out, name, resource, used)));
        }
        Wanted::These(names) => {
            missing.extend(
                names
                    .iter()
                    .filter(|name| !named(out, name, resource, used)),
            );
        }
    }
    out.push_str("</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>");
    if !missing.is_empty() {
        out.push_str("<D:propstat><D:prop>");
        for Name { namespace, local } in missing {
            // The namespace as the default one: no prefix can be taken.
            let _ = write!(out, "<{local} xmlns=\"");
            escape(out, namespace);
            out.push_str("\"/>");
        }
        out.push_str("</D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>");
    }
    out.push_str("</D:response>\n");
}

/// Writes the property if the resource has it.
fn named(out: &mut String, name: &Name, resource: &Resource, used: u64) -> bool {
    name.namespace == DAV && property(out, &name.local, resource, used)
}

/// Writes the property of this local name in WebDAV's namespace if the resource has it.
fn property(out: &mut String, local: &str, resource: &Resource, used: u64) -> bool {
    let Resource { name, attr, .. } = resource;
    let is_file = attr.kind == Kind::File;
    // Writing to a text does not fail.
    let _ = match local {
        "creationdate" => {
            let at = attr.mtime.strftime("%Y-%m-%dT%H:%M:%SZ");
            write!(out, "<D:creationdate>{at}</D:creationdate>")
        }
        "displayname" => {
            out.push_str("<D:displayname>");
            escape(out, name);
            write!(out, "</D:displayname>")
        }
        "getcontentlength" if is_file => {
            let size = attr.size;
            write!(out, "<D:getcontentlength>{size}</D:getcontentlength>")
        }
        "getcontenttype" if is_file => {
            let kind = kind_of(name);
            write!(out, "<D:getcontenttype>{kind}</D:getcontenttype>")
        }
        "getetag" if is_file => {
            let etag = Version::new(attr.id.0, attr.size, attr.mtime.as_second()).etag;
            write!(out, "<D:getetag>{etag}</D:getetag>")
        }
        "getlastmodified" => {
            let since = u64::try_from(attr.mtime.as_second()).unwrap_or(0);
            let at = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(since));
            write!(out, "<D:getlastmodified>{at}</D:getlastmodified>")
        }
        // Nothing can be locked, so nothing is.
        "lockdiscovery" => write!(out, "<D:lockdiscovery/>"),
        "supportedlock" => write!(out, "<D:supportedlock/>"),
        "resourcetype" if is_file => write!(out, "<D:resourcetype/>"),
        "resourcetype" => write!(out, "<D:resourcetype><D:collection/></D:resourcetype>"),
        "quota-used-bytes" if !is_file => {
            write!(out, "<D:quota-used-bytes>{used}</D:quota-used-bytes>")
        }
        // Nothing can be written.
        "quota-available-bytes" if !is_file => {
            write!(out, "<D:quota-available-bytes>0</D:quota-available-bytes>")
        }
        _ => return false,
    };
    true
}

/// Writes a text. XML 1.0 has no way to write most control signs.
fn escape(out: &mut String, text: &str) {
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(sign));
            }
            sign if sign < ' ' || matches!(sign, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            sign => out.push(sign),
        }
    }
}
