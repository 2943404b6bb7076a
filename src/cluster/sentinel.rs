//! Asks sentinels who the primary is. One that is cut off may name the one before, so all are asked, and who knows of the
//! latest fail-over is believed.

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
#[derive(Debug, PartialEq, Eq)]
struct Named {
    /// How many fail-overs it knows of.
    epoch: u64,
    primary: Endpoint,
}

impl Sentinels {
    /// Who the primary is.
    ///
    /// # Errors
    ///
    /// Why none of them says so.
    pub(super) async fn primary(&self) -> Result<Endpoint, String> {
        let mut asking = JoinSet::new();
        for endpoint in &self.endpoints {
            let (sentinels, endpoint) = (self.clone(), endpoint.clone());
            asking.spawn(async move {
                let named = sentinels.ask(&endpoint).await;
                named.map_err(|reason| format!("sentinel {endpoint}: {reason}"))
            });
        }
        let mut deadline = Instant::now() + self.connect_timeout + self.command_timeout;
        let (mut best, mut reasons) = (None::<Named>, Vec::new());
        while let Ok(Some(answer)) = timeout_at(deadline, asking.join_next()).await {
            match answer {
                Ok(Ok(named)) => {
                    deadline = deadline.min(Instant::now() + BEHIND_THE_FIRST);
                    if best.as_ref().is_none_or(|best| named.epoch > best.epoch) {
                        best = Some(named);
                    }
                }
                Ok(Err(reason)) => reasons.push(reason),
                Err(_) => {}
            }
        }
        reasons.sort();
        match best {
            Some(named) => Ok(named.primary),
            None if reasons.is_empty() => Err("no sentinel answers in time".to_owned()),
            None => Err(reasons.join("; ")),
        }
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

    use super::named;

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
}
