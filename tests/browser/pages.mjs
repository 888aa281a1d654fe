// The pages in a real browser: every page in light, dark and on a phone, without script, with axe's
// rules, by keyboard, and no page wider than its window. Pictures go to $PICTURES.
// Started by scripts/browser-test, which says where the service is.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { AxeBuilder } from "@axe-core/playwright";

const { BASE, TOKEN, PICTURES, CHROMIUM } = process.env;
const PATHS = ["/", "/customers", "/customers/id:1", "/queue", "/calls", "/do-not-call", "/journal"];
const LOOKS = [
  ["light", { viewport: { width: 1280, height: 900 }, colorScheme: "light" }],
  ["dark", { viewport: { width: 1280, height: 900 }, colorScheme: "dark" }],
  ["phone", { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true }],
];
const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update",
];

async function signIn(page) {
  await page.goto(BASE + "/queue");
  await page.keyboard.press("Tab"); // the link that skips to the content
  await page.fill("#token", TOKEN);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Queue" }).waitFor();
}

async function look(page, name, path) {
  await page.goto(BASE + path);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wider <= 0, `${path} (${name}) is ${wider} px wider than its window`);
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`);
  assert.deepEqual(found, [], `${path} (${name})`);
  const file = `${PICTURES}/${name}${path.replace(/[^a-z0-9]+/g, "-")}.png`;
  await page.screenshot({ path: file, fullPage: true });
}

async function pauseAndResume(page) {
  await page.goto(BASE + "/");
  await page.fill("#pause-reason", "a test");
  await page.click("button.danger");
  await page.getByRole("heading", { name: /All calls are paused/ }).waitFor();
  await page.fill("#resume-all", "the test is over");
  await page.click(".alarm button.main");
  await page.getByText("All calls are paused").waitFor({ state: "detached" });
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET });
try {
  for (const [name, options] of LOOKS) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const complaints = [];
    page.on("console", (message) => {
      if (/Content.Security.Policy/i.test(message.text())) complaints.push(message.text());
    });
    await signIn(page);
    for (const path of PATHS) await look(page, name, path);
    await pauseAndResume(page);
    assert.deepEqual(complaints, []);
    const [cookie] = await context.cookies();
    assert.ok(cookie.httpOnly && cookie.sameSite === "Strict", "the cookie is open to scripts");
    await context.close();
    console.log(`browser: ${name} is well`);
  }
  const plain = await browser.newContext({ javaScriptEnabled: false });
  await signIn(await plain.newPage());
  console.log("browser: works without script");
} finally {
  await browser.close();
}
