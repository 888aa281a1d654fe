//! The operator's seat from outside: a real `run` process, asked over HTTP.

mod api;
mod attack;
mod contract;
mod health;
mod house;
mod pages;
mod pushed;
mod who_is_who;
