// All checks of the panel, in order: types, units, then whole ways through a real panel, two beside each other: each has a panel and
// a browser of its own, and both wait most of the time. A way that fails is gone once more, since browsers and machines stumble; what
// passes only then is named. Ends with the totals that tests/run.sh adds up.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";

const TRIES = 3;
const BESIDE = 2;
/** Milliseconds; the longest way takes two minutes on a machine that is busy. What hangs is ended and has failed. */
const LONGEST = 15 * 60_000;
/** They bound how long the page takes, so nothing runs beside them. */
const ALONE = ["marketplace.e2e.mjs"];
const ways = readdirSync(".").filter((file) => file.endsWith(".e2e.mjs")).sort();
const units = readdirSync("unit").filter((file) => file.endsWith(".test.mjs")).map((file) => `unit/${file}`);

/** Runs a command, shows what it printed once it has ended, and resolves to {code, text}. What fails but is gone once more is not shown as a failed test. */
function run(command, args, once = false) {
    return new Promise((resolve, reject) => {
        const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: LONGEST });
        child.stdout.setEncoding("utf8");
        child.stderr.setEncoding("utf8");
        let text = "";
        let shown = `== ${args.at(-1)}\n`;
        child.stdout.on("data", (part) => { text += part; shown += part; });
        child.stderr.on("data", (part) => { shown += part; });
        child.on("error", reject);
        child.on("close", (code, signal) => {
            if (signal) shown += `# ended by ${signal}: ${args.at(-1)}\n`;
            // The totals of one file are not those of all.
            shown = shown.replaceAll(/^(ℹ|#) (pass|fail) /gm, "$1 of these: $2 ");
            process.stdout.write(once ? shown.replaceAll(/^not ok /gm, "# to be gone again: ") : shown);
            resolve({ code, text });
        });
    });
}

const total = { pass: 0, fail: 0 };
const repeated = [];

function add({ code, text }) {
    const number = (word) => Number(text.match(new RegExp(`^(?:ℹ|#) ${word} (\\d+)`, "m"))?.[1] ?? 0);
    total.pass += number("pass");
    // A runner that ends before it counts has failed too.
    total.fail += Math.max(number("fail"), code === 0 ? 0 : 1);
}

async function go(way) {
    let done;
    for (let time = 1; time <= TRIES; time += 1) {
        done = await run("node", ["--test", way], time < TRIES);
        if (done.code === 0) {
            if (time > 1) repeated.push(way);
            break;
        }
    }
    add(done);
}

/** Goes those ways, so many at a time. */
async function goAll(those, beside) {
    const left = [...those];
    const next = async () => { for (let way = left.shift(); way; way = left.shift()) await go(way); };
    await Promise.all(Array.from({ length: beside }, next));
}

for (const check of [["npx", ["tsc", "-p", "tsconfig.json"]], ["node", ["types.mjs", "--check"]]]) {
    const { code } = await run(...check);
    if (code !== 0) total.fail += 1;
}
add(await run("node", ["--test", ...units]));
await goAll(ways.filter((way) => !ALONE.includes(way)), BESIDE);
await goAll(ALONE, 1);

if (repeated.length) console.log(`FLAKY: ${repeated.join(", ")}`);
console.log(`# pass ${total.pass}\n# fail ${total.fail}`);
process.exit(total.fail ? 1 : 0);
