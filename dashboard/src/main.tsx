/** The page as it is served: HTTP and Socket.IO of the gateway it came from. */
import { httpApi, socketAuth } from "./api";
import { browserClock } from "./feed/ports";
import { socketTransport } from "./feed/socket";
import { start } from "./start";

start(httpApi, socketTransport(browserClock, socketAuth));
