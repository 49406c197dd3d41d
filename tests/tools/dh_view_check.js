// Loads a file as dh_view.html does, by dh_view.js itself, without a page: its checks throw.
// node dh_view_check.js DH_VIEW_JS FILE: prints the sums that the page would show at its root.
const fs = require("fs"), vm = require("vm");
const [, , view, file] = process.argv;
const context = { document: {}, window: {} };
vm.createContext(context);
context.text = fs.readFileSync(file, "utf8");
vm.runInContext(fs.readFileSync(view, "utf8") + `
gData = JSON.parse(text);
gSelect = { childNodes: gSelectData.map(() => ({})), selectedIndex: 1 };
buildTree();
var sums = [gRoot._totalBytes, gRoot._totalBlocks, gRoot._atTGmaxBytes, gRoot._atTGmaxBlocks,
        gRoot._atTEndBytes, gRoot._atTEndBlocks, gRoot._totalLifetimes];
var frames = gData.ftbl;
var points = gData.pps;
`, context);
console.log(JSON.stringify({ sums: context.sums, frames: context.frames, points: context.points }));
