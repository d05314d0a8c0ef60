/** The page over made-up data, for work on the page alone: `npm run mock`. Never part of a build. */
import { start } from "../src/start";
import { madeUp } from "./mock";

const world = madeUp(new URLSearchParams(location.search).get("scene") ?? "story");
start(world.api, world.transport);
Object.assign(window, { world });
