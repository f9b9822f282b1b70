// Loads the module and runs it: node run.mjs FILE.wasm
import { readFileSync } from "node:fs";
import { argv, stdout } from "node:process";

const host = {
    print(text, length) {
        // A new view, because older views are detached when memory grows. Addresses arrive as signed numbers.
        const bytes = new Uint8Array(instance.exports.memory.buffer, text >>> 0, length);
        stdout.write(new TextDecoder().decode(bytes) + "\n");
    },
};
const module = new WebAssembly.Module(readFileSync(argv[2]));
const instance = new WebAssembly.Instance(module, { host });
instance.exports.run();
