//! What a call shows of its caller, in `Authorization` (RFC 9110, section 11.6.2).

use axum::http::{HeaderMap, header};
use data_encoding::BASE64;

/// What a caller shows.
#[derive(PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing, or nothing that can be understood.
    Nothing,
    /// `Basic` (RFC 7617).
    Basic {
        /// Without a colon.
        user: String,
        /// May be empty.
        password: String,
    },
    /// `Bearer` (RFC 6750).
    Bearer(String),
}

impl Shown {
    /// What `headers` show. Of two headers neither counts: a proxy may have looked at the other one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Self::Nothing;
        };
        let shown = value.to_str().ok().and_then(|text| text.split_once(' '));
        let Some((scheme, rest)) = shown else {
            return Self::Nothing;
        };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer(rest.to_owned());
        }
        match scheme.eq_ignore_ascii_case("basic") {
            true => basic(rest).unwrap_or(Self::Nothing),
            false => Self::Nothing,
        }
    }
}

fn basic(encoded: &str) -> Option<Shown> {
    let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Shown::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn shown(values: &[&str]) -> Shown {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                header::AUTHORIZATION,
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        Shown::of(&headers)
    }

    #[test]
    fn both_schemes_are_read_and_all_else_is_nothing() {
        let basic = |user: &str, password: &str| Shown::Basic {
            user: user.into(),
            password: password.into(),
        };
        let bearer = || Shown::Bearer("abc".into());
        for (value, is) in [
            ("Basic YW5uYTpzZTpjcmV0", basic("anna", "se:cret")),
            ("bAsIc  YW5uYTo=", basic("anna", "")),
            ("Basic w6TDtsO8OsOf", basic("äöü", "ß")),
            ("Bearer abc", bearer()),
            ("bearer  abc ", bearer()),
            ("Basic", Shown::Nothing),
            ("Basic YW5uYQ==", Shown::Nothing),
            ("Basic !!!", Shown::Nothing),
            ("Basic /////w==", Shown::Nothing),
            ("Digest username=\"anna\"", Shown::Nothing),
            ("", Shown::Nothing),
        ] {
            assert!(shown(&[value]) == is, "{value:?}");
        }
        assert!(shown(&[]) == Shown::Nothing);
        assert!(shown(&["Bearer abc", "Bearer abc"]) == Shown::Nothing);
    }
}
