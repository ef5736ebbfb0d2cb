//! The body of a PROPFIND: which properties are wanted.

use std::borrow::Cow;

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// The namespace of WebDAV's own properties.
pub(crate) const DAV: &str = "DAV:";
/// Properties that one request may name.
const MOST: usize = 256;
/// Elements within each other that a request may have: it needs three.
const DEEPEST: usize = 16;

/// Which properties are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All that RFC 4918 defines, and these.
    All(Vec<Name>),
    /// The names of all, without values.
    Names,
    /// These.
    These(Vec<Name>),
}

/// The name of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Its namespace; empty for none.
    pub(crate) namespace: String,
    /// Its name in that.
    pub(crate) local: String,
}

/// The body is none of a PROPFIND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotUnderstood;

impl Wanted {
    /// Reads a body. An empty one wants all.
    ///
    /// # Errors
    /// [`NotUnderstood`].
    pub(crate) fn parse(body: &[u8]) -> Result<Self, NotUnderstood> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::All(Vec::new()));
        }
        let text = std::str::from_utf8(body).map_err(|_| NotUnderstood)?;
        // Other encodings are allowed and not used; the mark of UTF-8 is.
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut reading = Reading::default();
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(|_| NotUnderstood)?;
            let namespace = match namespace {
                ResolveResult::Bound(namespace) => {
                    unescape(namespace.0).map_err(|_| NotUnderstood)?
                }
                ResolveResult::Unbound => Cow::Borrowed(""),
                // A prefix that was not declared.
                ResolveResult::Unknown(_) => return Err(NotUnderstood),
            };
            match event {
                Event::Start(start) => reading.start(name(&namespace, &start)?)?,
                Event::End(_) => reading.depth = reading.depth.saturating_sub(1),
                // No client needs a document type, and entities are for attacks.
                Event::DocType(_) => return Err(NotUnderstood),
                Event::Eof => return reading.end(),
                _ => {}
            }
        }
    }
}

fn name(namespace: &str, start: &BytesStart<'_>) -> Result<Name, NotUnderstood> {
    let local = start.local_name();
    let local: &str = local.as_ref();
    // What is echoed has to be a name; quick-xml takes what stands there.
    let is_name = |sign: char| sign.is_alphanumeric() || "_-.".contains(sign);
    let begins_one = |sign: char| sign.is_alphabetic() || sign == '_';
    if !local.starts_with(begins_one) || !local.chars().all(is_name) {
        return Err(NotUnderstood);
    }
    Ok(Name {
        namespace: namespace.to_owned(),
        local: local.to_owned(),
    })
}

#[derive(Default)]
struct Reading {
    depth: usize,
    is_propfind: bool,
    /// The children of `propfind` so far.
    all: bool,
    names: bool,
    prop: bool,
    /// Whether the element in hand is one whose children are properties.
    within: bool,
    these: Vec<Name>,
}

impl Reading {
    fn start(&mut self, name: Name) -> Result<(), NotUnderstood> {
        let is_dav = |local: &str| name.namespace == DAV && name.local == local;
        match self.depth {
            0 if is_dav("propfind") && !self.is_propfind => self.is_propfind = true,
            0 => return Err(NotUnderstood),
            1 => {
                self.within = is_dav("prop") || is_dav("include");
                self.prop |= is_dav("prop");
                self.all |= is_dav("allprop");
                self.names |= is_dav("propname");
            }
            2 if self.within => self.these.push(name),
            // What is in a property that is asked for says nothing.
            _ => {}
        }
        self.depth += 1;
        match self.depth > DEEPEST || self.these.len() > MOST {
            true => Err(NotUnderstood),
            false => Ok(()),
        }
    }

    fn end(self) -> Result<Wanted, NotUnderstood> {
        match (self.depth, self.all, self.names, self.prop) {
            (0, true, false, false) => Ok(Wanted::All(self.these)),
            (0, false, true, false) => Ok(Wanted::Names),
            (0, false, false, true) => Ok(Wanted::These(self.these)),
            _ => Err(NotUnderstood),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dav(local: &str) -> Name {
        Name {
            namespace: DAV.into(),
            local: local.into(),
        }
    }

    fn parse(inner: &str) -> Result<Wanted, NotUnderstood> {
        let text =
            format!("<?xml version=\"1.0\"?><D:propfind xmlns:D=\"DAV:\">{inner}</D:propfind>");
        Wanted::parse(text.as_bytes())
    }

    #[test]
    fn table_of_bodies() {
        let other = Name {
            namespace: "urn:x".into(),
            local: "thing".into(),
        };
        assert_eq!(Wanted::parse(b" \n"), Ok(Wanted::All(Vec::new())));
        for (inner, wanted) in [
            ("<D:allprop/>", Wanted::All(Vec::new())),
            (
                "<D:allprop/><D:include><D:quota-used-bytes/></D:include>",
                Wanted::All(vec![dav("quota-used-bytes")]),
            ),
            ("<D:propname/>", Wanted::Names),
            (
                "<D:prop><D:getetag/><thing xmlns=\"urn:x\"><deep/></thing></D:prop>",
                Wanted::These(vec![dav("getetag"), other]),
            ),
            ("<D:prop/>", Wanted::These(Vec::new())),
        ] {
            assert_eq!(parse(inner), Ok(wanted), "{inner}");
        }
        // As macOS writes it, with the namespace as the default.
        let text =
            "\u{feff}<propfind xmlns=\"DAV:\"><prop><getetag xmlns=\"DAV:\"/></prop></propfind>";
        let wanted = Wanted::These(vec![dav("getetag")]);
        assert_eq!(Wanted::parse(text.as_bytes()), Ok(wanted));
    }

    #[test]
    fn what_is_no_propfind_is_refused() {
        for inner in [
            "",
            "<D:prop/><D:allprop/>",
            "<D:prop><X:a/></D:prop>",
            "<D:prop><D:a></D:prop>",
            "<D:prop><a:b:c/></D:prop>",
            "<D:prop><a\"/></D:prop>",
            "<D:prop><1a/></D:prop>",
        ] {
            assert_eq!(parse(inner), Err(NotUnderstood), "{inner}");
        }
        for text in [
            "x",
            "<propfind/>",
            "<D:propfind xmlns:D=\"DAV:\">",
            "<D:propertyupdate xmlns:D=\"DAV:\"/>",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><D:propfind xmlns:D=\"DAV:\"><D:prop/></D:propfind>",
        ] {
            assert_eq!(Wanted::parse(text.as_bytes()), Err(NotUnderstood), "{text}");
        }
        assert_eq!(Wanted::parse(b"\xff\xfe"), Err(NotUnderstood));
        // What would fill memory or stack.
        let deep = "<a>".repeat(20_000);
        assert_eq!(parse(&format!("<D:prop>{deep}")), Err(NotUnderstood));
        let many = "<D:a/>".repeat(MOST + 1);
        assert_eq!(
            parse(&format!("<D:prop>{many}</D:prop>")),
            Err(NotUnderstood)
        );
    }
}
