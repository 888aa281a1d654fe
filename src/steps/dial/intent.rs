//! A committed intent. After its commit a phone may ring.

use crate::domain::Instant;
use crate::provider::PlaceOrder;
use crate::store::attempts::Attempt;

/// A committed intent, for which a phone may ring.
#[derive(Clone, Debug)]
pub struct Intent {
    pub attempt: Attempt,
    pub order: PlaceOrder,
    /// When its item fell due. Since then it waited for a line or for pace.
    pub due_at: Instant,
}
