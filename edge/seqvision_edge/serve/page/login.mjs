// The token, asked for where the server wants one.

import { login } from "./server.mjs";

const byId = (id) => document.getElementById(id);

/** Return what `get` gives, after asking for the token as often as the server refuses. */
export async function logIn(get) {
  for (;;) {
    try {
      return await get();
    } catch (error) {
      if (error.status === 401) await ask();
      else {
        byId("start-title").textContent = "The model cannot be read";
        byId("start-text").textContent = `${error.message}. Trying again.`;
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    }
  }
}

async function ask() {
  const dialog = byId("login");
  for (;;) {
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    try {
      await login(byId("token").value);
      return;
    } catch (error) {
      byId("login-error").textContent = error.status === 401 ? "That is not the token." : error.message;
    } finally {
      byId("token").value = "";
    }
  }
}
