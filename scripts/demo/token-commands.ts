/**
 * What a person types into a shell to exchange a token from outside by curl alone. Where the tokens come from is the demonstration's
 * own; the rest is in the README as well, for the same variables.
 */
import { SIMON, type TokenSources } from './outside-tokens.ts';
import { DEMO_PASSWORD } from './people.ts';
import { ADA, COUNTDOWN } from './sample-companies.ts';
import { asTyped } from './terminal.ts';

/** Lines to paste. Each block is whole once the variables are set. */
interface TokenCommands {
  readonly variables: readonly string[];
  readonly idToken: readonly string[];
  readonly opaqueToken: readonly string[];
  /** The example application, from the checkout. */
  readonly example: readonly string[];
}

const EXCHANGE = [
  'ANSWER="$(curl -sS "$GATEWAY/oidc/token" -u "$CLIENT:$(cat "$SECRET_FILE")" -d organization="$ORGANIZATION" \\',
  '  -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\',
];
/** Whom the tokens in the answer are for. */
const WHO = [
  'echo "$ANSWER"',
  `ACCESS_TOKEN="$(node -p 'JSON.parse(process.argv[1]).access_token' "$ANSWER")"`,
  'curl -sS "$GATEWAY/session" -H "Authorization: Bearer $ACCESS_TOKEN"',
];

/** The commands that the README has too, by what they exchange. */
const README_COMMANDS = {
  idToken: [
    ...EXCHANGE,
    '  -d subject_token_type=urn:ietf:params:oauth:token-type:id_token \\',
    '  -d external_id="$EXTERNAL_ID" --data-urlencode subject_token="$ID_TOKEN")"',
    ...WHO,
  ],
  opaqueToken: [
    ...EXCHANGE,
    '  -d subject_token_type=urn:gatehouse:token-type:opaque --data-urlencode subject_token="$OPAQUE_TOKEN")"',
    ...WHO,
  ],
};

export function tokenCommands(gatewayUrl: string, sources: TokenSources): TokenCommands {
  const { issuer, desk, backEnd, secretFile } = sources;
  const { clientId } = COUNTDOWN;
  const variables = {
    GATEWAY: gatewayUrl,
    ORGANIZATION: ADA.organization,
    CLIENT: clientId,
    SECRET_FILE: secretFile,
    EXTERNAL_ID: ADA.subject,
  };
  const ada = asTyped([desk.url, '-d', `email=${ADA.email}`, '-d', `password=${DEMO_PASSWORD}`]);
  const simon = asTyped([
    ...[`${backEnd}/demo/token`, '-d', `login=${SIMON.login}`],
    ...['-d', `password=${SIMON.password}`],
  ]);
  return {
    variables: [`export ${asTyped(Object.entries(variables).map(([name, value]) => `${name}=${value}`))}`],
    idToken: [`ID_TOKEN="$(curl -sS ${ada})"`, ...README_COMMANDS.idToken],
    opaqueToken: [`OPAQUE_TOKEN="$(curl -sS ${simon})"`, ...README_COMMANDS.opaqueToken],
    example: [
      'npm run example:exchange -- --gateway "$GATEWAY" --organization "$ORGANIZATION" \\',
      '  --client-id "$CLIENT" --client-secret-file "$SECRET_FILE" \\',
      `  --issuer ${issuer.origin} --issuer-client-id ${clientId}`,
    ],
  };
}
