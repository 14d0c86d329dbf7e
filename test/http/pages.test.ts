import { createHash } from 'node:crypto';
import { describe, it, expect } from '@jest/globals';
import { renderBreakGlassPage } from '../../src/http/pages/break-glass-page.ts';
import { renderChoicePage } from '../../src/http/pages/choice-page.ts';
import { renderConfirmPage } from '../../src/http/pages/confirm-page.ts';
import { renderConnectionTestPage } from '../../src/http/pages/connection-test-page.ts';
import { renderDeviceApprovalPage } from '../../src/http/pages/device-approval-page.ts';
import { renderDeviceDonePage } from '../../src/http/pages/device-done-page.ts';
import { renderDevicePage } from '../../src/http/pages/device-page.ts';
import { renderFailurePage } from '../../src/http/pages/failure-page.ts';
import { renderHostSignedOutPage, renderHostSignOutPage } from '../../src/http/pages/host-sign-out-page.ts';
import { renderHomePage } from '../../src/http/pages/home-page.ts';
import { html } from '../../src/http/pages/html.ts';
import { renderLoginPage } from '../../src/http/pages/login-page.ts';
import { renderPage, styleSource } from '../../src/http/pages/page.ts';

const brand = {
  name: 'Northwind',
  logoUrl: 'https://cdn.example/logo.svg',
  supportUrl: 'mailto:help@vendor.example',
};
const hostile = `</title></style><script>alert("1")</script>@' onfocus=alert(1) x='\u202e&amp;`;
const noon = new Date('2026-11-24T12:00:00Z');
const evening = new Date('2026-11-24T18:30:00Z');

const problemIn = (value: string) => ({ sentence: value, nextStep: value, reference: value });

/** Every page, with one value in every place that takes text. */
const pages = {
  login: (value: string) =>
    renderLoginPage({ brand: named(value), email: value, returnTo: value, notice: 'signed-out' }),
  'login with a problem': (value: string) =>
    renderLoginPage({ brand: named(value), email: value, returnTo: value, problem: problemIn(value) }),
  home: (value: string) =>
    renderHomePage({
      brand: named(value),
      user: { email: value, name: value },
      organization: value,
      expiresAt: evening,
      authenticatedAt: noon,
      sessions: [
        {
          id: value,
          isCurrent: false,
          authenticatedAt: noon,
          expiresAt: evening,
          applications: [value],
          replays: [{ clientId: value, at: noon }],
        },
      ],
    }),
  'sign out of a host': (value: string) => renderHostSignOutPage({ brand: named(value), host: value }),
  'signed out of a host': (value: string) =>
    renderHostSignedOutPage({ brand: named(value), host: value, gatehouseUrl: 'https://login.example/' }),
  failure: (value: string) =>
    renderFailurePage({
      brand: named(value),
      sentence: value,
      nextStep: value,
      reference: value,
      actions: [
        { label: value, href: '/login' },
        { label: value, href: '/"><b>' },
      ],
    }),
  choice: (value: string) =>
    renderChoicePage({
      brand: named(value),
      organization: value,
      connections: [value, `${value}x`].map((label) => ({ id: label, label })),
      form: { method: 'post', action: '/login', fields: { email: value } },
    }),
  confirm: (value: string) =>
    renderConfirmPage({
      brand: named(value),
      email: value,
      organization: value,
      typedEmail: `${value}x`,
      state: value,
    }),
  'connection test': (value: string) =>
    renderConnectionTestPage({
      brand: named(value),
      organization: value,
      test: {
        passed: true,
        refusal: { code: 'user_not_provisioned', reason: value },
        claims: [{ name: value, value }],
        mapped: { email: value, subject: value, name: value },
        person: 'would be refused',
        isOver: true,
      },
    }),
  'connection test that failed': (value: string) =>
    renderConnectionTestPage({
      brand: named(value),
      organization: value,
      test: {
        passed: false,
        refusal: { code: 'token_invalid', reason: value },
        claims: [],
        mapped: undefined,
        person: undefined,
        isOver: true,
      },
    }),
  'break glass': (value: string) =>
    renderBreakGlassPage({ brand: named(value), email: value, organization: value, action: value }),
  device: (value: string) => renderDevicePage({ brand: named(value), userCode: value }),
  'device with a problem': (value: string) =>
    renderDevicePage({ brand: named(value), userCode: value, problem: problemIn(value) }),
  'device approval': (value: string) =>
    renderDeviceApprovalPage({
      brand: named(value),
      application: value,
      userCode: value,
      email: value,
      organization: value,
      startedAt: noon,
      network: value,
      program: value,
      ownNetwork: value,
      session: value,
    }),
  'device done': (value: string) =>
    renderDeviceDonePage({ brand: named(value), application: value, decision: 'approved' }),
};

function named(name: string): typeof brand {
  return { ...brand, name };
}

