// Node's own socket.io-client on /live: prints each event it hears by the three promised names, one line of JSON each.
import { createRequire } from "node:module";

const [url, app, modules] = process.argv.slice(2);
const { io } = createRequire(modules)("socket.io-client");
const socket = io(`${url}/live`, { transports: ["websocket"] });

socket.on("connect", () =>
  socket.emit("join", { rooms: [`loop/${app}`, `rollout/${app}`, "alerts"] }, (answer) =>
    console.log(JSON.stringify({ joined: answer.rooms ?? answer })),
  ),
);
socket.on("connect_error", (error) => console.error(error.message));
for (const name of ["validation_result", "drift_alert", "rollout_event"]) {
  socket.on(name, (event) => console.log(JSON.stringify({ name, event })));
}
setTimeout(() => process.exit(0), 120_000);
