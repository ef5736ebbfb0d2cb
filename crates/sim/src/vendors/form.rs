//! Parameters of a call: of its query, and of a form in its body.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: Bytes,
}

/// Of query and form, for vendors that take parameters in both.
pub(super) fn parameters(head: &Parts, body: &Bytes) -> Vec<Field> {
    let mut fields = multipart(&head.headers, body);
    let form = if fields.is_empty() { &body[..] } else { &[] };
    let query = head.uri.query().unwrap_or("").as_bytes();
    let pairs = form_urlencoded::parse(query).chain(form_urlencoded::parse(form));
    fields.extend(pairs.map(|(name, value)| Field {
        name: name.into_owned(),
        value: value.into_owned().into(),
    }));
    fields
}

/// The bytes of the first field of that name; an empty one is none.
pub(super) fn bytes(fields: &[Field], name: &str) -> Option<Bytes> {
    let field = fields.iter().find(|field| field.name == name)?;
    Some(field.value.clone()).filter(|value| !value.is_empty())
}

/// The token in the head of a call.
pub(super) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?;
    Some(value.to_str().ok()?.strip_prefix("Bearer ")?.to_owned())
}

/// The parts of a `multipart/form-data` body (RFC 7578); none if it is no such body.
pub(super) fn multipart(headers: &HeaderMap, body: &Bytes) -> Vec<Field> {
    let kind = headers.get(header::CONTENT_TYPE);
    let boundary = kind
        .and_then(|kind| kind.to_str().ok()?.strip_prefix("multipart/form-data"))
        .and_then(|kind| kind.split_once("boundary="))
        .map(|(_, rest)| rest.split(';').next().unwrap_or(rest).trim_matches('"'));
    let Some(boundary) = boundary.filter(|boundary| !boundary.is_empty()) else {
        return Vec::new();
    };
    let border = format!("--{boundary}");
    let mut places = find_all(body, border.as_bytes());
    let mut fields = Vec::new();
    let Some(mut start) = places.next() else {
        return fields;
    };
    for end in places {
        let part = body.slice(start + border.len()..end);
        fields.extend(field(&part));
        start = end;
    }
    fields
}

/// A part between two borders: line end, head, empty line, value, line end.
fn field(part: &Bytes) -> Option<Field> {
    let at = find_all(part, b"\r\n\r\n").next()?;
    let head = std::str::from_utf8(&part[..at]).ok()?;
    let name = head.split("; name=").nth(1)?;
    let name = match name.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => name.split([';', '\r']).next()?,
    };
    let value = part.slice(at + 4..);
    let length = value.strip_suffix(b"\r\n").unwrap_or(&value).len();
    Some(Field {
        name: name.to_owned(),
        value: value.slice(..length),
    })
}

/// Where `wanted` begins in `bytes`, one behind the other without overlap.
fn find_all<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(from..)?;
        let at = rest.windows(wanted.len()).position(|part| part == wanted)?;
        from += at + wanted.len();
        Some(from - wanted.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_with_their_bytes() {
        let body = Bytes::from_static(
            b"--x\r\nContent-Disposition: form-data; name=\"seed\"\r\n\r\n3\r\n\
            --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.torrent\"\r\nContent-Type: a/b\r\n\r\n\xff\r\n\xfe\r\n--x--\r\n",
        );
        let mut headers = HeaderMap::new();
        assert_eq!(multipart(&headers, &body), []);
        let kind = "multipart/form-data; boundary=x".parse().unwrap();
        headers.insert(header::CONTENT_TYPE, kind);
        let field = |name: &str, value: &'static [u8]| Field {
            name: name.to_owned(),
            value: Bytes::from_static(value),
        };
        let wanted = [field("seed", b"3"), field("file", b"\xff\r\n\xfe")];
        assert_eq!(multipart(&headers, &body), wanted);
    }
}
