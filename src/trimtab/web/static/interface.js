"use strict";
// Hands the description of the interface to the tool that shows it. Loaded before the tool,
// which is made to keep to the policy of the page: Redoc adds style sheets without the
// page's nonce, and wants a logo from a host of its makers.
(function () {
  const script = document.currentScript;
  const create = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const element = create(name, options);
    const kind = String(name).toLowerCase();
    if (kind === "style") element.nonce = script.nonce;
    if (kind === "img") keepAtHome(element);
    return element;
  };

  function keepAtHome(image) {
    const set = (key, value) => {
      const foreign = key === "src" && /^(https?:)?\/\//i.test(String(value));
      if (foreign) image.hidden = true;
      else Element.prototype.setAttribute.call(image, key, value);
    };
    image.setAttribute = set;
    Object.defineProperty(image, "src", {
      get: () => image.getAttribute("src"),
      set: (value) => set("src", value),
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const place = document.getElementById("interface");
    if (place.dataset.tool === "swagger") {
      SwaggerUIBundle({
        url: "/openapi.json",
        domNode: place,
        deepLinking: true,
        validatorUrl: null, // or it would ask a host of its makers
      });
    } else {
      Redoc.init("/openapi.json", {
        nonce: script.nonce,
        disableSearch: true, // it would build its index in a worker made of a string
      }, place);
    }
  });
})();
