import { describe, expect, it } from '@jest/globals';
import { safeHref, safeImageSource } from '../../src/http/pages/safe-href.ts';

describe('safeHref', () => {
  it.each([
    'https://help.vendor.example/a?b=c#d',
    'HTTP://vendor.example',
    'mailto:help@vendor.example',
    '/',
    '/login?return_to=%2Fx',
  ])('links to %s', (address) => {
    expect(safeHref(address)).toBe(address);
  });

  it.each([
    '',
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\tscript:alert(1)',
    ' javascript:alert(1)',
    '\u0001javascript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'blob:https://vendor.example/1',
    '//evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    'https:evil.example',
    'https:///evil.example',
    'https://',
    'https://[',
    'mailto:',
    'login',
    '?x',
    '#x',
    'https://vendor.example/\u202egpj',
  ])('does not link to %j', (address) => {
    expect(safeHref(address)).toBeUndefined();
  });

  it('takes an image from the web or this host, not from a mailbox', () => {
    expect(safeImageSource('https://cdn.example/logo.svg')).toBe('https://cdn.example/logo.svg');
    expect(safeImageSource('/logo.svg')).toBe('/logo.svg');
    expect(safeImageSource('mailto:help@vendor.example')).toBeUndefined();
    expect(safeImageSource('data:image/svg+xml,x')).toBeUndefined();
    expect(safeImageSource(undefined)).toBeUndefined();
  });
});
