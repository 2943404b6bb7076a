use std::sync::{Arc, Weak};

use super::Document;
use crate::{
    cluster::keys::Keys,
    ids::{ClientSessionId, ConnectionId, Id, Topic},
    room::{
        document_log::{Deliver, News},
        publication::{Author, Content, Publication},
    },
};

/// Only its type is needed: nobody listens.
struct Nobody;

impl Deliver for Nobody {
    fn hear(self: std::sync::Arc<Self>, _: Vec<News>) {}
}

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
    let id = Id::new("doc").unwrap();
    let document =
        Document::new(id.clone(), Keys::of("hub:", &id, "p"), Weak::<Nobody>::new(), &Arc::default());
    assert!(document.enqueue(of_client(7, 1)).unwrap());
    assert_eq!(document.next_batch().unwrap().number, 1);
    assert!(!document.enqueue(of_client(7, 2)).unwrap());
    document.give_up();
    // With a place, 3 would say that 1 and 2 have theirs.
    assert_eq!(document.enqueue(of_client(7, 3)).unwrap_err().number, Some(3));
    assert!(document.enqueue(of_client(8, 1)).unwrap(), "others go on");
    document.knows_refused(ClientSessionId::new(7));
    assert!(!document.enqueue(of_client(7, 1)).unwrap(), "somebody sends already");
}
