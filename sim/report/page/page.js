"use strict";
// What every page can do: copy a command, sort a table.
(() => {
	// Copying of commands.
	for (const b of document.querySelectorAll("[data-copy]")) {
		b.addEventListener("click", () => {
			const range = document.createRange();
			range.selectNodeContents(document.getElementById(b.dataset.copy));
			getSelection().removeAllRanges();
			getSelection().addRange(range);
			const said = navigator.clipboard ? navigator.clipboard.writeText(String(getSelection())) : Promise.reject();
			said.then(() => { b.textContent = "Copied"; }, () => { b.textContent = "Selected"; });
		});
	}

	// Sorting of tables.
	for (const table of document.querySelectorAll("table.sortable")) {
		const heads = [...table.tHead.rows[0].cells];
		heads.forEach((head, column) => {
			const button = document.createElement("button");
			button.type = "button";
			button.textContent = head.textContent;
			head.replaceChildren(button);
			button.addEventListener("click", () => {
				const number = head.classList.contains("number");
				const was = head.getAttribute("aria-sort");
				const down = was === "descending" ? false : was === "ascending" ? true : number;
				for (const h of heads) h.removeAttribute("aria-sort");
				head.setAttribute("aria-sort", down ? "descending" : "ascending");
				const of = (row) => {
					const cell = row.cells[column];
					const text = cell.dataset.v ?? cell.textContent;
					return number ? Number(text) : text;
				};
				const rows = [...table.tBodies[0].rows].map((row) => [of(row), row]);
				rows.sort(([a], [b]) => (number ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })) * (down ? -1 : 1));
				table.tBodies[0].append(...rows.map(([, row]) => row));
			});
		});
	}
})();
