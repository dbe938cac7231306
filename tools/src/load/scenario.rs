//! What is asked: each scenario is prepared once, shared by all workers, and makes journeys for one.

pub(crate) mod code;
pub(crate) mod login;
pub(crate) mod once;
pub(crate) mod pools;

use std::sync::Arc;

use super::journey::Scenario;
use super::pace::Share;
use super::script::Script;

/// A prepared scenario.
pub(crate) struct Plan {
    /// As the command line names it.
    pub name: String,
    /// The steps of a journey, as reports name them.
    pub steps: Vec<String>,
    pub source: Source,
}

/// Where journeys come from.
pub(crate) enum Source {
    Code(Arc<code::CodePlan>),
    Login(Arc<login::LoginPlan>),
    Pools(pools::Pools),
    Script(Arc<Script>),
}

impl Plan {
    /// One worker's share.
    pub(crate) fn scenario(&self, share: Share) -> Box<dyn Scenario> {
        match &self.source {
            Source::Code(plan) => Box::new(code::Code::new(Arc::clone(plan), share)),
            Source::Login(plan) => Box::new(login::Login::new(Arc::clone(plan), share)),
            Source::Pools(pools) => Box::new(pools.worker(share)),
            Source::Script(script) => Box::new(super::script::run::Runs::new(Arc::clone(script), share)),
        }
    }
}
