// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Light, dark, or as the system has it. A classic script in the head: it runs before the first paint, so that nothing flashes.
// It keeps the only thing that this page stores beyond the tab, and that is no secret.
(() => {
    const key = "keyvane.appearance";
    const system = matchMedia("(prefers-color-scheme: dark)");

    function read() {
        try {
            return localStorage.getItem(key) ?? "system";
        } catch {
            return "system";
        }
    }

    function apply() {
        const choice = read();
        const dark = choice === "dark" || (choice === "system" && system.matches);
        document.documentElement.dataset.theme = dark ? "dark" : "light";
    }

    globalThis.keyvaneAppearance = {
        get choice() {
            return read();
        },
        set choice(value) {
            try {
                localStorage.setItem(key, value);
            } catch {
                // Without storage the choice lasts as long as the page.
            }
            apply();
        },
    };
    system.addEventListener("change", apply);
    apply();
})();
