use std::time::Instant;

use super::{Batch, InFlight, Numbers, Outcome, Publishing, Reply, Since, Waiting};
use crate::{
    ids::{ClientSessionId, ConnectionId, Id, Topic},
    room::{
        document_log::News,
        publication::{Author, Content, Publication, Refusal, Steps},
    },
};

fn of_client(client_session: u64, number: u64) -> Publication {
    Publication {
        author: Some(Author {
            connection: ConnectionId::new(1),
            client_session: ClientSessionId::new(client_session),
        }),
        to: None,
        content: Content::Client {
            client: Id::new("a").unwrap(),
            topic: Topic::Update,
            payload: "1".to_owned(),
            version: String::new(),
        },
        number: Some(number),
        after: None,
        answer: None,
    }
}

#[test]
fn nothing_of_a_client_session_is_taken_behind_what_was_refused_before_its_room_knows_that() {
    let mut document = Publishing::default();
    assert!(document.enqueue(of_client(7, 1)).unwrap());
    assert_eq!(document.next_batch(&Numbers::default()).unwrap().number, 1);
    assert!(!document.enqueue(of_client(7, 2)).unwrap());
    document.give_up();
    // With a place, 3 would say that 1 and 2 have theirs.
    assert_eq!(document.enqueue(of_client(7, 3)).unwrap_err().number, Some(3));
    assert!(document.enqueue(of_client(8, 1)).unwrap(), "others go on");
    document.knows_refused(ClientSessionId::new(7));
    assert!(!document.enqueue(of_client(7, 1)).unwrap(), "somebody sends already");
}

fn steps(version: u64, count: u32) -> Publication {
    let client = Id::new("a").unwrap();
    let steps = Steps { client, user: None, version, count, steps: "[]".into(), change_id: None };
    Publication { content: Content::Steps(steps), ..Publication::of_route_handler(None, "") }
}

fn waits(publication: Publication) -> Waiting {
    Waiting { publication, since: Instant::now(), published: Since::now() }
}

fn in_flight(publications: Vec<Publication>) -> InFlight {
    InFlight { batch: Batch { number: 1, since: Instant::now(), published: Since::now() }, publications }
}

#[test]
fn what_is_sent_again_is_as_old_as_it_was() {
    let mut state = Publishing::default();
    state.enqueue(of_client(1, 1)).unwrap();
    let first = state.next_batch(&Numbers::default()).unwrap().published;
    let again = |state: &mut Publishing, void| {
        assert!(state.append_again(void, true, true).is_empty());
        state.next_batch(&Numbers::default()).unwrap().published
    };
    assert_eq!(again(&mut state, Vec::new()), first);
    // It was answered, and then what it stood behind was lost.
    let mut reply =
        "00000000000000ff 0000000000000002 0000000000000001 9 10 1700000000000 a".parse().unwrap();
    let void = state.answered(1, &mut reply).unwrap();
    assert_eq!(again(&mut state, void), first);
    let void = state.answered(1, &mut reply).unwrap();
    state.has_no_gap();
    assert_ne!(again(&mut state, void), first, "which nothing was before, so it is another");
}

#[test]
fn what_was_made_directly_behind_refused_steps_is_refused_with_them() {
    let mut state = Publishing::default();
    let waiting = [steps(9, 2), steps(8, 1), of_client(7, 1), steps(11, 1)];
    state.queue.extend(waiting.map(waits));
    let reply = |outcomes: &str| -> Reply {
        format!("00000000000000ff 0000000000000002 0000000000000001 9 10 1700000000000 {outcomes}")
            .parse()
            .unwrap()
    };
    let mut answer = |outcomes: &str| {
        state.in_flight = Some(in_flight(vec![steps(7, 1), steps(8, 1)]));
        let mut reply = reply(outcomes);
        let sent = state.answered(1, &mut reply).unwrap();
        assert!(state.answered(1, &mut reply).is_none(), "once");
        (reply, sent, state.queue.len())
    };
    let (accepted, sent, left) = answer("s8,a");
    assert_eq!((accepted.outcomes.len(), sent.len(), left), (2, 2, 4), "the last one has a place");
    let (refused, sent, _) = answer("a,s12");
    assert_eq!(refused.outcomes[1..], [Outcome::Stale(12); 3]);
    let versions = |publication: &Publication| match &publication.content {
        Content::Steps(steps) => Some(steps.version),
        _ => None,
    };
    assert_eq!(sent.iter().map(versions).collect::<Vec<_>>(), [Some(7), Some(8), Some(9), Some(11)]);
    assert_eq!(
        state.queue.iter().map(|left| versions(&left.publication)).collect::<Vec<_>>(),
        [Some(8), None]
    );
}

#[test]
fn steps_that_were_made_for_another_log_are_not_appended_to_this_one() {
    let mut state = Publishing::default();
    state.queue.extend([steps(7, 1), of_client(1, 1)].map(waits));
    state.in_flight = Some(in_flight(vec![steps(5, 2), of_client(2, 1)]));
    assert_eq!(state.append_again(Vec::new(), false, true).len(), 0, "it is sent again as it is");
    state.went(ClientSessionId::new(1), false);
    let told = state.append_again(vec![of_client(3, 1)], true, true);
    let outcomes = told.iter().map(|news| match news {
        News::Answer(appended) => appended.outcome,
        other => panic!("{other:?}"),
    });
    let refused = Err(Refusal::Stale { current: 0, retry_in_ms: None });
    assert_eq!(outcomes.collect::<Vec<_>>(), [refused, refused, Err(Refusal::Unavailable)]);
    let left = state.queue.iter().map(|left| left.publication.author.unwrap().client_session.number());
    assert_eq!(left.collect::<Vec<_>>(), [3, 2]);
}
