//! Search: parameters compiled to plans, and what a resource answers to.
