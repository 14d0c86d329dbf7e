/** What a person does, in steps: types an address, signs in at the company, reads who they are. */
import type { Page } from 'playwright-core';
import { DEMO_PASSWORD } from '../../scripts/demo/people.ts';
import type { TestGateway } from '../support/test-gateway.ts';

type Site = Pick<TestGateway, 'url'>;

/** On the e-mail page. */
export async function giveAddress(page: Page, email: string): Promise<void> {
  await page.getByLabel('Email address').fill(email);
  await page.getByRole('button', { name: 'Continue' }).click();
}

/** On the page of the company's identity provider. */
export async function giveCredentials(page: Page, email: string): Promise<void> {
  await page.getByLabel('Work e-mail').fill(email);
  await page.getByLabel('Password').fill(DEMO_PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** From the e-mail page to the dashboard. */
export async function signIn(page: Page, { url }: Site, email: string): Promise<void> {
  await page.goto(`${url}/login`);
  await giveAddress(page, email);
  await giveCredentials(page, email);
  await seeHeading(page, 'You are signed in');
}

/** Here and, where the company's provider asks, there. */
export async function signOut(page: Page): Promise<void> {
  const button = page.getByRole('button', { name: 'Sign out', exact: true });
  await button.click();
  const isOut = page.getByText('You are signed out.');
  const atCompany = page.getByRole('heading', { level: 1, name: 'Sign out?' });
  await isOut.or(atCompany).waitFor();
  if (await atCompany.isVisible()) await button.click();
  await isOut.waitFor();
}

/** Waits until the page's heading says this. */
export async function seeHeading(page: Page, name: string | RegExp): Promise<void> {
  try {
    await page.getByRole('heading', { level: 1, name }).waitFor();
  } catch (error) {
    const shown = await page.getByRole('main').innerText();
    throw new Error(`in its place there is: ${shown}`, { cause: error });
  }
}

/** The address of the person whom this browser is signed in as, asked with the browser's cookies. */
export async function whoIsSignedIn(page: Page, { url }: Site): Promise<string | undefined> {
  const answer = await page.context().request.get(`${url}/session`);
  if (answer.status() === 401) return undefined;
  const session = (await answer.json()) as { readonly user: { readonly email: string } };
  return session.user.email;
}

export async function signedInCookies(page: Page, { url }: Site): Promise<readonly string[]> {
  const cookies = await page.context().cookies(url);
  return cookies.map(({ name }) => name).filter((name) => name.endsWith('gatehouse-session'));
}
