//! A bounded queue whose consuming end may end, even by a panic, without leaving anyone waiting.
//!
//! The channel alone does not give that: a message that waits when the last receiver goes stays in the channel until
//! the senders go too, and with it the answer somebody awaits. So who ends says so and then empties the queue, and
//! who sends looks afterwards whether it had ended: whichever comes second drops the message, and with it the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Ended,
    Full,
}

/// The producing end. When it is dropped the consumers see the end of the queue.
pub(crate) struct Queue<M> {
    sender: Sender<M>,
    waiting: Receiver<M>,
    ended: Arc<AtomicBool>,
}

/// The consuming end; several threads share one by `Arc`.
pub(crate) struct Consumer<M> {
    pub(crate) waiting: Receiver<M>,
    ended: Arc<AtomicBool>,
}

pub(crate) fn queue<M>(messages_max: usize) -> (Queue<M>, Consumer<M>) {
    let (sender, waiting) = bounded(messages_max);
    let ended = Arc::new(AtomicBool::new(false));
    (Queue { sender, waiting: waiting.clone(), ended: Arc::clone(&ended) }, Consumer { waiting, ended })
}

impl<M> Queue<M> {
    /// Never blocks. A message taken is consumed or dropped.
    pub(crate) fn try_send(&self, message: M) -> Result<(), Refused> {
        if self.ended.load(Ordering::SeqCst) {
            return Err(Refused::Ended);
        }
        self.sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Full,
            TrySendError::Disconnected(_) => Refused::Ended,
        })?;
        self.drop_if_ended();
        Ok(())
    }

    /// Waits for room.
    pub(crate) fn send_timeout(&self, message: M, patience: Duration) -> Result<(), Refused> {
        if self.ended.load(Ordering::SeqCst) {
            return Err(Refused::Ended);
        }
        self.sender.send_timeout(message, patience).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => Refused::Full,
            SendTimeoutError::Disconnected(_) => Refused::Ended,
        })?;
        self.drop_if_ended();
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.sender.len()
    }

    fn drop_if_ended(&self) {
        if self.ended.load(Ordering::SeqCst) {
            empty(&self.waiting);
        }
    }
}

impl<M> Drop for Consumer<M> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        empty(&self.waiting);
    }
}

fn empty<M>(waiting: &Receiver<M>) {
    while waiting.try_recv().is_ok() {}
}

#[cfg(test)]
mod tests {
    use futures_channel::oneshot;
    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn nobody_waits_for_a_consumer_that_has_ended() {
        for _ in 0..200 {
            let (queue, consumer) = queue(4);
            let ends = std::thread::spawn(move || drop(consumer));
            // However the two threads interleave, every answer comes.
            for _ in 0..20 {
                let (answer, waits) = oneshot::channel::<()>();
                match queue.try_send(answer) {
                    Ok(()) if ends.is_finished() => assert!(block_on(waits).is_err()),
                    Ok(()) | Err(Refused::Full) => {}
                    Err(Refused::Ended) => assert!(block_on(waits).is_err()),
                }
            }
            let (answer, waits) = oneshot::channel::<()>();
            let _ = queue.try_send(answer);
            assert!(block_on(waits).is_err());
            ends.join().expect("dropping does not panic");
            assert_eq!(queue.len(), 0);
        }
    }

    #[test]
    fn the_bound_holds_and_the_end_of_the_producer_is_seen() {
        let (queue, consumer) = queue(2);
        assert_eq!([queue.try_send(1), queue.try_send(2), queue.try_send(3)], [Ok(()), Ok(()), Err(Refused::Full)]);
        assert_eq!(queue.send_timeout(3, Duration::ZERO), Err(Refused::Full));
        drop(queue);
        assert_eq!(consumer.waiting.iter().collect::<Vec<_>>(), [1, 2]);
    }
}
