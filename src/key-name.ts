/**
 * What a key is called, after its thumbprint in base64url. A name that began with a hyphen would be taken for an option by the commands
 * that name keys.
 */
export const keyName = (thumbprint: string): string => thumbprint.slice(0, 16).replace(/^-/, '_');
