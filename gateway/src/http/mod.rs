//! HTTP/1.1 between the runtime's byte streams and the handlers.
//!
//! In the order a request meets them: [`serve`] accepts, [`head_guard`] refuses ambiguous framing before hyper sees it, [`io`] feeds
//! hyper, [`conn`] holds a connection to its deadlines, [`request`] reads bodies into bounded bytes, [`routes`] is
//! THE table of endpoints, [`dispatch`] walks one request through it, [`response`] and [`error`] answer.

pub mod conn;
pub mod dispatch;
pub mod error;
pub mod head_guard;
pub mod io;
pub mod request;
pub mod response;
pub mod routes;
pub mod serve;
