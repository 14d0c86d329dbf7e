import { describe, expect, it } from '@jest/globals';
import { programName } from '../../src/http/program-name.ts';

describe('programName', () => {
  it.each([
    ['curl/8.1.2', 'curl'],
    ['openid-client/v6.8.1', 'openid-client'],
    ['node', 'node'],
    ['python-requests/2.31 (linux)', 'python-requests'],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox'],
    ['Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36', 'Chrome'],
    ['Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0', 'Edge'],
    ['Mozilla/5.0 (something else)', 'a browser'],
    ['Your administrator asks you to press allow', 'Your'],
    ['"><script>', undefined],
    ['x'.repeat(200), undefined],
    ['', undefined],
    [undefined, undefined],
  ])('P-23 calls %j %j', (userAgent, name) => {
    expect(programName(userAgent)).toBe(name);
  });
});
