//! `resume`: it ends the pause that it names and nothing else. A hold is lifted by its name, or if
//! it is the only thing that a plain `resume` can mean.

use ringonce::store::meta::holds;

use crate::world::{Run, World};

const NOON: &str = "2026-02-02T12:00:00Z";

fn held(kinds: &[&str]) -> World {
    let world = World::new();
    world.daily("Ada");
    for kind in kinds {
        let why = format!("the cause of {kind}");
        let written = world.store().write(|tx| holds::hold(tx, *kind, &why, world.now()));
        written.expect("a hold");
    }
    world.set_clock(NOON);
    world
}

fn resume(world: &World, more: &[&str]) -> Run {
    let mut words = vec!["resume", "--reason", "the deploy is over"];
    words.extend(more);
    world.command(&words)
}

#[test]
fn the_end_of_a_pause_leaves_every_hold_and_the_breaker() {
    for kind in ["flag", "foreign", "account", "record"] {
        let world = held(&[kind]);
        let breaker = r#"INSERT INTO meta VALUES ('breaker',
            '{"why":"402","opened_at":"2026-02-02T11:00:00Z","probe_at":"2026-02-03T11:00:00Z"}')"#;
        world.sql(breaker);
        assert_eq!(world.command(&["pause", "--reason", "a deploy"]).code, Some(0));
        let run = resume(&world, &[]);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(world.holds(), [kind], "{run:?}");
        assert_eq!(world.count("SELECT count(*) FROM meta WHERE key = 'breaker'"), 1, "{run:?}");
        assert_eq!(world.count("SELECT count(*) FROM meta WHERE key LIKE 'pause:%'"), 0);
        let command = format!("ringonce resume --hold {kind} --reason WHY");
        assert!(run.stdout.contains(&command), "what lifts it: {run:?}");
        assert!(run.stdout.contains(&format!("the cause of {kind}")), "why it stands: {run:?}");
        assert!(!run.stdout.contains("may continue"), "{run:?}");
        let lifted = "SELECT count(*) FROM journal WHERE what IN ('hold', 'breaker')";
        assert_eq!(world.count(lifted), 0, "{run:?}");
        assert!(world.tick().shut);
        assert!(world.rings().is_empty());
    }
}

#[test]
fn the_end_of_a_pause_does_not_accept_a_clock_behind_the_mark() {
    let world = held(&[]);
    world.tick_at("2026-02-02T11:45:00Z");
    assert_eq!(world.command(&["pause", "--reason", "a deploy"]).code, Some(0));
    world.set_clock("2026-02-01T12:00:00Z");
    let run = resume(&world, &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("ringonce resume --hold clock --reason WHY"), "{run:?}");
    assert!(world.tick().shut, "{run:?}");
    let run = resume(&world, &["--hold", "clock"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!world.tick().shut, "{run:?}");
}

#[test]
fn a_plain_resume_lifts_the_only_hold_names_it_and_journals_its_words() {
    let world = held(&["foreign"]);
    let run = resume(&world, &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("the hold \"foreign\""), "{run:?}");
    assert!(world.holds().is_empty());
    let noted =
        "SELECT concat_ws('|', who, what, subject, old, why) FROM journal WHERE what = 'hold'";
    assert_eq!(
        world.one(noted),
        "cli|hold|dialing:foreign|the cause of foreign|the deploy is over"
    );
    assert_eq!(world.command(&["tick"]).code, Some(0));
    assert_eq!(world.rings().len(), 1);
    let run = resume(&world, &[]);
    assert_eq!(run.code, Some(0), "nothing is left: {run:?}");
}

#[test]
fn of_several_holds_only_the_named_one_is_lifted() {
    let world = held(&["flag", "foreign"]);
    let run = resume(&world, &[]);
    assert_eq!(run.code, Some(2), "{run:?}");
    for kind in ["flag", "foreign"] {
        assert!(run.stderr.contains(&format!("--hold {kind} --reason WHY")), "{run:?}");
    }
    assert_eq!(world.holds(), ["flag", "foreign"]);
    let run = resume(&world, &["--hold", "flag"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("the hold \"flag\""), "{run:?}");
    assert!(run.stdout.contains("ringonce resume --hold foreign --reason WHY"), "{run:?}");
    assert_eq!(world.holds(), ["foreign"]);
    assert!(world.tick().shut);
    let run = resume(&world, &["--hold", "flag"]);
    assert_eq!(run.code, Some(0), "it is lifted already: {run:?}");
    assert_eq!(world.holds(), ["foreign"]);
}

#[test]
fn a_hold_is_named_alone_and_by_a_name_that_exists() {
    let world = held(&["flag"]);
    for wrong in [
        &["--hold", "flags"][..],
        &["--hold", "flag", "--type", "daily"],
        &["--hold", "flag", "--customer", "1"],
        &["--hold", "flag", "--number", "+442079460001"],
    ] {
        let run = resume(&world, wrong);
        assert_eq!(run.code, Some(2), "{wrong:?}: {run:?}");
    }
    assert_eq!(world.command(&["resume", "--hold", "flag", "--reason", " "]).code, Some(2));
    for narrow in [&["--type", "daily"][..], &["--customer", "1"]] {
        assert_eq!(resume(&world, narrow).code, Some(0));
    }
    assert_eq!(world.holds(), ["flag"]);
}

#[test]
fn a_lifted_hold_leaves_a_pause() {
    let world = held(&["flag"]);
    assert_eq!(world.command(&["pause", "--reason", "a deploy"]).code, Some(0));
    let run = resume(&world, &["--hold", "flag"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("paused"), "{run:?}");
    assert!(world.holds().is_empty());
    world.tick();
    assert!(world.rings().is_empty(), "the pause stands");
}
