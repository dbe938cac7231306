//! Each request of a list once, every answer kept: how tokens, sessions and revocations are prepared.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::load::journey::{Answer, Journey, Moment, Next, Request, Scenario};

/// An answer that is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub status: u16,
    pub body: Vec<u8>,
    /// What `Set-Cookie` said, as `Cookie` sends it back.
    pub cookies: Vec<String>,
}

/// Where answers are kept, in the order of requests.
pub(crate) type Shelf = Rc<RefCell<Vec<Option<Kept>>>>;

/// The list.
pub(crate) struct Once {
    requests: Arc<Vec<Arc<Request>>>,
    next: usize,
    shelf: Shelf,
}

impl Once {
    pub(crate) fn new(requests: Vec<Arc<Request>>) -> (Once, Shelf) {
        let shelf: Shelf = Rc::new(RefCell::new(vec![None; requests.len()]));
        (Once { requests: Arc::new(requests), next: 0, shelf: Rc::clone(&shelf) }, shelf)
    }
}

impl Scenario for Once {
    fn begin(&mut self, _: Moment) -> Option<Box<dyn Journey>> {
        let request = Arc::clone(self.requests.get(self.next)?);
        self.next += 1;
        Some(Box::new(Fetch { request, index: self.next - 1, shelf: Rc::clone(&self.shelf) }))
    }
}

struct Fetch {
    request: Arc<Request>,
    index: usize,
    shelf: Shelf,
}

impl Journey for Fetch {
    fn start(&mut self, _: Moment) -> Next {
        Next::Send(Arc::clone(&self.request))
    }

    fn answer(&mut self, answer: &Answer<'_>, _: Moment) -> Next {
        let cookies = answer.headers("set-cookie").into_iter().filter_map(|line| line.split(';').next());
        let cookies = cookies.map(|cookie| cookie.trim().to_owned()).collect();
        let kept = Kept { status: answer.status, body: answer.body.to_vec(), cookies };
        self.shelf.borrow_mut()[self.index] = Some(kept);
        Next::Done
    }
}
