//! Topics, as numbers that all versions understand.

use crate::ids::Topic;

const TOPICS: [(Topic, u8); 5] = [
    (Topic::Update, 0),
    (Topic::Awareness, 1),
    (Topic::Selection, 2),
    (Topic::Steps, 3),
    (Topic::Presence, 4),
];

pub(super) fn number_of(topic: Topic) -> u8 {
    TOPICS.iter().find(|(each, _)| *each == topic).map_or(u8::MAX, |(_, number)| *number)
}

pub(super) fn topic_of(number: u8) -> Option<Topic> {
    TOPICS.iter().find(|(_, each)| *each == number).map(|(topic, _)| *topic)
}
