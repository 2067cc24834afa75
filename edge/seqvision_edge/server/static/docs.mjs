// The API documentation: only its theme can be changed.

import { setUpTheme } from "./theme.mjs";

setUpTheme(document.getElementById("theme"));
