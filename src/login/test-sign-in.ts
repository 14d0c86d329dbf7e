/**
 * A real sign-in that signs nobody in: what came, what it maps to, and what would become of the person. It runs the connector as
 * every sign-in does (complete-login.ts) and asks the same admission question; what it finds is kept, because a draft becomes active
 * only after a test that was passed.
 */
import {
  USERS_OF_THE_ORGANIZATION,
  userPolicy,
  type Connection,
  type TokenConnection,
} from '../connections/connection.ts';
import { isRedirectConnection } from '../connections/connection-kinds.ts';
import { recordConnectionTest, type TestOutcome } from '../connections/connection-test-store.ts';
import type { PresentedToken } from '../connections/connector.ts';
import type { VerifiedIdentity } from '../connections/verified-identity.ts';
import { GatewayError, type FailureCode } from '../errors.ts';
import { withinDeadline } from '../outbound/deadline.ts';
import { askAdmission } from './admission-store.ts';
import { attemptedConnection } from './attempted-connection.ts';
import { admissionRefusal, type Admission } from './admit-identity.ts';
import type { Arrival } from './complete-login.ts';
import { longestSignInAge } from './freshness.ts';
import type { LoginParts } from './login-parts.ts';
import type { TokenUseRow } from './finish-login-store.ts';
import { useOfTransaction } from './login-transaction.ts';
import { admissionQuestion, usesOf } from './open-session.ts';

export interface SignInTest {
  readonly passed: boolean;
  /** What was refused, and why, in words for an administrator. */
  readonly refusal: { readonly code: FailureCode; readonly reason: string } | undefined;
  /** Everything that came, as text. */
  readonly claims: readonly { readonly name: string; readonly value: string }[];
  /** What of it counts. */
  readonly mapped: { readonly email?: string; readonly subject: string; readonly name?: string } | undefined;
  /** Whether it ends its attempt. */
  readonly isOver: boolean;
  /** What a sign-in would have led to at this moment. */
  readonly person: 'exists' | 'would be created' | 'would be refused' | undefined;
}

/** What is wrong with the connection; anything else that admission refuses is wrong with the person, or not set up yet. */
const FAILING: ReadonlySet<Admission> = new Set([
  'domain_not_proved',
  'connection_missing',
  'connection_changed',
]);

/**
 * @param mayBeOthers whether the callback may belong to another attempt of the browser, which then has to be tried
 * @throws GatewayError `login_expired` if the attempt was used before, `temporarily_unavailable`
 */
export async function testSignIn(
  parts: LoginParts,
  { transaction, callback, isProved }: Arrival,
  mayBeOthers: boolean,
): Promise<SignInTest> {
  const connection = await attemptedConnection(parts, transaction);
  if (connection.loginRevision > transaction.revision) {
    throw new GatewayError('login_expired', { reason: 'the connection was changed after the test started' });
  }
  const { test, identity } = await observed(parts, connection, async (observe) => {
    const connector = await parts.connectors.open(connection);
    const demands = {
      longestAgeSeconds: longestSignInAge(transaction.returnTo),
      startedAtSeconds: transaction.startedAtSeconds,
    };
    return connector.complete(callback, transaction.secrets, demands, observe);
  });
  if (!isProved && test.refusal?.code === 'token_invalid') {
    if (mayBeOthers) throw new GatewayError('token_invalid', { reason: test.refusal.reason });
    // It proves nothing, and anybody could have sent it: it is shown, ends no attempt and takes back no test that was passed.
    return { ...test, isOver: false };
  }
  const uses = identity === undefined ? [] : usesOf(identity).filter(isForGood);
  return keep(parts, connection, test, { uses: [useOfTransaction(transaction), ...uses] });
}

const isForGood = (use: TokenUseRow): use is TokenUseRow & { readonly expiresAtSeconds: number } =>
  use.expiresAtSeconds !== undefined;

type TestParts = Pick<LoginParts, 'connectors' | 'database'>;

/** The same for a token that an application would show. The token is not used up. */
export async function testToken(
  parts: TestParts,
  connection: TokenConnection,
  presented: PresentedToken,
  actor: string,
): Promise<SignInTest> {
  const { test } = await observed(parts, connection, async (observe) => {
    const connector = await parts.connectors.open(connection);
    return connector.verify(presented, observe);
  });
  return keep(parts, connection, test, { actor });
}

/** A test that could not even be started: nothing was found out that could be kept. */
export function testThatDidNotStart(failure: GatewayError): SignInTest {
  return { ...NOTHING_CAME, refusal: refusalOf(failure) };
}

const NOTHING_CAME = { passed: false, claims: [], mapped: undefined, person: undefined, isOver: true };

async function keep(
  parts: TestParts,
  connection: Connection,
  test: SignInTest,
  { uses, actor }: Pick<TestOutcome, 'uses' | 'actor'>,
): Promise<SignInTest> {
  const { loginRevision } = connection;
  const failure = test.passed ? undefined : test.refusal;
  const isFresh = await recordConnectionTest(parts.database, connection, {
    kind: 'sign_in',
    loginRevision,
    code: failure?.code,
    reason: failure?.reason,
    ...(uses === undefined ? {} : { uses }),
    actor,
  });
  if (!isFresh) throw new GatewayError('login_expired', { reason: 'the test was made before' });
  return test;
}

type Observe = (claims: Readonly<Record<string, unknown>>) => void;

async function observed(
  parts: TestParts,
  connection: Connection,
  run: (observe: Observe) => Promise<VerifiedIdentity>,
): Promise<{ readonly test: SignInTest; readonly identity?: VerifiedIdentity }> {
  const came = new Map<string, unknown>();
  const observe: Observe = (claims) => {
    for (const [name, value] of Object.entries(claims)) came.set(name, value);
  };
  const claims = () => [...came].map(([name, value]) => ({ name, value: asText(value) }));
  try {
    const identity = await withinDeadline(() => run(observe));
    const verdict = await judge(parts, connection, identity);
    return { test: { claims: claims(), isOver: true, ...verdict }, identity };
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code === 'temporarily_unavailable') throw error;
    return { test: { ...NOTHING_CAME, claims: claims(), refusal: refusalOf(error) } };
  }
}

const refusalOf = ({ code, context }: GatewayError) => ({ code, reason: context.reason ?? code });

async function judge(
  parts: TestParts,
  connection: Connection,
  identity: VerifiedIdentity,
): Promise<Omit<SignInTest, 'claims' | 'isOver'>> {
  const users = isRedirectConnection(connection) ? USERS_OF_THE_ORGANIZATION : userPolicy(connection);
  const { answer, userExists, lapsedSince } = await askAdmission(parts.database, {
    ...admissionQuestion(identity, { revision: connection.revision, users }),
    isTest: true,
  });
  const { email, subject, name } = identity;
  const mapped = {
    ...(email === undefined ? {} : { email: email.address }),
    subject,
    ...(name === undefined ? {} : { name }),
  };
  if (answer === 'admitted') {
    return { passed: true, refusal: undefined, mapped, person: userExists ? 'exists' : 'would be created' };
  }
  return {
    passed: !FAILING.has(answer),
    refusal: admissionRefusal(answer, lapsedSince),
    mapped,
    person: 'would be refused',
  };
}

const LONGEST_VALUE = 500;

function asText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
}
