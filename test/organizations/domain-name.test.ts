/** D-05, D-06 and the domains of group E: one canonical form, or none. */
import { describe, expect, it } from '@jest/globals';
import { canonicalDomain, lowerCaseAscii } from '../../src/organizations/domain-name.ts';
import { LINEAR_GROWTH, repeated, timeGrowth } from '../http/growth.ts';

const label = (length: number) => 'a'.repeat(length);
/** A name of exactly so many characters, in labels of 49. */
const nameOf = (length: number) =>
  repeated(`${label(49)}.`, '', '.example')(length).replace(/\.\.example$/, 'a.example');

describe('canonicalDomain', () => {
  it.each([
    ['a name', 'acme.example', 'acme.example'],
    ['upper case', 'ACME.Example', 'acme.example'],
    ["the root's dot", 'acme.example.', 'acme.example'],
    ['many labels', 'a.b.c.d.e.acme.example', 'a.b.c.d.e.acme.example'],
    ['digits', '1.2.3.4.example', '1.2.3.4.example'],
    ['a label that begins with a digit', '3com.example', '3com.example'],
    ['hyphens', 'a-b--c.example', 'a-b--c.example'],
    ['a label of 63', `${label(63)}.example`, `${label(63)}.example`],
    ['a name of 253', nameOf(253), nameOf(253)],
    ["a name of 253 and the root's dot", `${nameOf(253)}.`, nameOf(253)],
    ['a new top-level domain', 'acme.museum', 'acme.museum'],
  ])('D-05 reads %s', (_, text, expected) => {
    expect(canonicalDomain(text)).toBe(expected);
  });

  it.each([
    ['a U-label', 'b\u00fccher.example', 'xn--bcher-kva.example'],
    ['its A-label', 'xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['an A-label in upper case', 'XN--BCHER-KVA.EXAMPLE', 'xn--bcher-kva.example'],
    ["a U-label with the root's dot", 'b\u00fccher.example.', 'xn--bcher-kva.example'],
    ['a U-label below a name in upper case', 'b\u00fccher.EXAMPLE', 'xn--bcher-kva.example'],
    ['a sharp s, which is not ss', 'fa\u00df.example', 'xn--fa-hia.example'],
    ['a final sigma', '\u03c2.example', 'xn--3xa.example'],
    ['a sigma that is not final', '\u03c3.example', 'xn--4xa.example'],
    ['a dotless i, which is not i', '\u0131.example', 'xn--cfa.example'],
    ['a name without a Latin letter', '\u65e5\u672c.\u65e5\u672c', 'xn--wgv71a.xn--wgv71a'],
    [
      'an internationalised top-level domain',
      '\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444',
      'xn--e1afmkfd.xn--p1ai',
    ],
  ])('D-05 E-17 reads %s', (_, text, expected) => {
    expect(canonicalDomain(text)).toBe(expected);
  });

  it.each([
    ['a Cyrillic a', '\u0430cme.example', 'acme.example'],
    ['a Greek omicron', 'fo\u03bf.example', 'foo.example'],
    ['an accent', 'acm\u00e9.example', 'acme.example'],
    ['ss for a sharp s', 'fass.example', 'xn--fa-hia.example'],
    ['a subdomain', 'sub.acme.example', 'acme.example'],
    ['a suffix', 'acme.example.evil.example', 'acme.example'],
    ['a prefix', 'evilacme.example', 'acme.example'],
  ])('E-16 E-20 T-15 takes %s for another name', (_, text, original) => {
    expect(canonicalDomain(text)).toBeDefined();
    expect(canonicalDomain(text)).not.toBe(original);
  });

  it.each([
    ['nothing', ''],
    ['a dot', '.'],
    ['a top-level domain', 'com'],
    ['localhost', 'localhost'],
    ['one label and the root', 'com.'],
    ['everything', '*'],
    ['a wildcard', '*.acme.example'],
    ['SQL wildcards', 'acm_.example'],
    ['a percent', 'acme%.example'],
    ['a percent alone', '%'],
    ['an underscore alone', '_'],
    ['a service label', '_dmarc.acme.example'],
    ['a leading dot', '.acme.example'],
    ['two dots', 'acme..example'],
    ['two dots at the end', 'acme.example..'],
    ['a leading hyphen', '-acme.example'],
    ['a trailing hyphen', 'acme-.example'],
    ['a hyphen alone', '-.example'],
    ['a label of 64', `${label(64)}.example`],
    ['a name of 254', nameOf(254)],
    ['a name of 255', nameOf(255)],
    ['space around', ' acme.example'],
    ['space behind', 'acme.example '],
    ['space inside', 'ac me.example'],
    ['a line break', 'acme.example\n'],
    ['a NUL', 'acme.example\0'],
    ['a NUL inside', 'acme\0.example'],
    ['a tab', 'acme\t.example'],
    ['a delete', 'acme\u007f.example'],
    ['a port', 'acme.example:443'],
    ['a path', 'acme.example/x'],
    ['a query', 'acme.example?x'],
    ['a fragment', 'acme.example#x'],
    ['a user', 'user@acme.example'],
    ['a scheme', 'https://acme.example'],
    ['a backslash', 'acme\\.example'],
    ['a percent escape', 'acme%2eexample'],
    ['quotes', '"acme.example"'],
    ['markup', '<b>.example'],
    ['a traversal', '../../etc/passwd'],
    ['a member of every object', '__proto__'],
  ])('D-06 E-19 refuses %s', (_, text) => {
    expect(canonicalDomain(text)).toBeUndefined();
  });

  it.each([
    ...['127.0.0.1', '1.2.3.4', '127.1', '2130706433', '0x7f000001', '0177.0.0.1', '0x7f.1', '127.0.0.0x1'],
    ...[
      '0x7f.0x1',
      'acme.1',
      'acme.0x10',
      'acme.0x',
      '1.2.3.4.',
      '[127.0.0.1]',
      '::1',
      '[::1]',
      '[IPv6:::1]',
    ],
    ...['\u2460\u2461\u2466.0.0.1', '\uff11\uff12\uff17.0.0.1', '127\u30020\u30020\u30021'],
  ])('E-09 F-03 refuses the address %s', (text) => {
    expect(canonicalDomain(text)).toBeUndefined();
  });

  it.each([
    ['full-width letters', '\uff41\uff43\uff4d\uff45.example'],
    ['an ideographic full stop', 'acme\u3002example'],
    ['a full-width full stop', 'acme\uff0eexample'],
    ['a half-width full stop', 'acme\uff61example'],
    ['a soft hyphen', 'ac\u00adme.example'],
    ['a zero-width space', 'ac\u200bme.example'],
    ['a zero-width joiner', 'ac\u200dme.example'],
    ['a zero-width non-joiner', 'ac\u200cme.example'],
    ['a byte order mark', '\ufeffacme.example'],
    ['a word joiner', 'ac\u2060me.example'],
    ['a variation selector', 'acme\ufe0f.example'],
    ['a bidirectional override', '\u202eacme.example'],
    ['a no-break space', 'acme\u00a0.example'],
    ['a Kelvin sign', '\u212aelvin.example'],
    ['a long s', '\u017facme.example'],
    ['a ligature', '\ufb01n.example'],
    ['a capital I with a dot', '\u0130.example'],
    ['a U-label in upper case', 'B\u00dcCHER.example'],
    ['a U-label in another normal form', 'bu\u0308cher.example'],
    ['a U-label and a full-width letter', 'b\u00fccher.\uff45xample'],
    ['a capital sharp s', 'fa\u1e9e.example'],
    ['a superscript', 'acme\u00b2.example'],
    ['a lone surrogate', '\ud800.example'],
    ['an unassigned point', '\u0378.example'],
    ['a private use point', '\ue000.example'],
    ['a combining mark at the start', '\u0301a.example'],
  ])('E-10 E-12 E-13 E-18 repairs nothing: %s', (_, text) => {
    expect(canonicalDomain(text)).toBeUndefined();
  });

  it.each([
    ['nothing encoded', 'xn--.example'],
    ['ASCII alone encoded', 'xn--acme-.example'],
    ['what is no Punycode', 'xn--\u00fc.example'],
    ['an overflow', 'xn--99999999999.example'],
    ['an A-label of an A-label', 'xn--xn--a-.example'],
    ['a soft hyphen', 'xn--acm-hfa51a.example'],
    ['a zero-width space', 'xn--9ca450n.example'],
    ['another normal form', 'xn--bucher-xyd.example'],
    ['a combining mark at the start', 'xn--a-wbb.example'],
    ['a full-width letter', 'xn--cme-n76s.example'],
    ['a letter in upper case', 'xn--bcher-2pa.example'],
  ])('E-18 refuses an A-label of %s', (_, text) => {
    expect(canonicalDomain(text)).toBeUndefined();
  });

  it.each([
    [undefined],
    [null],
    [0],
    [true],
    [['acme.example']],
    [{}],
    [new String('acme.example')],
    [Symbol('x')],
  ])('refuses what is no string (%#)', (value) => {
    expect(canonicalDomain(value)).toBeUndefined();
  });

  it('leaves what is canonical as it is', () => {
    for (const text of [
      'acme.example',
      'ACME.EXAMPLE.',
      'b\u00fccher.example',
      'fa\u00df.example',
      '\u65e5\u672c.example',
    ]) {
      const once = canonicalDomain(text);
      expect(once).toMatch(/^[a-z0-9.-]+$/);
      expect(canonicalDomain(once)).toBe(once);
      expect(new URL(`http://${String(once)}/`).hostname).toBe(once);
    }
  });

  it.each([
    ['dots', repeated('.')],
    ['labels', repeated('a.')],
    ['hyphens', repeated('-')],
    ['hyphens in a label', repeated('-', 'a', 'a.example')],
    ['hyphens after a letter', repeated('a-')],
    ['letters', repeated('a')],
    ['U-labels', repeated('\u00fc.')],
    ['A-labels', repeated('xn--')],
    ['digits', repeated('1')],
  ])('D-08 takes time in proportion: %s', (_, input) => {
    expect(timeGrowth(canonicalDomain, input)).toBeLessThan(LINEAR_GROWTH);
  });

  it.each([
    ['dots', repeated('.')],
    ['labels', repeated('a.')],
    ['hyphens', repeated('a-')],
    ['U-labels', repeated('\u00fc.')],
    ['A-labels', repeated('xn--')],
  ])('D-08 takes no longer for what is too long: %s', (_, input) => {
    expect(timeGrowth(canonicalDomain, input)).toBeLessThan(4);
  });
});

describe('lowerCaseAscii', () => {
  it('E-12 folds A to Z and nothing else', () => {
    expect(lowerCaseAscii('AZaz09')).toBe('azaz09');
    const others = '\u0130\u0131\u212a\u017f\u00c9\uff21\u0391\u0410[]@`{';
    expect(lowerCaseAscii(others)).toBe(others);
  });
});
