// The pages before sign-in need only the preferences.

import { preferences } from "./preferences.js";

preferences();
document.documentElement.dataset.ready = "true";
