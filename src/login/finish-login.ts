/**
 * Step 6 of the flow, the one place that opens sessions: first by the statement for people of whom nothing is new, which knows no
 * other answer, then by the whole one.
 */
import type { Database } from '../database/database.ts';
import { finishLoginWhole, type FinishedLogin, type FinishLogin } from './finish-login-store.ts';
import { knownLogins, mayBeKnown } from './known-login-store.ts';

/**
 * @returns what finishes a sign-in
 * @throws GatewayError `temporarily_unavailable`; nothing was written then, or everything was
 */
export function loginFinisher(database: Database): (login: FinishLogin) => Promise<FinishedLogin> {
  const finishForKnown = knownLogins(database);
  return async (login) => {
    const finished = mayBeKnown(login) ? await finishForKnown(login) : undefined;
    return finished ?? finishLoginWhole(database, login);
  };
}
