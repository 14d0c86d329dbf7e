/** Opaque tokens as laws: whatever a back end answers is one person or a refusal, and a token stays where it was put. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ConnectionOf } from '../../src/connections/connection.ts';
import { openOpaqueTokenConnector } from '../../src/connections/opaque-token/connector.ts';
import { verifyRequest, type TokenPlace } from '../../src/connections/opaque-token/verify-request.ts';
import { GatewayError } from '../../src/errors.ts';
import { canonicalEmail } from '../../src/organizations/email-address.ts';
import { parseJsonObject } from '../../src/strict-json.ts';
import { claims, orRefused } from './claims.ts';
import { hostileText } from './hostile.ts';
import { expectLinearTime } from './proportion.ts';

const RUNS = { numRuns: 500 };

const opaque = (map: object, more: object = {}) =>
  ({
    id: 'connection',
    organizationId: 'organization',
    kind: 'opaque-token',
    settings: {
      verifyUrl: 'https://back-end.example/verify?token={token}',
      method: 'GET',
      tokenIn: { place: 'url' },
      map: { subject: 'sub', ...map },
      require: [],
      createsUsers: true,
      linksExisting: false,
      applications: [],
      ...more,
    },
  }) as unknown as ConnectionOf<'opaque-token'>;

describe('an opaque token', () => {
  it('Q-01 Q-02 any answer is its person by one name, or refused', async () => {
    let accepted = 0;
    const path = fc.constantFrom('sub', 'email', '__proto__', 'constructor.name', 'a.b', '__proto__.sub');
    await fc.assert(
      fc.asyncProperty(claims, path, async (answer, subjectPath) => {
        const fetch = () =>
          Promise.resolve(
            new Response(JSON.stringify(answer), { headers: { 'content-type': 'application/json' } }),
          );
        const connection = opaque({ subject: subjectPath, email: 'email', name: 'name' });
        const connector = await openOpaqueTokenConnector(connection, { fetch } as never);
        const presented = { token: 'token', externalId: undefined, nonce: undefined } as never;
        const identity = await orRefused(['token_invalid'], () => connector.verify(presented));
        if (identity === undefined) return;
        accepted += 1;
        const read = parseJsonObject(JSON.stringify(answer)) ?? {};
        const found = subjectPath
          .split('.')
          .reduce<unknown>(
            (value, name) =>
              typeof value === 'object' && value !== null && !Array.isArray(value)
                ? Object.entries(value).find(([key]) => key === name)?.[1]
                : undefined,
            read,
          );
        expect(['string', 'number']).toContain(typeof found);
        expect(identity.subject).toBe(String(found));
        expect(identity.email).toEqual(canonicalEmail(read['email']));
      }),
      RUNS,
    );
    expect(accepted).toBeGreaterThan(20);
  });

  it('Q-07 stays where it was put: path, query and headers are as they were configured', async () => {
    const template = fc.constantFrom(
      'https://back-end.example/verify?token={token}&a=b',
      'https://back-end.example/verify/{token}/x?a=b',
      'https://back-end.example/v{token}',
      'https://back-end.example/?a={token}.json',
    );
    const places: readonly TokenPlace[] = [
      { place: 'url' },
      { place: 'bearer' },
      { place: 'header', name: 'x-token' },
      { place: 'form', name: 'token' },
      { place: 'json', name: '__proto__' },
    ];
    const token = fc.oneof(
      hostileText(10),
      fc.constantFrom('..', '.', '%2e%2e', 'a/../b', '$&', '{token}', '#', '?'),
    );
    await fc.assert(
      fc.asyncProperty(template, fc.constantFrom(...places), token, async (verifyUrl, tokenIn, text) => {
        const url = tokenIn.place === 'url' ? verifyUrl : verifyUrl.replace('{token}', '');
        const endpoint = { verifyUrl: url, method: 'POST', tokenIn } as const;
        const request = await orRefused(['malformed_request'], () => verifyRequest(endpoint, text));
        if (request === undefined) return;
        // What a back end would read in the places beside the token's is what it reads with another token there.
        const plain = verifyRequest(endpoint, 'plain');
        const names = ({ url: { searchParams } }: typeof plain) => [...searchParams.keys()];
        const segments = ({ url: { pathname } }: typeof plain) => pathname.split('/').length;
        expect([names(request), segments(request), request.url.hash, request.url.origin]).toEqual([
          names(plain),
          segments(plain),
          '',
          plain.url.origin,
        ]);
        expect([...new Headers(request.options.headers).keys()]).toEqual([
          ...new Headers(plain.options.headers).keys(),
        ]);
        if (tokenIn.place === 'form')
          expect([...new URLSearchParams(request.options.body as string)]).toEqual([['token', text]]);
        if (tokenIn.place === 'json')
          expect(Object.entries(JSON.parse(request.options.body as string) as object)).toEqual([
            ['__proto__', text],
          ]);
      }),
      RUNS,
    );
  });

  it('D-08 is put there in time that grows in proportion to it', () => {
    const { settings } = opaque({});
    const read = (token: string) => {
      try {
        verifyRequest(settings, token);
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
      }
    };
    expectLinearTime(read, { heads: ['', '..', '%'], longest: 8_192 });
  });
});
