#!/usr/bin/env bash
# The Chromium that the tests of the pages drive. Safe to repeat.
#
#   browser.sh --find   prints where it is, or says what to do; installs nothing
#   browser.sh          is silent where there is one; gets it, or says what to do, where not
#
# TRIMTAB_TEST_BROWSER names one that lies elsewhere.
set -euo pipefail
python=${TRIMTAB_TEST_PYTHON:-$(dirname "$0")/../.venv/bin/python}

# A file that is there is not enough: Ubuntu's chromium-browser only says "install the snap".
works() { [ -n "$1" ] && "$1" --version >/dev/null 2>&1; }

playwrights() {
  "$python" -c 'from playwright.sync_api import sync_playwright as begin
with begin() as playwright: print(playwright.chromium.executable_path)' 2>/dev/null
}

find_browser() {
  local name path
  if [ -n "${TRIMTAB_TEST_BROWSER:-}" ]; then
    works "$TRIMTAB_TEST_BROWSER" && printf '%s\n' "$TRIMTAB_TEST_BROWSER"
    return
  fi
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    path=$(command -v "$name") && works "$path" && printf '%s\n' "$path" && return
  done
  path=$(playwrights) && works "$path" && printf '%s\n' "$path"
}

explain() {
  if [ -n "${TRIMTAB_TEST_BROWSER:-}" ]; then
    printf 'TRIMTAB_TEST_BROWSER=%s cannot be run.\n' "$TRIMTAB_TEST_BROWSER" >&2
  fi
  printf '%s\n' "The tests of the pages need Chromium, and none was found that runs." \
    "  Debian, as root: apt-get install chromium" \
    "  without root:    .venv/bin/playwright install chromium" \
    "  or name one:     TRIMTAB_TEST_BROWSER=/path/to/chrome make test" >&2
  exit 1
}

found=$(find_browser) && { [ "${1:-}" != --find ] || echo "$found"; exit 0; }
[ "${1:-}" != --find ] && [ -z "${TRIMTAB_TEST_BROWSER:-}" ] || explain

# Everything below needs a network; what it says is shown, and whether it helped is looked at.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing Chromium for the tests of the pages (apt-get) ..." >&2
  { apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      chromium fonts-dejavu-core; } >&2 || true
else
  echo "Getting Playwright's Chromium for the tests of the pages, into your home ..." >&2
  "$python" -m playwright install chromium >&2 || true
fi
find_browser >/dev/null || explain
