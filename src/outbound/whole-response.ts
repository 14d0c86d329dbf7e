/**
 * Responses whose body is here already. The web's own gives every body a stream, and reading that costs more than the rest of a
 * call; these are read without one, and `body` itself is null.
 */

/** Of bytes. */
export class WholeResponse extends Response {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, init: NonNullable<ConstructorParameters<typeof Response>[1]>) {
    super(null, init);
    this.#bytes = bytes;
  }

  override readonly arrayBuffer = () => Promise.resolve(Uint8Array.from(this.#bytes).buffer);
  override readonly text = () => Promise.resolve(new TextDecoder().decode(this.#bytes));
  override readonly json = async () => JSON.parse(await this.text()) as unknown;
  override readonly clone = () => new WholeResponse(this.#bytes, this);
}

/** Of a document that was read and judged, for a library that wants to read it. */
export class JsonResponse extends Response {
  readonly #document: object;

  constructor(document: object, status = 200) {
    super(null, { status, headers: { 'content-type': 'application/json' } });
    this.#document = document;
  }

  override readonly json = () => Promise.resolve({ ...this.#document });
  override readonly clone = () => new JsonResponse(this.#document, this.status);
}
