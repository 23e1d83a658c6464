//! Tasks that go from agent to agent with a call: handed over with a call that invokes an agent, and taken up by a call that
//! passes on what came with it.

use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::{Pep, refusals};
use crate::call::{Call, Class, Decided, Decision, Presented, Principal, Refusal, Task, TaskId};
use crate::identity::{Carrier, Claim};
use crate::intent::{Place, TaskEnd};
use crate::record::Event;

impl Pep {
    /// The task of a call. Where the caller passes on a chain it is the one that was handed over, and the principal is told
    /// here: who hands over, and what, stands in the chain, but who calls is shown by evidence of the caller's own.
    pub(super) async fn task_of(
        &self,
        claim: &Claim,
        presented: &Presented,
    ) -> Result<(TaskId, Option<Principal>), Refusal> {
        let chain = self.identity.handed(presented).map_err(|error| refusals::identity(&error))?;
        let own = match claim {
            Claim::Svid { agent, .. } | Claim::Neighbour { agent } | Claim::Assumed { agent } => {
                self.tasks.standing(agent).await.map_err(|error| refusals::intent(&error))?.id
            }
            Claim::Token { task, .. } | Claim::Port { task } => *task,
        };
        let Some(chain) = chain else { return Ok((own, None)) };
        let under = self.tasks.task(own).map_err(|error| refusals::intent(&error))?;
        let principal = claim.handed_to(&chain.agent, &under).map_err(|error| refusals::identity(&error))?;
        let joined = self.tasks.join(&chain.handed, &chain.agent, &chain.carrier.host, own).await;
        let joined = joined.map_err(|error| refusals::intent(&error))?;
        if joined.opened {
            self.tell_opened(&joined.task).await?;
        }
        Ok((joined.task.id, Some(principal)))
    }

    /// A call that delegates, to a host where an agent is known to answer, hands a task to that agent: inside of the caller's
    /// own, and ending with it. If the agent works behind a node that can be told, the call carries that task in a chain.
    pub(super) async fn hand_over(
        &self,
        call: Call<Decided>,
        place: &Place,
    ) -> Result<Call<Decided>, Refusal> {
        match self.chain_for(&call).await {
            Ok(None) => Ok(call),
            Ok(Some(chain)) => Ok(call.bearing(chain)),
            Err(refusal) => {
                self.settle(place, call.stage(), Decision::Deny, Some(refusal.code()));
                Err(self.refuse(call.account(), Decision::Deny, refusal).await)
            }
        }
    }

    async fn chain_for(&self, call: &Call<Decided>) -> Result<Option<HeaderValue>, Refusal> {
        let (head, stage) = (call.head(), call.stage());
        // What is said over a WebSocket has no fields to carry anything.
        if stage.operations.class() != Class::Delegate || head.upgrade.is_some() {
            return Ok(None);
        }
        let Some(invoked) = self.tasks.invoked(&head.origin.host) else { return Ok(None) };
        let (own, lease) = (self.chains.name(), self.chains.life());
        let handed = self.tasks.hand_over(stage.task.id, &invoked, head.id, own, lease).await;
        let handed = handed.map_err(|error| refusals::delegation(&error))?;
        if handed.opened {
            self.tell_opened(&handed.task).await?;
        }
        let Some(behind) = invoked.behind else { return Ok(None) };
        let digest = Sha256::digest(head.target.raw());
        let carrier = Carrier {
            id: head.id,
            method: head.method.to_string(),
            host: head.origin.host.to_string(),
            target: digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")),
        };
        let unsigned = |why: String| Refusal::OutsideGrant {
            why: format!("no task can be handed over with this call: {why}"),
        };
        let chain = self.chains.mint(handed.links, &behind, carrier);
        let chain = chain.map_err(|error| unsigned(error.to_string()))?;
        let mut value = HeaderValue::try_from(chain).map_err(|error| unsigned(error.to_string()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// A task that cannot be recorded takes no calls.
    async fn tell_opened(&self, task: &Task) -> Result<(), Refusal> {
        let Err(error) = self.journal.note(Event::TaskOpened { task, by: None }).await else { return Ok(()) };
        if let Err(error) = self.tasks.end(task.id, TaskEnd::Withdrawn).await {
            tracing::warn!(%error, task = %task.id, "a task that was handed over and not recorded does not end");
        }
        Err(refusals::journal(&error))
    }
}
