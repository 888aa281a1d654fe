//! The login page, the session that it opens, and logout.

use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::steps::operate::tokens;
use crate::web::access::{is_from_another_site, no_cookie};
use crate::web::asked::Asked;
use crate::web::caller;
use crate::web::front::GuessedAt;
use crate::web::page::layout::{go_to, own_path, problem, sign_in};

/// `GET /login`
pub fn login_form(asked: &Asked<'_>) -> anyhow::Result<Response> {
    if !caller::is_open(asked.front)? {
        return Ok(problem(asked.front, asked.request, &no_token()));
    }
    let next = asked.query("next").unwrap_or("/");
    Ok(Response::html(200, &sign_in(next, None)))
}

fn no_token() -> Problem {
    Problem::new(403, "RINGONCE_API_TOKEN is not set, so nobody gets in; set it and start again")
}

/// `POST /login`: takes the token and sets the cookie of a new session.
pub fn login(asked: &Asked<'_>) -> anyhow::Result<Response> {
    if !caller::is_open(asked.front)? {
        return Ok(problem(asked.front, asked.request, &no_token()));
    }
    let keys = &asked.front.keys;
    let next = asked.form("next");
    let wrong = || Response::html(401, &sign_in(next, Some("This is not the token.")));
    // A form on another site must not use up the visitor's guesses.
    if is_from_another_site(asked.request) {
        return Ok(wrong());
    }
    if let Err(problem) = asked.front.count_guess(GuessedAt::Form, asked.request, asked.now) {
        let page = Response::html(problem.status, &sign_in(next, Some(&problem.detail)));
        return Ok(problem.with_wait(page));
    }
    let token = asked.form("token");
    let Some(holder) = caller::of_token(asked.front, token)? else {
        log::warn!("somebody failed to sign in from {}", asked.front.sender(asked.request));
        return Ok(wrong());
    };
    asked.front.guessed_right(asked.request);
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let hash = holder.name.map(|_| tokens::hash(token));
    let cookie = keys.session(asked.now, &nonce, hash.as_deref()).cookie(asked.request);
    Ok(go_to(own_path(next)).with_header("Set-Cookie", &cookie))
}

/// `POST /logout`
pub fn logout(asked: &Asked<'_>) -> anyhow::Result<Response> {
    if let Some(session) = &asked.session {
        asked.front.keys.sign_out(session, asked.now);
    }
    Ok(go_to("/login").with_header("Set-Cookie", &no_cookie()))
}
