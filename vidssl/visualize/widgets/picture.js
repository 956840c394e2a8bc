// The browser's half of Picture: one image with its description, never wider than its place.

function render({ model, el }) {
  const image = document.createElement("img");
  image.className = "vidssl-picture vidssl-live";
  let address = "";
  let count = 0;
  image.addEventListener("load", () => (image.dataset.shown = ++count));
  const draw = () => {
    URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([model.get("png")], { type: "image/png" }));
    image.src = address;
    image.alt = model.get("alt");
    image.style.width = model.get("width") ? `${model.get("width")}px` : "";
  };
  model.on("change:png change:alt change:width", draw);
  draw();
  el.append(image);
  return () => {
    URL.revokeObjectURL(address);
    model.off("change:png change:alt change:width", draw);
  };
}

export default { render };
