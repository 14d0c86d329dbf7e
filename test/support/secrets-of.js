// What is secret in an HTTP message, by the names that the protocols give it. Each answer is a list of [kind, value].
import { Buffer } from 'node:buffer';
import { URL, URLSearchParams } from 'node:url';

/** Parameters of OAuth, OpenID Connect and Gatehouse that nobody may read in a log. */
const SECRET_NAMES = new Set(
  [
    'token code state nonce id_token id_token_hint access_token refresh_token subject_token actor_token device_code logout_token',
    'client_secret client_assertion code_verifier newer_than ticket request sealed secret password assertion',
  ].flatMap((names) => names.split(' ')),
);
/** `code` and `state` of a JSON document are names of failures and of conditions. */
const NOT_IN_JSON = new Set(['code', 'state', 'request']);
/** Shorter ones are words, and good for minutes (user codes). */
const SHORTEST = 12;
const SEALED = /^[\w-]{8}\.[\w-]{40,}$/;
const JWT = /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/;

/**
 * What nobody drew: tests send words, places and one letter many times where a secret belongs, and messages of ours hold such words.
 */
const WORDS = /^(?:[^\dA-Z]*|(.)\1+)$/;

const long = (found) =>
  found.filter(([, value]) => typeof value === 'string' && value.length >= SHORTEST && !WORDS.test(value));

function parameters(kind, text) {
  return long([...new URLSearchParams(text)].filter(([name]) => SECRET_NAMES.has(name))).map(
    ([name, value]) => [`${kind} ${name}`, value],
  );
}

/** A request's target, or any URL. */
function target(text) {
  const [, path, query = '', hash = ''] = /^([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(text ?? '') ?? [];
  const segments = (path ?? '').split('/').filter((segment) => SEALED.test(segment) || JWT.test(segment));
  return [
    ...segments.map((value) => ['URL path', value]),
    ...parameters('query parameter', query),
    ...parameters('fragment parameter', hash),
  ];
}

function cookies(lines) {
  return long(
    lines
      .flatMap((line) => line.split(/; */))
      .map((pair) => ['cookie', pair.slice(pair.indexOf('=') + 1)])
      .filter(([, value]) => /^[\w.~-]+$/.test(value)),
  );
}

function authorization(value) {
  const [scheme = '', credentials = ''] = value.split(' ', 2);
  if (scheme.toLowerCase() !== 'basic') return long([['authorization header', credentials]]);
  const plain = Buffer.from(credentials, 'base64').toString('utf8');
  // A form's value, once encoded (RFC 6749 section 2.3.1).
  const [[, secret] = []] = new URLSearchParams(`secret=${plain.slice(plain.indexOf(':') + 1)}`);
  return long([
    ['authorization header', credentials],
    ['authorization header', secret],
  ]);
}

/** Attributes of a cookie are no cookies. */
const firstPairs = (lines) => lines.map((line) => line.split(';', 1)[0] ?? '');

/** @param all names in lower case to a value or several */
function headers(all) {
  return Object.entries(all).flatMap(([name, value]) => {
    const values = [value].flat().map(String);
    if (name === 'cookie') return cookies(values);
    if (name === 'set-cookie') return cookies(firstPairs(values));
    if (name === 'authorization') return values.flatMap(authorization);
    if (name === 'location' || name === 'referer') return values.flatMap(target);
    return values.filter((text) => JWT.test(text)).map((text) => [`header ${name}`, text]);
  });
}

/** Members of a JSON document, however deep. */
function members(value) {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inside]) => {
    if (typeof inside !== 'string') return members(inside);
    if (/^https?:\/\//.test(inside)) return target(inside);
    return SECRET_NAMES.has(name) && !NOT_IN_JSON.has(name) ? long([[`JSON member ${name}`, inside]]) : [];
  });
}

/** Tests send what is no JSON, too. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param type as Content-Type says it */
function body(type, text) {
  if (text === '') return [];
  const media = String(type ?? '');
  if (media.startsWith('application/x-www-form-urlencoded')) return parameters('form field', text);
  if (/json/.test(media)) return members(parsed(text));
  const fields = [...text.matchAll(/<input[^>]*\bname="([^"]+)"[^>]*\bvalue="([^"]+)"/g)];
  return long(
    fields.filter(([, name]) => SECRET_NAMES.has(name)).map(([, name, value]) => [`field ${name}`, value]),
  );
}

function environment({ SECRET_KEY = '', DATABASE_URL = '' }) {
  const keys = SECRET_KEY.split(',').map((key) => ['SECRET_KEY', key.trim()]);
  const url = URL.canParse(DATABASE_URL) ? new URL(DATABASE_URL) : undefined;
  return long([...keys, ['DATABASE_URL', url?.password]]);
}

const named = (kind, value) => long([[kind, value]]);

/** @param pems texts, one after another; of each a line from the middle of it, as the first ones are alike */
const privateKeys = (pems) =>
  pems.split(/(?=-----BEGIN)/).flatMap((pem) => named('private key', pem.split('\n')[4] ?? ''));

export const secretsOf = { target, headers, body, environment, named, privateKeys };
