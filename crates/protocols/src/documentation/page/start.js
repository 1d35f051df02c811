// Shows the document of this server; addresses are relative, for proxies that add a prefix.

// Writes arrays of plain values on one line each: a row of a tensor is read as a whole. Leaves any
// text alone that is not as Swagger UI formats it, such as one that the reader has edited.
function withRowsOnOneLine(text) {
  try {
    if (JSON.stringify(JSON.parse(text), null, 2) !== text) {
      return text;
    }
  } catch {
    return text;
  }
  const stringOrRow = /"(?:[^"\\]|\\.)*"|\[(?:[^[\]{}"]|"(?:[^"\\]|\\.)*")*\]/g;
  return text.replace(stringOrRow, (found) =>
    found.startsWith("[")
      ? found.replace(/\s*\n\s*/g, " ").replace("[ ", "[").replace(/ \]$/, "]")
      : found,
  );
}

const rowsOnOneLine = (system) => {
  const wrap = (names) => (Original) => (props) => {
    const changed = names.map((name) => [name, withRowsOnOneLine(props[name])]);
    return system.React.createElement(Original, { ...props, ...Object.fromEntries(changed) });
  };
  return {
    wrapComponents: {
      RequestBodyEditor: wrap(["value", "defaultValue"]),
      HighlightCode: wrap(["children"]),
    },
  };
};

// Folds the groups that the document marks, unless the address leads into one of them.
function foldGroups() {
  const address = decodeURIComponent(window.location.hash);
  for (const tag of window.ui.specSelectors.specJson().get("tags")) {
    const name = tag.get("name");
    if (tag.get("x-folded") && !address.startsWith(`#/${name}`)) {
      window.ui.layoutActions.show(["operations-tag", name], false);
    }
  }
}

window.ui = SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  plugins: [rowsOnOneLine],
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  onComplete: foldGroups,
});
