//! Pages for browsers: a directory, and a film that plays.

use std::cmp::Reverse;

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use debridfs_vfs::{DirEntry, Kind};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::kinds::kind_of;
use crate::paths::encoded;
use crate::webdav::PREFIX;

/// Nothing but our style and the library's own films; no script at all.
const POLICY: &str = "default-src 'none'; style-src 'self'; media-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("../assets/style.css");

/// Whether the caller is a browser that shows a page.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html"))
}

/// The style of all pages.
pub(crate) fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// The directory at `address`, in the order that `query` wants.
pub(crate) fn index(address: &str, mut lines: Vec<DirEntry>, query: Option<&str>) -> Response {
    let order = Order::of(query.unwrap_or_default());
    order.sort(&mut lines);
    let crumbs = crumbs(address);
    page(&Index {
        title: title(&crumbs),
        crumbs,
        columns: [By::Name, By::Size, By::Time].map(|by| order.column(by)),
        rows: lines.iter().map(Row::of).collect(),
    })
}

/// The film at `address`, in a player.
pub(crate) fn player(address: &str) -> Response {
    let crumbs = crumbs(address);
    page(&Player {
        title: title(&crumbs),
        crumbs,
        address,
    })
}

fn page(template: &impl Template) -> Response {
    let Ok(text) = template.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::VARY, "Accept"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, text).into_response()
}

/// A directory on the way to what is shown, and that itself.
struct Crumb {
    name: String,
    address: String,
}

fn crumbs(address: &str) -> Vec<Crumb> {
    let path = address.strip_prefix(PREFIX).unwrap_or(address);
    let mut crumbs = vec![Crumb {
        name: "Library".to_owned(),
        address: format!("{PREFIX}/"),
    }];
    let mut ends = path.match_indices('/').skip(1).map(|(at, _)| at + 1);
    let mut start = 1;
    while start < path.len() {
        let end = ends.next().unwrap_or(path.len());
        let name = path[start..end].trim_end_matches('/');
        crumbs.push(Crumb {
            name: percent_decode_str(name).decode_utf8_lossy().into_owned(),
            address: format!("{PREFIX}{}", &path[..end]),
        });
        start = end;
    }
    crumbs
}

fn title(crumbs: &[Crumb]) -> String {
    crumbs
        .last()
        .map_or_else(String::new, |crumb| crumb.name.clone())
}

#[derive(Template)]
#[template(path = "index.html")]
struct Index {
    title: String,
    crumbs: Vec<Crumb>,
    columns: [Column; 3],
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "player.html")]
struct Player<'a> {
    title: String,
    crumbs: Vec<Crumb>,
    address: &'a str,
}

struct Column {
    name: &'static str,
    address: String,
    /// In which direction it is sorted, if by this.
    order: Option<&'static str>,
}

struct Row {
    name: String,
    address: String,
    size: String,
    time: String,
    plays: bool,
}

impl Row {
    fn of(line: &DirEntry) -> Self {
        let slash = match line.attr.kind {
            Kind::Directory => "/",
            Kind::File => "",
        };
        let kind = kind_of(&line.name);
        let is_media = kind.starts_with("video/") || kind.starts_with("audio/");
        Self {
            name: format!("{}{slash}", line.name),
            // A name with a colon would be taken for a scheme.
            address: format!("./{}{slash}", encoded(&line.name)),
            size: match line.attr.kind {
                Kind::Directory => String::new(),
                Kind::File => size(line.attr.size),
            },
            time: moment(line.attr.mtime),
            plays: line.attr.kind == Kind::File && is_media,
        }
    }
}

/// A size with three digits.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "";
    for next in units {
        value /= 1024.0;
        unit = next;
        if value < 1000.0 {
            break;
        }
    }
    let digits = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.digits$} {unit}")
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Name,
    Size,
    Time,
}

/// By what lines are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    by: By,
    descending: bool,
}

impl Order {
    fn of(query: &str) -> Self {
        let has = |wish: &str| query.split('&').any(|part| part == wish);
        let by = match () {
            () if has("sort=size") => By::Size,
            () if has("sort=time") => By::Time,
            () => By::Name,
        };
        Self {
            by,
            descending: has("order=descending"),
        }
    }

    /// Directories come first, and equal ones by name.
    fn sort(self, lines: &mut [DirEntry]) {
        lines.sort_by_cached_key(|line| (line.name.to_lowercase(), line.name.clone()));
        let size = |line: &DirEntry| match line.attr.kind {
            Kind::Directory => 0,
            Kind::File => line.attr.size,
        };
        match (self.by, self.descending) {
            (By::Name, false) => {}
            (By::Name, true) => lines.reverse(),
            (By::Size, false) => lines.sort_by_key(size),
            (By::Size, true) => lines.sort_by_key(|line| Reverse(size(line))),
            (By::Time, false) => lines.sort_by_key(|line| line.attr.mtime),
            (By::Time, true) => lines.sort_by_key(|line| Reverse(line.attr.mtime)),
        }
        lines.sort_by_key(|line| line.attr.kind == Kind::File);
    }

    /// The head of a column; its link turns the order around if it is the one that is sorted by.
    fn column(self, by: By) -> Column {
        let (name, word) = match by {
            By::Name => ("Name", "name"),
            By::Size => ("Size", "size"),
            By::Time => ("Time (UTC)", "time"),
        };
        let is_sorted = self.by == by;
        let order = match self.descending {
            true => "descending",
            false => "ascending",
        };
        let next = match is_sorted && !self.descending {
            true => "descending",
            false => "ascending",
        };
        Column {
            name,
            address: format!("?sort={word}&order={next}"),
            order: is_sorted.then_some(order),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1 << 30, "1.00 GiB"),
            (50 << 20, "50.0 MiB"),
            (999 << 20, "999 MiB"),
            (1001 << 20, "0.98 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn crumbs_lead_to_each_directory_on_the_way() {
        let shown: Vec<_> = crumbs("/dav/a%20b/c%2Fd.mkv")
            .into_iter()
            .map(|crumb| (crumb.name, crumb.address))
            .collect();
        let expected = [
            ("Library", "/dav/"),
            ("a b", "/dav/a%20b/"),
            ("c/d.mkv", "/dav/a%20b/c%2Fd.mkv"),
        ];
        assert_eq!(
            shown,
            expected.map(|(name, at)| (name.to_owned(), at.to_owned()))
        );
        assert_eq!(crumbs("/dav/").len(), 1);
    }
}
