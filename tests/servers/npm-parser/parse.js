// Reads a page in the text format from standard input, and writes what the parser made of it as JSON.
const parse = require("parse-prometheus-text-format");
process.stdout.write(JSON.stringify(parse(require("fs").readFileSync(0, "utf8"))));
