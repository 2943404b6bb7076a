//! Asks sentinels who the primary is. One that is cut off may name the one before, so all are asked, and who knows of the
//! latest fail-over is believed. Where nobody who knows of that one answers, what is older is believed of most of them only:
//! then they were set up anew.

use std::collections::HashMap;

use redis::{AsyncConnectionConfig, ProtocolVersion, RedisResult, Value};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, timeout_at},
};

use super::{
    dial::{Manner, dial},
    place::{Endpoint, Login, Place, Tls},
    wire::text,
};

/// How long the others have to answer once one has.
const BEHIND_THE_FIRST: Duration = Duration::from_millis(300);

/// Sentinels, and what is asked of them.
#[derive(Clone)]
pub(super) struct Sentinels {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) name: String,
    pub(super) login: Login,
    pub(super) tls: Option<Tls>,
    /// Longest time for a connection to be made.
    pub(super) connect_timeout: Duration,
    /// Longest time for an answer.
    pub(super) command_timeout: Duration,
}

/// What one sentinel says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    /// Which fail-over is the latest that it knows of.
    epoch: u64,
    primary: Endpoint,
}

/// What is believed of sentinels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Believed {
    /// Which fail-over made it the primary.
    pub(super) epoch: u64,
    /// Where it is: one place, or some where they call it by several names.
    pub(super) primaries: Vec<Endpoint>,
}

impl Sentinels {
    /// Who the primary is. `known` is the latest fail-over that was believed before, 0 where none was.
    ///
    /// # Errors
    ///
    /// Why none of them says so.
    pub(super) async fn primary(&self, known: u64) -> Result<Believed, String> {
        let mut asking = JoinSet::new();
        for endpoint in &self.endpoints {
            let (sentinels, endpoint) = (self.clone(), endpoint.clone());
            asking.spawn(async move {
                let named = sentinels.ask(&endpoint).await;
                named.map_err(|reason| format!("sentinel {endpoint}: {reason}"))
            });
        }
        let mut deadline = Instant::now() + self.connect_timeout + self.command_timeout;
        let (mut answers, mut reasons) = (Vec::new(), Vec::new());
        while let Ok(Some(answer)) = timeout_at(deadline, asking.join_next()).await {
            match answer {
                Ok(Ok(named)) => {
                    deadline = deadline.min(Instant::now() + BEHIND_THE_FIRST);
                    answers.push(named);
                }
                Ok(Err(reason)) => reasons.push(reason),
                Err(_) => {}
            }
        }
        if !answers.is_empty() {
            return believe(&answers, self.endpoints.len(), known);
        }
        reasons.sort();
        Err(if reasons.is_empty() { "no sentinel answers in time".to_owned() } else { reasons.join("; ") })
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<Named, String> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.command_timeout));
        let manner = Manner {
            login: &self.login,
            tls: self.tls.as_ref(),
            protocol: ProtocolVersion::RESP2,
            within: self.connect_timeout,
        };
        let asked = async {
            let dialled = dial(&Place::Tcp(endpoint.clone()), manner, config).await?;
            let ask = redis::cmd("SENTINEL").arg("MASTER").arg(&self.name).to_owned();
            let answer: RedisResult<Value> = ask.query_async(&mut dialled.connection.clone()).await;
            answer
        };
        let answer = asked.await.map_err(|error| error.to_string())?;
        named(&answer).ok_or_else(|| "it names no primary".to_owned())
    }
}

/// What is believed of what some of so many have said.
fn believe(answers: &[Named], of: usize, known: u64) -> Result<Believed, String> {
    let epoch = answers.iter().map(|named| named.epoch).max().unwrap_or(0);
    let mut primaries: Vec<_> =
        answers.iter().filter(|named| named.epoch == epoch).map(|named| named.primary.clone()).collect();
    primaries.dedup();
    if epoch < known && answers.len() * 2 <= of {
        let named = primaries.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (here, before) = (answers.len(), format!("fail-over {known}"));
        return Err(format!(
            "{here} of {of} sentinels answer, and name {named}, which was the primary before {before}"
        ));
    }
    Ok(Believed { epoch, primaries })
}

/// What it says is a list of names, each with its value behind it.
fn named(answer: &Value) -> Option<Named> {
    let Value::Array(parts) = answer else { return None };
    let fields: HashMap<_, _> =
        parts.chunks_exact(2).filter_map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect();
    let endpoint =
        Endpoint { host: (*fields.get("ip")?).to_owned(), port: fields.get("port")?.parse().ok()? };
    let epoch = fields.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    Some(Named { epoch, primary: endpoint })
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::{Believed, Endpoint, Named, believe, named};

    #[test]
    fn what_a_sentinel_says_is_understood_or_not_believed() {
        let list = |words: &[&str]| {
            Value::Array(words.iter().map(|word| Value::BulkString(word.as_bytes().to_vec())).collect())
        };
        let said = named(&list(&["name", "m", "ip", "::1", "port", "7000", "config-epoch", "3"])).unwrap();
        assert_eq!((said.primary.to_string().as_str(), said.epoch), ("[::1]:7000", 3));
        for wrong in [&["ip", "h"][..], &["ip", "h", "port", "x"], &[], &["ip"]] {
            assert_eq!(named(&list(wrong)), None, "{wrong:?}");
        }
        assert_eq!(named(&Value::Nil), None);
    }

    #[test]
    fn the_latest_fail_over_is_believed_and_an_older_one_of_most_only() {
        let at = |port| Endpoint { host: "h".to_owned(), port };
        let named = |epoch, port| Named { epoch, primary: at(port) };
        let believed = |epoch, ports: &[u16]| {
            Ok(Believed { epoch, primaries: ports.iter().map(|port| at(*port)).collect() })
        };
        assert_eq!(believe(&[named(3, 1), named(4, 2), named(3, 1)], 3, 0), believed(4, &[2]));
        assert_eq!(believe(&[named(4, 2), named(4, 2), named(4, 3)], 3, 4), believed(4, &[2, 3]));
        assert_eq!(believe(&[named(5, 1)], 3, 4), believed(5, &[1]), "it is the newest");
        let said = believe(&[named(3, 1)], 2, 4).unwrap_err();
        assert_eq!(said, "1 of 2 sentinels answer, and name h:1, which was the primary before fail-over 4");
        assert_eq!(believe(&[named(0, 1), named(0, 1)], 3, 4), believed(0, &[1]), "they were set up anew");
    }
}
