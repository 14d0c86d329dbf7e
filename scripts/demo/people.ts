/**
 * The people whom a demonstration's identity provider knows, and how it checks them: by their address and the one
 * password that every page shows.
 */
export interface Person {
  readonly subject: string;
  readonly email: string;
  readonly name: string;
}

export const DEMO_PASSWORD = 'demo';

/** The person whose address and password these are. */
export function authenticate(people: readonly Person[], form: URLSearchParams): Person | undefined {
  if (form.get('password') !== DEMO_PASSWORD) return undefined;
  return findByEmail(people, form.get('email') ?? '');
}

export function findByEmail(people: readonly Person[], email: string): Person | undefined {
  const wanted = email.trim().toLowerCase();
  return people.find((person) => person.email.toLowerCase() === wanted);
}
