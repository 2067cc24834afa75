// Light or dark: the system's setting, until the switch is used.

const KEY = "seqvision.theme";

/** Make a button switch between the two themes. */
export function setUpTheme(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (read() ? read() === "dark" : system.matches);
  const show = () => {
    if (read()) document.documentElement.dataset.theme = read();
    button.ariaPressed = String(isDark());
  };
  button.addEventListener("click", () => {
    write(isDark() ? "light" : "dark");
    show();
  });
  system.addEventListener("change", show);
  show();
}

// A browser may forbid pages to store anything.
function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return document.documentElement.dataset.theme ?? null;
  }
}

function write(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds until the page is left.
  }
}
