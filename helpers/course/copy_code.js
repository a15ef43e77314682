// A button on each block of code that copies its text, also where a page that is opened as a file has no clipboard.
(() => {
    const PRINTED = ".output.stream, .output.text_plain, .output.traceback"; // by a cell: no code

    function copyBySelection(text) {
        const focused = document.activeElement, area = document.createElement("textarea");
        area.value = text;
        area.setAttribute("aria-hidden", "true");
        area.style.cssText = "position: fixed; top: 0; opacity: 0"; // in view, so that the page does not scroll
        document.body.append(area);
        area.select();
        const copied = document.execCommand("copy");
        area.remove();
        focused?.focus();
        return copied;
    }

    async function copy(text) {
        try {
            await navigator.clipboard.writeText(text);
            return true;
        } catch { // there is none, or it is refused
            return copyBySelection(text);
        }
    }

    for (const code of document.querySelectorAll(".highlight > pre")) {
        if (code.closest(PRINTED)) continue;
        const button = document.createElement("button");
        const says = (word, label) => {
            button.textContent = word;
            button.setAttribute("aria-label", label);
        };
        says("Copy", "Copy this code");
        button.type = "button";
        button.className = "copy-code";
        button.addEventListener("click", async () => {
            const copied = await copy(code.textContent.trimEnd());
            says(copied ? "Copied" : "Not copied", copied ? "Copied" : "Not copied: the browser refused");
            setTimeout(says, 2000, "Copy", "Copy this code");
        });
        code.after(button); // after the code in the order of the Tab key, too
    }
})();
