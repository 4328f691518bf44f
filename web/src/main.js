// The page: every part of it that answers the reader.

import { openCodes } from "./code.js";
import { openFigures } from "./figure.js";
import { openTheme } from "./theme.js";
import { openVolumes } from "./volumes.js";

document.documentElement.classList.add("lively");
openTheme();
openCodes();
openFigures();
openVolumes();
