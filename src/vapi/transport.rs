//! Counts the bytes of one request that are handed over, and asks the caller before the first one.
//!
//! The HTTP library's errors do not show whether a request was sent: a failed TLS handshake and a
//! lost reply give the same error. So this module wraps the connection itself, above TLS, where
//! only bytes of the request pass. It counts bytes before it hands them over. Zero proves that no
//! byte left; any other count means that some bytes may have left.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};

/// The record of the bytes of one request.
#[derive(Debug, Default)]
pub(super) struct Witness {
    handed_over: AtomicUsize,
    stale: AtomicBool,
}

impl Witness {
    /// Bytes of the request given to the connection, whether or not they arrived. Zero proves
    /// that nothing was sent.
    pub fn handed_over(&self) -> usize {
        self.handed_over.load(Ordering::SeqCst)
    }

    /// Whether the caller refused the first byte.
    pub fn was_stale(&self) -> bool {
        self.stale.load(Ordering::SeqCst)
    }
}

/// A question from the connection to the caller: may it send the first byte?
pub(super) type Question = Sender<bool>;

/// Wraps each connection that the library opens.
#[derive(Debug)]
pub(super) struct Gate {
    witness: Arc<Witness>,
    ask: Sender<Question>,
}

/// The library's own connector (TCP, then TLS) with the gate on top.
pub(super) fn gated(witness: Arc<Witness>, ask: Sender<Question>) -> impl Connector {
    DefaultConnector::default().chain(Gate { witness, ask })
}

impl<In: Transport> Connector<In> for Gate {
    type Out = Gated<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Gated<In>>, ureq::Error> {
        let (witness, ask) = (self.witness.clone(), self.ask.clone());
        Ok(chained.map(|inner| Gated { inner, witness, ask }))
    }
}

/// One open connection, above TLS.
#[derive(Debug)]
pub(super) struct Gated<In> {
    inner: In,
    witness: Arc<Witness>,
    ask: Sender<Question>,
}

impl<In> Gated<In> {
    /// Asks the caller; `false` when the caller has ended.
    fn may_send(&self) -> bool {
        let (answer, answered) = channel();
        self.ask.send(answer).is_ok() && answered.recv().unwrap_or(false)
    }
}

impl<In: Transport> Transport for Gated<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if amount > 0 && self.witness.handed_over() == 0 && !self.may_send() {
            self.witness.stale.store(true, Ordering::SeqCst);
            return Err(ureq::Error::Io(io::Error::other("too late to send")));
        }
        // Counted first: a write that fails half-way may have sent something.
        self.witness.handed_over.fetch_add(amount, Ordering::SeqCst);
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
