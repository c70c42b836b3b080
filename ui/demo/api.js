// The demo's own controls: they answer this page only, by the key that stands behind the # of its address.

/** Speak to the server that served the page. */
export class Api {
  /** @param {string} key */
  constructor(key) {
    this.key = key;
  }

  /** Return the key of this page's address, kept for a reload; empty if it has none. */
  static key() {
    const key = location.hash.slice(1);
    if (key) sessionStorage.setItem("lockstep-demo", key);
    return key || (sessionStorage.getItem("lockstep-demo") ?? "");
  }

  /** @returns {Promise<Record<string, any>>} */
  state() {
    return this.#ask("state");
  }

  /**
   * @param {string} viewer
   * @returns {Promise<Record<string, any>>}
   */
  token(viewer) {
    return this.#ask("token", { viewer });
  }

  /** @param {string} viewer */
  revoke(viewer) {
    return this.#ask("revoke", { viewer });
  }

  /** @param {{delay_s?: number, silent?: boolean}} wish */
  vendor(wish) {
    return this.#ask("vendor", wish);
  }

  restartEncoder() {
    return this.#ask("encoder", {});
  }

  /**
   * @param {string} path
   * @param {object} [body] none: it is a GET
   * @returns {Promise<any>}
   */
  async #ask(path, body) {
    /** @type {Record<string, string>} */
    const headers = { Authorization: `Bearer ${this.key}` };
    if (body) headers["Content-Type"] = "application/json";
    const answer = await fetch(`/demo/api/${path}`, {
      method: body ? "POST" : "GET", headers, ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.detail ?? told.title);
    return told;
  }
}
