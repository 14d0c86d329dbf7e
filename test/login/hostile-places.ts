/** Places that nobody may be sent to by a link to this gateway, and the neighbours where people do want to go. */

/** Where the gateways of these tests believe to be: their own origin, and one that the operator named. */
export const APP_ORIGIN = 'https://app.example';

/** The case that a value belongs to, and the value. */
type Place = readonly [id: string, value: string];

const all = (id: string, ...values: readonly string[]): readonly Place[] =>
  values.map((value) => [id, value]);

/** @param ownOrigin origin of the gateway, such as http://localhost:3000 */
export function hostilePlaces(ownOrigin: string): readonly Place[] {
  const own = new URL(ownOrigin);
  const host = own.hostname;
  const otherScheme = own.protocol === 'https:' ? 'http:' : 'https:';
  return [
    ...all(
      'R-01',
      '//evil.example',
      '///evil.example',
      '////evil.example/x',
      '/\\evil.example',
      '\\\\evil.example',
    ),
    ...all(
      'R-01',
      '\\/evil.example',
      '/\\/evil.example',
      '//evil.example@app.example',
      `//${own.host}@evil.example`,
    ),
    ...all(
      'R-02',
      '/\t/evil.example',
      '/\n/evil.example',
      '/\r/evil.example',
      '\t//evil.example',
      ' //evil.example',
    ),
    ...all(
      'R-02',
      ' /',
      '/ /evil.example',
      '/\0/evil.example',
      '\0/',
      '\u0001//evil.example',
      '/\u007f/evil.example',
    ),
    ...all(
      'R-02',
      '/\u00a0/evil.example',
      '/\u2028/evil.example',
      '\ufeff//evil.example',
      'h\nttps://evil.example',
    ),
    ...all('R-03', '/.//evil.example', '/..//evil.example', '/x/..//evil.example', '/x/../..//evil.example'),
    ...all('R-03', '/%2e//evil.example', '/%2e%2e//evil.example', '/%2E.//evil.example', '/.///evil.example'),
    ...all(
      'R-03',
      `${ownOrigin}//evil.example`,
      `${ownOrigin}/.//evil.example`,
      `${ownOrigin}/x/..//evil.example`,
    ),
    ...all('R-04', 'https:evil.example', 'https:/evil.example', 'http:evil.example', 'https:///evil.example'),
    ...all('R-04', 'http:', 'https:', 'http:login', `${own.protocol}/login`, `${own.protocol}login`),
    ...all(
      'R-05',
      `http://${own.host}@evil.example`,
      `http://user@${own.host}/`,
      `http://user:pw@${own.host}/`,
    ),
    ...all(
      'R-05',
      `http://${own.host}%2f@evil.example`,
      `http://${own.host}\\@evil.example`,
      `http://evil.example#@${own.host}`,
    ),
    ...all(
      'R-05',
      `http://evil.example?@${own.host}`,
      `http://evil.example/@${own.host}`,
      `http://@${own.host}/`.replace('@', 'x@'),
    ),
    ...all(
      'R-05',
      `${APP_ORIGIN}@evil.example`,
      `${APP_ORIGIN}:443@evil.example`,
      `https://evil.example\\.app.example`,
    ),
    ...all(
      'R-06',
      `http://${host}.evil.example/`,
      `http://evil${host}/`,
      `http://${host}.:${own.port}/`,
      `http://${host}/`,
    ),
    ...all(
      'R-06',
      `http://${host}:1/`,
      `${otherScheme}//${own.host}/`,
      'https://app.example.evil.example/',
      'https://evilapp.example/',
    ),
    ...all(
      'R-06',
      'https://app.example./',
      'http://app.example/',
      'https://app.example:8443/',
      'https://sub.app.example/',
    ),
    ...all(
      'R-06',
      'https://example/',
      'https://127.0.0.1/',
      'http://[::1]/',
      'http://0/',
      'http://2130706433/',
    ),
    ...all(
      'R-07',
      'https://app\u3002example/',
      'https://\uff41pp.example/',
      'https://app.example\uff0fevil',
      'https://\u24d0pp.example/',
    ),
    ...all(
      'R-07',
      'https://app\u00ad.example/',
      'https://\u0430pp.example/',
      'https://app.example%00.evil.example',
    ),
    ...all(
      'R-08',
      'javascript:alert(1)',
      'JaVaScRiPt:alert(1)',
      'java\nscript:alert(1)',
      '\u0001javascript:alert(1)',
    ),
    ...all(
      'R-08',
      'javascript://app.example/%0aalert(1)',
      'javascript:/\\app.example',
      'data:text/html,<script>alert(1)</script>',
    ),
    ...all(
      'R-08',
      'vbscript:msgbox(1)',
      `blob:${ownOrigin}/x`,
      'file:///etc/passwd',
      'about:blank',
      'mailto:x@evil.example',
    ),
    ...all(
      'R-08',
      `view-source:${ownOrigin}/`,
      'ws://app.example/',
      'ftp://app.example/',
      'intent://evil.example#Intent;end',
    ),
    ...all(
      'R-09',
      '/\r\nSet-Cookie: a=b',
      '/x\r\n\r\n<script>',
      '/\nLocation: https://evil.example',
      '/x\u0085y',
    ),
    ...all('R-10', `/${'a'.repeat(4_096)}`, `/${'"'.repeat(1_023)}`, `/?${'<'.repeat(1_000)}`, ''),
    ...all(
      'other',
      'evil.example',
      'login',
      './login',
      '../login',
      '?x',
      '#x',
      '@evil.example',
      ':',
      '/\ud800',
    ),
    ...all(
      'other',
      'https://',
      'https://:80/',
      'https://app.example:99999/',
      'https://app.example:x/',
      '*',
      'null',
      'undefined',
    ),
  ];
}

/** What to ask for, and where the answer's Location leads then. */
export function goodPlaces(ownOrigin: string): readonly (readonly [asked: string, lands: string])[] {
  return [
    ['/', '/'],
    ['/dashboard', '/dashboard'],
    ['/a/b?c=d&e=f#g', '/a/b?c=d&e=f#g'],
    ['/a/../b', '/b'],
    ['/x//y', '/x//y'],
    ['/@evil.example', '/@evil.example'],
    ['/%2f%2fevil.example', '/%2f%2fevil.example'],
    ['/%5cevil.example', '/%5cevil.example'],
    ['/%09/evil.example', '/%09/evil.example'],
    ['/x%0d%0aSet-Cookie:%20a=b', '/x%0d%0aSet-Cookie:%20a=b'],
    ['/login?next=//evil.example', '/login?next=//evil.example'],
    ['/?next=https%3A%2F%2Fevil.example', '/?next=https%3A%2F%2Fevil.example'],
    ['/#//evil.example', '/#//evil.example'],
    ['/javascript:alert(1)', '/javascript:alert(1)'],
    [`/${'a'.repeat(1_000)}`, `/${'a'.repeat(1_000)}`],
    [`${ownOrigin}/dashboard`, '/dashboard'],
    [ownOrigin, '/'],
    [APP_ORIGIN, `${APP_ORIGIN}/`],
    [`${APP_ORIGIN}/a?b=c#d`, `${APP_ORIGIN}/a?b=c#d`],
    [`${APP_ORIGIN}:443/x`, `${APP_ORIGIN}/x`],
    ['https://APP.example/x', `${APP_ORIGIN}/x`],
  ];
}
