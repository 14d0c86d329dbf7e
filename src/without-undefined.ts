type Defined<Value> = { [Key in keyof Value]?: Exclude<Value[Key], undefined> };

/** What was given: a member that is undefined takes the place of nothing when objects are spread. */
export function withoutUndefined<Value extends object>(value: Value): Defined<Value> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Defined<Value>;
}
