// Any answer below 500 is one.
const http = require("node:http");
const asked = http.get({ host: "127.0.0.1", port: process.env.PORT || 1880 }, (answer) => process.exit(answer.statusCode < 500 ? 0 : 1));
asked.on("error", () => process.exit(1));
