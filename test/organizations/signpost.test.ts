/** What `org import-signposts` reads: signposts to other regions, and nothing that is more or less than that. */
import { describe, expect, it } from '@jest/globals';
import { parseSignposts } from '../../src/organizations/signpost.ts';

const regions = {
  here: 'eu',
  urls: new Map([
    ['eu', 'https://eu.sso.example'],
    ['us', 'https://us.sso.example'],
  ]),
};
const line = (signpost: object) =>
  `${JSON.stringify({ slug: 'acme', name: 'Acme', region: 'us', domains: ['acme.example'], ...signpost })}\n`;

describe('parseSignposts', () => {
  const acme = { slug: 'acme', name: 'Acme', region: 'us', domains: ['acme.example'] };

  it.each([
    ['lines', line({})],
    ['lines that another system wrote', `\r\n${line({}).trimEnd()}\r\n\r\n`],
    ['an array', JSON.stringify([acme], null, 2)],
    ['other spellings', line({ name: ' Acme ', domains: ['ACME.example.'] })],
  ])('reads %s', (_, text) => {
    expect(parseSignposts(text, regions)).toEqual([acme]);
  });

  it('reads a file without any', () => {
    expect(parseSignposts('', regions)).toEqual([]);
    expect(parseSignposts('[]', regions)).toEqual([]);
  });

  it.each([
    ['no JSON', 'nonsense', /^Line 1 is not JSON\.$/],
    ['half an array', '[{', /^The array is not JSON\.$/],
    ['null', 'null', /^Entry 1 is no signpost/],
    ['an object with less', '{"slug":"x"}', /^Entry 1 is no signpost/],
    ['a secret beside it', line({ client_secret: 's' }), /^Entry 1 is no signpost/],
    ['a bad slug', line({}) + line({ slug: 'X' }), /^Entry 2 is no signpost/],
    ['a bad domain', line({ domains: ['localhost'] }), /^Entry 1 is no signpost/],
    ['a name that acts on a terminal', line({ name: '\u001b[2J' }), /^Entry 1 is no signpost/],
    ['this very region', line({ region: 'eu' }), /^Entry 1 \(acme\) leads to this very region, eu\.$/],
    ['an unknown region', line({ region: 'asia' }), /a region that REGIONS does not name\.$/],
    ['a slug twice', line({}).repeat(2), /^Entry 2 \(acme\) is there twice\.$/],
  ])('refuses %s', (_, text, problem) => {
    expect(() => parseSignposts(text, regions)).toThrow(problem);
  });

  it('refuses any where there are no regions', () => {
    expect(() => parseSignposts(line({}), undefined)).toThrow('Set REGION and REGIONS.');
  });
});
