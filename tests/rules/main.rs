//! The rules of dialing, each shown through real passes against the fake provider, which counts
//! what rings. Test names state the rules; tables hold the cases.

#[path = "../spec/inner_loop.rs"]
#[allow(dead_code)]
mod inner_loop;
#[path = "../spec/people.rs"]
#[allow(dead_code)]
mod people;
#[path = "../spec/world.rs"]
#[allow(dead_code)]
mod world;

mod breaker;
mod check;
mod extra_at;
mod fairness;
mod follow;
mod limits;
mod month;
mod month_oracle;
mod numbers;
mod occasions;
mod opt_out;
mod oracle;
mod passes;
mod results;
mod retries;
mod windows;
