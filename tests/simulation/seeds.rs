//! Seeds that once broke the promise, each with what it found. They are lived again for ever.