/** All tags with the names of their attributes, in order: what a value must never change. */
function skeletonOf(page: string): string[] {
  return [...page.matchAll(/<\/?[a-z][^>]*>/gi)].map((tag) => tag[0].replaceAll(/"[^"]*"/g, '""'));
}

function titleOf(page: string): string | undefined {
  return /<title>([^<]*)<\/title>/.exec(page)?.[1];
}

/** The opening tag of the first element with this id or name. */
function tagNamed(page: string, name: string): string {
  return new RegExp(`<[a-z]+[^>]*(?:id|name)="${name}"[^>]*>`).exec(page)?.[0] ?? '';
}

describe('html', () => {
  it('escapes every value that is not markup', () => {
    expect(html`<p title="${'"&\'<>'}">${'<b>'}</p>`.text).toBe(
      '<p title="&quot;&amp;&#39;&lt;&gt;">&lt;b&gt;</p>',
    );
  });

  it('keeps markup, joins arrays, and renders nothing for what is absent', () => {
    const items = ['<', html`<i></i>`, 7];
    expect(html`<p>${items}${undefined}${null}${false}${html`<b>${'&'}</b>`}</p>`.text).toBe(
      '<p>&lt;<i></i>7<b>&amp;</b></p>',
    );
  });

  it('does not take an object that looks like markup for markup', () => {
    const forged = { text: '<script></script>' } as unknown as string;
    expect(() => html`${forged}`.text).toThrow(TypeError);
  });
});

describe.each(Object.entries(pages))('the %s page', (_name, render) => {
  const page = render('ada@acme.example');

  it('is a whole document with a language, landmarks and one heading', () => {
    expect(page.startsWith('<!doctype html>\n<html lang="en">')).toBe(true);
    expect(page.match(/<h1[ >]/g)).toHaveLength(1);
    expect(page.match(/<main[ >]/g)).toHaveLength(1);
    expect(titleOf(page)).toMatch(/.+ · ada@acme\.example$/);
  });

  it('has one style element, whose hash is the CSP source, and no other style or script', () => {
    const styles = [...page.matchAll(/<style>([^]*?)<\/style>/g)].map((match) => match[1] ?? '');
    expect(styles).toHaveLength(1);
    const digest = createHash('sha256')
      .update(styles[0] ?? '')
      .digest('base64');
    expect(styleSource).toBe(`'sha256-${digest}'`);
    expect(page).not.toMatch(/<script|<link|\sstyle=|\son[a-z]+=|@import|url\(/i);
  });

  it('lets nothing hostile out of its place', () => {
    const attacked = render(hostile);
    expect(skeletonOf(attacked)).toEqual(skeletonOf(page));
    expect(attacked).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;');
    expect(attacked).toContain('\u202e&amp;amp;');
  });
});

describe('the document', () => {
  it('shows the logo with the name as its text, and tells its host nothing', () => {
    const page = renderPage({ title: 'A', brand, body: html`<h1>A</h1>` });
    expect(page).toContain(
      '<img class="logo" src="https://cdn.example/logo.svg" alt="Northwind" referrerpolicy="no-referrer" />',
    );
  });

  it('asks no other host for anything when told so', () => {
    const page = renderPage({ title: 'A', brand, body: html`<h1>A</h1>`, externalAssets: false });
    expect(page).not.toMatch(/<img|src=/);
    expect(page).toContain('>Northwind</bdi');
  });

  it('links to support only where it may', () => {
    const render = (supportUrl: string | undefined): string =>
      renderPage({ title: 'A', brand: { name: 'Northwind', supportUrl }, body: html`<h1>A</h1>` });
    expect(render('https://help.vendor.example/?a=1&b=2')).toContain(
      '<a href="https://help.vendor.example/?a=1&amp;b=2" rel="noreferrer">Contact support</a>',
    );
    expect(render('javascript:alert(1)')).not.toContain('<footer');
    expect(render(undefined)).not.toContain('<footer');
  });
});

describe('the login page', () => {
  it('posts the address, and the way back only if there is one', () => {
    const page = renderLoginPage({ brand, returnTo: '/app?a=1&b="2"' });
    expect(page).toContain('<form method="post" action="/login">');
    expect(page).toContain('<label for="email">');
    expect(tagNamed(page, 'email')).toMatch(/\srequired\s+autofocus\s/);
    expect(page).toContain('<input type="hidden" name="return_to" value="/app?a=1&amp;b=&quot;2&quot;" />');
    expect(page).toContain('You sign in at your own company.');
    expect(renderLoginPage({ brand })).not.toContain('return_to');
  });

  it('keeps the typed address beside a problem and ties the two together', () => {
    const problem = {
      sentence: "We don't know a company for this address.",
      nextStep: 'Check it.',
      reference: 'K7QM',
    };
    const page = renderLoginPage({ brand, email: 'ada@acmee.example', problem, notice: 'signed-out' });
    const field = tagNamed(page, 'email');
    expect(field).toContain('value="ada@acmee.example"');
    expect(field).toContain('aria-invalid="true" aria-describedby="problem"');
    expect(page).toMatch(/role="alert">\s*<div id="problem">/);
    expect(page).toContain('<code>K7QM</code>');
    expect(titleOf(page)).toMatch(/^We don&#39;t know a company for this address\. · Sign in · /);
    expect(page).not.toContain('You are signed out');
  });

  it('says that the person is signed out', () => {
    const page = renderLoginPage({ brand, notice: 'signed-out' });
    expect(page).toMatch(/role="status">\s*<p class="sentence">You are signed out\.</);
    expect(tagNamed(page, 'email')).not.toContain('aria-invalid');
  });

  it('has the colour of danger for a problem alone, not for a notice', () => {
    const rules = [...renderLoginPage({ brand }).matchAll(/([^{}]*)\{[^{}]*[^-]color: var\(--danger\)/g)];
    expect(rules.map(([, selector]) => selector?.trim())).toEqual(['.problem .sentence']);
  });
});

describe('the home page', () => {
  it('names the person, the organization and the end, and signs out by a form', () => {
    const page = renderHomePage({
      brand,
      user: { email: 'ada@acme.example' },
      organization: 'Acme & Sons',
      expiresAt: evening,
      authenticatedAt: noon,
      sessions: [],
    });
    expect(page).toContain('<bdi>ada@acme.example</bdi>');
    expect(page).toContain('<bdi>Acme &amp; Sons</bdi>');
    expect(page).toMatch(/<time datetime="2026-11-24T18:30:00\.000Z">24 Nov 2026, 18:30 UTC<\/time>/);
    expect(page).toMatch(/<form method="post" action="\/logout">\s*<button[^>]*>Sign out<\/button>/);
    expect(page).not.toContain('<dt>Name</dt>');
  });
});

describe('the failure page', () => {
  it('has the sentence as heading and title, and the first usable action as the primary one', () => {
    const page = renderFailurePage({
      brand,
      sentence: 'This sign-in has expired.',
      nextStep: 'Start again.',
      reference: 'K7QM-2XPA',
      actions: [
        { label: 'Bad', href: 'javascript:alert(1)' },
        { label: 'Start again', href: '/login' },
        { label: 'Back', href: 'https://app.example/' },
      ],
      externalAssets: false,
    });
    expect(page).toContain('<h1>This sign-in has expired.</h1>');
    expect(titleOf(page)).toBe('This sign-in has expired · Northwind');
    expect(page).toContain('<code>K7QM-2XPA</code>');
    expect(page).toContain('<a class="button primary" href="/login">Start again</a>');
    expect(page).toContain('<a class="button" href="https://app.example/">Back</a>');
    expect(page).not.toContain('Bad');
    expect(page).not.toContain('<img');
  });

  it('has no empty places when there is neither a reference nor an action', () => {
    const page = renderFailurePage({ brand, sentence: 'Gone.', nextStep: 'Wait.', actions: [] });
    expect(page).not.toMatch(/<dl|class="actions"/);
  });
});

describe('the confirm page', () => {
  const asked = { brand, email: 'ada@acme.example', organization: 'Acme', state: 'a"b' };

  it('names person and organization, and carries its state in a hidden field', () => {
    const page = renderConfirmPage(asked);
    expect(page.replaceAll(/<\/?(?:bdi|wbr)[ /]*>/g, '')).toContain('<h1>Continue as ada@acme.example?</h1>');
    expect(page).toContain('<bdi>Acme</bdi>');
    expect(page).toContain('started from another site');
    expect(page).toMatch(/<form[^>]* method="post" action="\/login\/confirm">/);
    expect(page).toContain('<input type="hidden" name="state" value="a&quot;b" />');
    expect(page).toMatch(/<button[^>]* name="decision" value="allow">Continue<\/button>/);
    expect(page).toMatch(/<button[^>]* name="decision" value="deny">Use another address<\/button>/);
    expect(page.indexOf('value="allow"')).toBeLessThan(page.indexOf('value="deny"'));
    expect(page).not.toMatch(/<img|autofocus/);
  });

  it('says so when the company named another address than the typed one', () => {
    const text = (page: string): string => page.replaceAll(/<\/?bdi>/g, '').replaceAll(/\s+/g, ' ');
    const page = text(renderConfirmPage({ ...asked, typedEmail: 'bob@acme.example' }));
    expect(page).toContain('You typed bob@acme.example; your company says you are ada@acme.example.');
    expect(text(renderConfirmPage({ ...asked, typedEmail: 'ada@acme.example' }))).not.toContain('You typed');
  });
});
