// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The console starts here. What flows: the address (router.js) chooses a view; views read and write through rest.js and keep the open
// environment in environment.js, which hears of changes through watch.js. Owner: shell.js owns the frame and the view that is mounted in it;
// a view owns what it started and ends it in the function it returns. Must hold: the token is in this tab's session storage and in memory,
// nowhere else; values reach the document as text, never as markup; a secret is fetched only when somebody asks for it.

import { session } from "./session.js";
import { startShell } from "./shell.js";
import { installKeys } from "./keys.js";

installKeys();
await session.restore();
startShell();
