addEventListener("message", (event) => {
  const height = event.data && event.data.modelinspectHeight;
  if (typeof height !== "number" || !(height > 0)) return;
  for (const frame of document.querySelectorAll("iframe.modelinspect")) {
    if (frame.contentWindow === event.source) frame.style.height = Math.min(height + 4, 30000) + "px";
  }
});
