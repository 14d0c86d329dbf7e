/** Claims about a person for applications (OpenID Connect Core, section 5.1). `org` is ours: id and slug of the organization. */
import type { Account } from 'oidc-provider';
import type { Session } from '../sessions/session.ts';
import type { LiveGrant } from './grant-store.ts';

/** Claims by scope. What is in the scope `openid` is in every ID token and in userinfo. */
export const claimsByScope = {
  openid: ['sub', 'org', 'amr', 'auth_time'],
  email: ['email', 'email_verified'],
  profile: ['name'],
} as const;

interface Person {
  readonly id: string;
  readonly email: string | undefined;
  readonly name: string | undefined;
  readonly organization: { readonly id: string; readonly slug: string };
}

function accountOf({ id, email, name, organization }: Person): Account {
  const claims = {
    sub: id,
    org: { id: organization.id, slug: organization.slug },
    // An address is only ever admitted if the organization proved its domain.
    ...(email === undefined ? {} : { email, email_verified: true }),
    ...(name === undefined ? {} : { name }),
  };
  return { accountId: id, claims: () => claims };
}

export function accountOfSession({ user, organization }: Session): Account {
  return accountOf({ ...user, organization });
}

export function accountOfGrant({ holder }: LiveGrant): Account {
  const { userId, email, name, organization } = holder;
  return accountOf({ id: userId, email, name, organization });
}
