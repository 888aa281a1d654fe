//! The page, API and webhook from outside: a real `run` process, asked over HTTP.

mod api;
mod attack;
mod calls_page;
mod contract;
mod customer_list;
mod customer_page;
mod documented;
mod escaping;
mod figures;
mod full_disk;
mod guesses;
mod health;
mod house;
#[path = "../spec/inner_loop.rs"]
#[allow(dead_code)]
mod inner_loop;
#[path = "../spec/left_out.rs"]
#[allow(dead_code)]
mod left_out;
mod logs;
mod opt_outs;
mod pages;
mod pausing;
mod person;
mod pushed;
mod queue_page;
mod read_only;
mod reasons;
mod results;
mod sub_path;
mod today;
mod tokens;
mod who_is_who;
