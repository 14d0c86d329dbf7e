/**
 * Makes something once for as long as it is asked for with the same text. What throws is made again.
 * @returns what makes it, or gives what it made last
 */
export function latestAnswer<Answer>(make: (asked: string) => Answer): (asked: string) => Answer {
  let latest: { readonly asked: string; readonly answer: Answer } | undefined;
  return (asked) => {
    if (latest?.asked !== asked) latest = { asked, answer: make(asked) };
    return latest.answer;
  };
}
