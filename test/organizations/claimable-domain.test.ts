/** T-07, D-06: which domains nobody can have, and which look like them and are somebody's. */
import { describe, expect, it } from '@jest/globals';
import { requireClaimable } from '../../src/organizations/claimable-domain.ts';
import { canonicalDomain } from '../../src/organizations/domain-name.ts';

const claim = (text: string, publicUrl = 'https://sso.vendor.example') => {
  const name = canonicalDomain(text);
  if (name === undefined) throw new Error(`${text} is not a domain`);
  return requireClaimable(name, publicUrl);
};

describe('T-07 a domain that is everybody’s', () => {
  it.each([
    'co.uk',
    'CO.UK.',
    'com.au',
    'gov.uk',
    'foo.ck',
    'kawasaki.jp',
    '公司.cn',
    'github.io',
    'uk.com',
    'herokuapp.com',
    'blogspot.com',
    's3.amazonaws.com',
  ])('%s is a public suffix', async (name) => {
    await expect(claim(name)).rejects.toThrow(
      /^\S+ is a public suffix, .* so it can belong to no organization\.$/,
    );
  });

  it.each([
    'gmail.com',
    'GMail.com.',
    'mail.gmail.com',
    'googlemail.com',
    'outlook.com',
    'outlook.de',
    'hotmail.co.uk',
    'live.nl',
    'msn.com',
    'yahoo.co.jp',
    'ymail.com',
    'icloud.com',
    'me.com',
    'aol.com',
    'gmx.net',
    'web.de',
    't-online.de',
    'proton.me',
    'protonmail.com',
    'tuta.com',
    'fastmail.com',
    'hey.com',
    'mail.ru',
    'yandex.ru',
    'qq.com',
    '163.com',
    'vip.163.com',
    'naver.com',
    'orange.fr',
    'libero.it',
    'seznam.cz',
    'comcast.net',
    'privaterelay.appleid.com',
    'mailinator.com',
  ])('%s is free mail', async (name) => {
    await expect(claim(name)).rejects.toThrow(/at which anybody can get an address, so it can belong to no/);
  });

  it.each(['sso.vendor.example', 'a.sso.vendor.example', 'SSO.vendor.example.'])(
    '%s is Gatehouse itself',
    async (name) => {
      await expect(claim(name)).rejects.toThrow(/is a name of Gatehouse itself/);
    },
  );
});

describe('a domain that somebody can have', () => {
  it.each([
    'acme.example',
    'acme.test',
    'sub.acme.example',
    'acme.internal',
    'acme.co.uk',
    'acme.github.io',
    'acme.com',
    'brand.com',
    'corp.example',
    'example.com',
    'vendor.example',
    'notsso.vendor.example',
    'notgmail.com',
    'gmail.com.acme.example',
    'gmail.acme.com',
    'outlook.example',
    'live.example',
    'apple.com',
    'appleid.com',
    'google.com',
    'microsoft.com',
    'www.ck',
    'city.kawasaki.jp',
    'telekom.de',
    'bt.com',
  ])('%s', async (name) => {
    await expect(claim(name)).resolves.toBeUndefined();
  });

  it.each(['http://localhost:3000', 'http://127.0.0.1:3000', 'http://[::1]:3000'])(
    'whatever it is, beside a Gatehouse at %s',
    async (publicUrl) => {
      await expect(claim('acme.example', publicUrl)).resolves.toBeUndefined();
    },
  );
});
