/**
 * The connection of a domain that nobody has. Tokens for it are refused by the very code that refuses those of customers, so that the
 * answer takes as long and says nothing of who is one. It is stored nowhere, and nobody has the private half of its key.
 */
import type { ConnectionOf } from '../connection.ts';

const PEM = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAt6Q1cLvCacFa52UcNOrW
c8VFPkbfKELnuf8CJymoS9cO8oDlZhZxcJzbNZugnA7WQ5N/PCP0F02VD9aQeB1F
JMvNIKj3vSVmndT1xyFSuewYs+Esk7SGKSRlD4PUW9aOK8kWREDBl6RCo8XBhRsi
oLHxwogmjS9QJQlRwZ9FE1PXgxcFoWoerfCHsUPDXcNCK+OlR6pF1H9eOHwqfsOn
xNKIArBv75eXH7UjUUtgsR/zTIrEmBTZbvcPB3xMGQADwropdZUC8URkkQfBFkd+
dSkQCEtZz83HfhtirErOOynvAc5AKaOG+fFyx5qZ4qpJR20MpejiTA++1xvxGPhc
lwIDAQAB
-----END PUBLIC KEY-----
`;

export const DECOY_ID = '00000000-0000-0000-0000-000000000000';

export const DECOY: ConnectionOf<'jwt-callback'> = {
  id: DECOY_ID,
  organizationId: DECOY_ID,
  kind: 'jwt-callback',
  status: 'active',
  label: undefined,
  settings: {
    loginUrl: 'https://nobody.invalid/',
    keys: [{ keyId: 'decoy', pem: PEM, addedAt: '1970-01-01T00:00:00.000Z' }],
  },
  sealedSecrets: [],
  revision: 1,
  loginRevision: 1,
  createdAt: new Date(0),
};
