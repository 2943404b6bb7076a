//! A document whose log in Redis goes on as another one while a process is just about to write of the one before.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test has nobody to pass an error to")]

mod support;

use std::sync::{atomic::Ordering::SeqCst, mpsc};

use captify_hub::{document::store::Kind, ids::Id};
use support::{
    Client, PATIENCE, Server,
    app::App,
    clients::{acknowledged, send},
    eventually,
    recovery::json as message,
    redis::{Redis, away, over, ready},
    redis_proxy::Proxy,
};

fn next(client: &mut Client, kind: &str) {
    while message(client)["type"] != kind {}
}

/// A document as a route handler reads it: the snapshot with what is behind it.
fn read(server: &Server) -> String {
    let (tell, told) = mpsc::channel();
    server.hub.read(Id::new("doc").unwrap(), move |read| tell.send(read).unwrap()).unwrap();
    let content = told.recv_timeout(PATIENCE).unwrap().unwrap().unwrap();
    content.steps.iter().fold(content.snapshot.doc.to_string(), |text, batch| text + &batch.steps)
}

#[test]
fn what_was_saved_of_a_history_that_redis_has_lost_hides_nothing_of_the_one_it_has() {
    let (mut redis, app) = (Redis::start(), App::of(Kind::Updates));
    let proxy = Proxy::to(redis.port);
    let (one, two) = (app.process("one", &over(&proxy.url())), app.process("two", &over(&redis.url())));
    let mut a = one.join("doc", "a");
    send(&mut a, 1);
    next(&mut a, "saved");
    redis.command("SAVE");

    // The second update is saved while Redis loses it, which the process that saves it does not know yet.
    let ((tell, is_saved), (goes_on, go_on)) = (mpsc::channel(), mpsc::channel::<()>());
    let (does_not_save, go_on) = (std::sync::Arc::clone(&app), std::sync::Mutex::new(go_on));
    *app.before_answer.lock().unwrap() = Some(Box::new(move || {
        does_not_save.does_not_save.store(true, SeqCst);
        tell.send(()).unwrap();
        go_on.lock().unwrap().recv().unwrap();
    }));
    send(&mut a, 2);
    is_saved.recv_timeout(PATIENCE).unwrap();
    proxy.swallow(true, true);
    redis.kill();
    away(&one);
    away(&two);
    goes_on.send(()).unwrap();
    redis.restart();
    ready(&two);
    // So the third one is the second of what there is now.
    let mut b = two.join("doc", "b");
    send(&mut b, 3);
    acknowledged(&mut b, 3);
    proxy.heal();
    ready(&one);

    let has_all = |server: &Server| {
        let text = read(server);
        (1..=3).all(|id| text.contains(&format!("of {id}")))
    };
    eventually("all of it is there again", || has_all(&two));
    // Who opens it only now has the snapshot in Redis, and what is behind it there.
    let three = app.process("three", &over(&redis.url()));
    assert!(has_all(&three), "{}", read(&three));
    app.does_not_save.store(false, SeqCst);
    eventually("it is saved", || app.row("doc").is_some_and(|row| row.version == 3));
    let row = app.row("doc").unwrap();
    assert!((1..=3).all(|id| row.doc.contains(&format!("of {id}"))), "{row:?}");
}
