//! assay-gateway: the assay server as a library.
//!
//! The modules in the order a request meets them: an executor per core ([`runtime`]), HTTP ([`http`]), limits before
//! anything costs ([`admission`]), the handler ([`public`]), the jobs of this core waiting for a verdict ([`lane`]),
//! and what handlers read, derived from the store ([`state`]). The admin listener ([`admin`]) runs beside the cores.
//! [`server`] starts and stops all of it.
#![deny(unsafe_code)]

pub mod admin;
pub mod admission;
pub mod clock;
pub mod config;
pub mod core;
pub mod http;
pub mod lane;
pub mod limits;
pub mod public;
pub mod runtime;
pub mod server;
pub mod state;
pub mod telemetry;
