import { expect, it } from '@jest/globals';
import { renderChoicePage } from '../../src/http/pages/choice-page.ts';

it('is a form with a button for each connection, which carries on what was given and nothing else', () => {
  const page = renderChoicePage({
    brand: { name: 'Northwind' },
    organization: 'Acme & Sons',
    connections: [
      { id: 'one', label: 'Head office' },
      { id: 'two', label: 'Works' },
    ],
    form: {
      method: 'get',
      action: '/sso/acme',
      fields: { return_to: '/app?a=1&b=2', login_hint: undefined },
    },
  });
  expect(page).toContain('<form class="actions" method="get" action="/sso/acme">');
  expect(page).toContain('<input type="hidden" name="return_to" value="/app?a=1&amp;b=2" />');
  expect(page).not.toContain('login_hint');
  expect(page).toMatch(/name="connection" value="one">\s*<bdi>Head office<\/bdi>/);
  expect(page.match(/<button[^>]*type="submit"/g)).toHaveLength(2);
});
