/** Organizations whose people cannot sign in, and what is believed without a proof. */
import { isForOthers, type CheckParts } from './check.ts';
import type { Finding } from './finding.ts';
import { readLooseEnds, type LooseEnds } from './loose-ends-store.ts';

/** More of a kind would hide what else there is. */
const MOST_NAMED = 20;

export async function checkCustomers(parts: CheckParts): Promise<readonly Finding[]> {
  const found = await readLooseEnds(parts.database, MOST_NAMED);
  return [...waysIn(found), ...trusting(found), ...(isForOthers(parts) ? byWord(found) : [])];
}

function* waysIn({ withoutWayIn, withoutWayInCount }: LooseEnds): Generator<Finding> {
  const others = withoutWayInCount - withoutWayIn.length;
  for (const [index, organization] of withoutWayIn.entries()) {
    const isLast = index === withoutWayIn.length - 1;
    yield {
      kind: 'no_way_in',
      severity: 'notice',
      organization,
      subject: organization,
      message: `nobody of ${organization} can sign in: it has no active connection${
        isLast && others > 0 ? ` (nor have ${others} others)` : ''
      }`,
      nextStep: `gatehouse connection list ${organization}; then activate or enable one, or: gatehouse org disable ${organization}`,
    };
  }
}

function* trusting({ trusting: connections }: LooseEnds): Generator<Finding> {
  for (const { id, organization } of connections) {
    yield {
      kind: 'trust',
      severity: 'notice',
      organization,
      connectionId: id,
      subject: id,
      message: 'its issuer is believed about addresses that it does not call verified (--trust-email)',
      nextStep: `if people can choose their address there: gatehouse connection update ${id} --trust-email no`,
    };
  }
}

function* byWord({ provedByWordCount: count }: LooseEnds): Generator<Finding> {
  if (count === 0) return;
  yield {
    kind: 'trust',
    severity: 'notice',
    subject: 'domains',
    message:
      count === 1
        ? 'one domain is proved by your word alone'
        : `${count} domains are proved by your word alone`,
    nextStep:
      'gatehouse domain list shows which; gatehouse domain verify <domain> takes the record of DNS for it',
  };
}
