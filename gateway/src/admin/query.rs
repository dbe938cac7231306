//! What stands in an admin request's path and query, read once into types.

use assay_storage::UnixSeconds;
use axum::extract::{FromRequestParts, Query, RawPathParams};
use http::Uri;
use http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use super::Admin;
use super::problem::{Kind, Problem};
use crate::limits::{ADMIN_ID_BYTES_MAX, ADMIN_PAGE_ROWS_DEFAULT, ADMIN_PAGE_ROWS_MAX};

/// The name of the one object a path is about.
pub(crate) struct Id(pub(crate) String);

impl FromRequestParts<Admin> for Id {
    type Rejection = Problem;

    /// A name that no object can have is the name of no object: 404, like every other.
    async fn from_request_parts(parts: &mut Parts, state: &Admin) -> Result<Id, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        let id = params.iter().find(|(name, _)| *name != "tenant").map(|(_, value)| value.to_owned());
        id.filter(|id| id.len() <= ADMIN_ID_BYTES_MAX).map(Id).ok_or_else(Problem::not_found)
    }
}

/// Query parameters of one route: each known, each at most once.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query, in which only `names` may occur.
    pub(crate) fn read(uri: &Uri, names: &[&str]) -> Result<Params, Problem> {
        let wrong = |detail: String| Problem::new(Kind::InvalidParameter, detail);
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| wrong("the query is malformed".to_owned()))?;
        for (index, (name, value)) in pairs.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                return Err(wrong(format!("this route takes the parameters {}", names.join(", "))));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(wrong(format!("the parameter {name} is repeated")));
            }
            if value.len() > ADMIN_ID_BYTES_MAX {
                return Err(wrong(format!("the parameter {name} is longer than {ADMIN_ID_BYTES_MAX} bytes")));
            }
        }
        Ok(Params(pairs))
    }

    /// A parameter's value.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The cursor: rows after this one. An empty one is the beginning.
    pub(crate) fn after(&self) -> Option<String> {
        self.text("after").filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Rows on one page.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let Some((_, text)) = self.0.iter().find(|(name, _)| name == "limit") else {
            return Ok(ADMIN_PAGE_ROWS_DEFAULT);
        };
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let limit =
            is_plain.then(|| text.parse().ok()).flatten().filter(|limit| (1..=ADMIN_PAGE_ROWS_MAX).contains(limit));
        limit.ok_or_else(|| {
            Problem::new(Kind::InvalidParameter, format!("limit must be a number from 1 to {ADMIN_PAGE_ROWS_MAX}"))
        })
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The rows, in the order of their ids.
    pub(crate) items: Vec<T>,
    /// Where the next page begins: send it as `after`. `null` on the last page.
    #[schema(required = true)]
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page out of at most `limit + 1` rows: the one too many only tells that there is a next page.
    pub(crate) fn of(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> &str) -> Page<T> {
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = if has_more { items.last().map(|item| id(item).to_owned()) } else { None };
        Page { items, next_cursor }
    }
}

/// The answer to a revocation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// The commit that did it: every older token it covers is dead, on every core, from before this answer.
    #[schema(example = 4711)]
    pub(crate) seq: u64,
}

/// A point in time as all answers give it.
pub(crate) type Seconds = UnixSeconds;
