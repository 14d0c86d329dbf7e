/** Group E as a table: one canonical address, or none. */
import { describe, expect, it } from '@jest/globals';
import { canonicalEmail } from '../../src/organizations/email-address.ts';
import { isSlug } from '../../src/organizations/organization.ts';
import { LINEAR_GROWTH, repeated, timeGrowth } from '../http/growth.ts';

const of = (text: unknown) => canonicalEmail(text)?.address;

describe('canonicalEmail', () => {
  it.each([
    ['an address', 'ada@acme.example', 'ada@acme.example'],
    ['E-14 upper case', 'ADA@ACME.EXAMPLE', 'ada@acme.example'],
    ['E-14 mixed case', 'aDa.LoVe@AcMe.eXaMpLe', 'ada.love@acme.example'],
    ['E-15 a tag', 'ada+news@acme.example', 'ada+news@acme.example'],
    ['E-15 dots', 'a.d.a@acme.example', 'a.d.a@acme.example'],
    ['E-15 an underscore and a hyphen', '_a-d_@acme.example', '_a-d_@acme.example'],
    ['E-17 a U-label', 'ada@b\u00fccher.example', 'ada@xn--bcher-kva.example'],
    ['E-17 its A-label', 'ada@XN--bcher-kva.example', 'ada@xn--bcher-kva.example'],
    ['E-24 a name of every object', '__proto__@acme.example', '__proto__@acme.example'],
    ['E-24 another one', 'constructor@acme.example', 'constructor@acme.example'],
    ['E-21 a local part of 64', `${'a'.repeat(64)}@acme.example`, `${'a'.repeat(64)}@acme.example`],
    ['an apostrophe', "o'neil@acme.example", "o'neil@acme.example"],
    ['a slash', 'a/b@acme.example', 'a/b@acme.example'],
    ['one letter', 'a@b.example', 'a@b.example'],
    ['digits', '1@2.example', '1@2.example'],
    ['a subdomain', 'ada@sub.acme.example', 'ada@sub.acme.example'],
  ])('reads %s', (_, text, expected) => {
    expect(of(text)).toBe(expected);
    expect(canonicalEmail(text)?.domain).toBe(expected.split('@')[1]);
  });

  it('E-14 E-15 folds case and keeps tags and dots', () => {
    expect(of('Ada@Acme.example')).toBe(of('ADA@acme.EXAMPLE'));
    expect(new Set(['ada', 'ada+a', 'ada+b', 'a.da'].map((local) => of(`${local}@acme.example`))).size).toBe(
      4,
    );
  });

  it.each([
    [undefined],
    [''],
    [null],
    [0],
    [true],
    [['ada@acme.example']],
    [{ email: 'ada@acme.example' }],
    [Symbol('x')],
  ])('E-01 refuses what is no text (%#)', (value) => {
    expect(of(value)).toBeUndefined();
  });

  it.each([
    ['E-02 no @', 'acme.example'],
    ['E-02 two @', 'ada@evil.example@acme.example'],
    ['E-02 a leading @', '@acme.example'],
    ['E-02 a trailing @', 'ada@'],
    ['E-02 an @ alone', '@'],
    ['E-03 a quoted local part', '"ada"@acme.example'],
    ['E-03 a quoted address', '"ada@evil.example"@acme.example'],
    ['E-03 a quote inside', 'a"d"a@acme.example'],
    ['E-03 an escape', 'a\\da@acme.example'],
    ['E-04 angle brackets', '<ada@acme.example>'],
    ['E-04 a display name', 'Ada <ada@acme.example>'],
    ['E-04 a comment', 'ada(x)@acme.example'],
    ['E-04 a comment in the domain', 'ada@acme.example(x)'],
    ['E-04 a list with a comma', 'ada@acme.example,alan@acme.example'],
    ['E-04 a list with a semicolon', 'ada@acme.example;alan@acme.example'],
    ['E-04 a group', 'all:ada@acme.example;'],
    ['E-04 a URL', 'mailto:ada@acme.example'],
    ['E-07 an encoded word', '=?utf-8?q?ada?=@acme.example'],
    ['E-07 a base64 word', '=?utf-8?b?YWRh?=@acme.example'],
    ['E-07 an encoded word inside', 'x=?utf-8?q?=41?=@acme.example'],
    ['E-08 the percent hack', 'ada%evil.example@acme.example'],
    ['E-08 a bang path', 'evil.example!ada@acme.example'],
    ['E-08 a source route', '@evil.example:ada@acme.example'],
    ['E-09 an IP literal', 'ada@[127.0.0.1]'],
    ['E-09 an IPv6 literal', 'ada@[IPv6:::1]'],
    ['E-09 an IP address', 'ada@127.0.0.1'],
    ['E-09 a hexadecimal address', 'ada@127.0.0.0x1'],
    ['E-09 one label', 'ada@acme'],
    ['E-09 localhost', 'ada@localhost'],
    ["E-19 the root's dot", 'ada@acme.example.'],
    ['E-19 a leading dot', 'ada@.acme.example'],
    ['E-19 two dots', 'ada@acme..example'],
    ['E-19 an underscore in the domain', 'ada@ac_me.example'],
    ['E-19 a label of 64', `ada@${'a'.repeat(64)}.example`],
    ['E-19 a domain of 255', `a@${repeated('a.', '', '.example')(255)}`],
    ['E-21 a local part of 65', `${'a'.repeat(65)}@acme.example`],
    ['E-21 an address of 255', `${'a'.repeat(64)}@${repeated('a.', '', 'a.example')(190)}`],
    ['a dot at the start', '.ada@acme.example'],
    ['a dot before the @', 'ada.@acme.example'],
    ['two dots in the local part', 'a..da@acme.example'],
    ['E-22 markup', '<img/src=x/onerror=alert(1)>@acme.example'],
    ['E-22 markup without brackets', 'x"onfocus="alert(1)@acme.example'],
    ['E-18 a percent escape in the domain', 'ada@acme%2eexample'],
    ['E-18 a percent-encoded @', 'ada%40acme.example'],
    ['a port', 'ada@acme.example:25'],
    ['a path', 'ada@acme.example/x'],
  ])('refuses %s', (_, text) => {
    expect(of(text)).toBeUndefined();
  });

  it.each([
    '\r',
    '\n',
    '\t',
    '\0',
    '\u0001',
    '\u001b',
    '\u007f',
    '\u0080',
    '\u0085',
    '\u009f',
    '\u2028',
    '\u2029',
  ])('E-05 refuses the control %j anywhere', (control) => {
    for (const text of [
      '?ada@acme.example',
      'a?da@acme.example',
      'ada?@acme.example',
      'ada@?acme.example',
      'ada@acme.example?',
    ]) {
      expect(of(text.replace('?', control))).toBeUndefined();
    }
  });

  it.each([' ', '\u00a0', '\u2003', '\u3000', '\u1680', '\u202f', '\u205f', '\ufeff'])(
    'E-06 trims nothing: the space %j',
    (space) => {
      for (const text of [
        '?ada@acme.example',
        'a?da@acme.example',
        'ada?@acme.example',
        'ada@?acme.example',
        'ada@acme.example?',
      ]) {
        expect(of(text.replace('?', space))).toBeUndefined();
      }
    },
  );

  it.each([
    '\u200b',
    '\u200c',
    '\u200d',
    '\u2060',
    '\u00ad',
    '\u202a',
    '\u202e',
    '\u2066',
    '\u2069',
    '\u200e',
    '\u180e',
    '\ufe0f',
    '\u{e0061}',
  ])('E-10 refuses the invisible %j anywhere', (invisible) => {
    for (const text of ['?ada@acme.example', 'a?da@acme.example', 'ada@ac?me.example', 'ada@acme.example?']) {
      expect(of(text.replace('?', invisible))).toBeUndefined();
    }
  });

  it.each([
    ['E-11 a lone surrogate', '\ud800da@acme.example'],
    ['E-11 a lone surrogate in the domain', 'ada@ac\udc00me.example'],
    ['E-11 the replacement character', '\ufffdda@acme.example'],
    ['E-12 a capital I with a dot', 'adm\u0130n@acme.example'],
    ['E-12 a dotless i', 'adm\u0131n@acme.example'],
    ['E-12 a Kelvin sign', '\u212aelvin@acme.example'],
    ['E-12 a long s', '\u017fam@acme.example'],
    ['E-12 a ligature', '\ufb01n@acme.example'],
    ['E-12 a full-width letter', '\uff41da@acme.example'],
    ['E-12 a full-width @', 'ada\uff20acme.example'],
    ['E-12 a small @', 'ada\ufe6bacme.example'],
    ['E-13 an accent', '\u00e9ve@acme.example'],
    ['E-13 an accent in another normal form', 'e\u0301ve@acme.example'],
    ['E-16 a Cyrillic a in the local part', '\u0430da@acme.example'],
    ['E-18 a full-width domain', 'ada@\uff41cme.example'],
    ['E-18 an ideographic full stop', 'ada@acme\u3002example'],
    ['E-17 a U-label in upper case', 'ada@B\u00dcCHER.example'],
  ])('refuses %s', (_, text) => {
    expect(of(text)).toBeUndefined();
  });

  it.each([
    '\u0430cme.example',
    'evilacme.example',
    'acme.example.evil.example',
    'sub.acme.example',
    'acme-example.example',
  ])('E-16 E-20 T-15 reads %s as a domain of its own', (domain) => {
    expect(canonicalEmail(`ada@${domain}`)?.domain).toBeDefined();
    expect(canonicalEmail(`ada@${domain}`)?.domain).not.toBe('acme.example');
  });

  it('leaves what is canonical as it is', () => {
    for (const text of ['ADA@ACME.EXAMPLE', "O'Neil+x@b\u00fccher.example", '__PROTO__@acme.example']) {
      const once = of(text);
      expect(once).toMatch(/^[\x21-\x7e]+$/);
      expect(of(once)).toBe(once);
    }
  });

  it.each([
    ['a@ over and over', repeated('a@')],
    ['letters and dots', repeated('a.', '', '@acme.example')],
    ['dots at the end', repeated('.', 'a', '@acme.example')],
    ['letters', repeated('a', '', '!@acme.example')],
    ['labels', repeated('a.', 'a@')],
    ['hyphens', repeated('-', 'a@')],
    ['encoded words', repeated('=?', '', '@acme.example')],
  ])('D-08 takes time in proportion, and none for what is too long: %s', (_, input) => {
    expect(timeGrowth(canonicalEmail, input)).toBeLessThan(4);
    const short = (text: string) =>
      Array.from({ length: 50 }, (__, at) => canonicalEmail(text.slice(at, at + 250)));
    expect(timeGrowth(short, input)).toBeLessThan(LINEAR_GROWTH);
  });
});

describe('isSlug', () => {
  it.each(['a', 'acme', 'acme-2', '0', 'constructor', 'a'.repeat(63)])('takes %s', (slug) => {
    expect(isSlug(slug)).toBe(true);
  });

  it.each([
    '',
    '-',
    '-acme',
    'acme-',
    'Acme',
    'ac me',
    'ac.me',
    'ac_me',
    'acme\n',
    'acme\0',
    '../acme',
    'ac/me',
    '__proto__',
    '\u0430cme',
    'b\u00fccher',
    'a'.repeat(64),
  ])('refuses %j', (slug) => {
    expect(isSlug(slug)).toBe(false);
  });
});
