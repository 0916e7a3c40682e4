// What of a page is below WCAG 2.1's AA, as [text, ratio]: every visible text, in fields as well, against what lies behind it (success criterion
// 1.4.3), and the edge of every field, tick box and radio button that is not filled with another colour (1.4.11).
const luminance = (color) => {
  const [red, green, blue] = color.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
// Any CSS colour as [red, green, blue] from 0 to 255, and its opacity.
const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const parsed = (text) => {
  paint.clearRect(0, 0, 1, 1);
  paint.fillStyle = text;
  paint.fillRect(0, 0, 1, 1);
  const [red, green, blue, opacity] = paint.getImageData(0, 0, 1, 1).data;
  return [[red, green, blue], opacity / 255];
};
const over = (top, opacity, under) => top.map((value, i) => value * opacity + under[i] * (1 - opacity));
const behind = (element) => {
  const layers = [];
  for (let node = element; node; node = node.parentElement) {
    layers.push(parsed(getComputedStyle(node).backgroundColor));
    if (layers.at(-1)[1] === 1) break;
  }
  return layers.reverse().reduce((under, [color, opacity]) => over(color, opacity, under), [255, 255, 255]);
};
const seen = (element) =>
  element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
  !element.closest("script, style, noscript, :disabled");
const counted = [];
const faint = [];
const ratioOf = (color, opacity, background) => {
  const levels = [luminance(over(color, opacity, background)), luminance(background)].sort((a, b) => b - a);
  return (levels[0] + 0.05) / (levels[1] + 0.05);
};
const count = (text, element, style) => {
  const [color, opacity] = parsed(style.color);
  const ratio = ratioOf(color, opacity * (parseFloat(style.opacity) || 1), behind(element));
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
  counted.push(text);
  if (ratio < (large ? 3 : 4.5)) faint.push([text, ratio]);
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = texts.nextNode()); ) {
  const element = node.parentElement;
  if (node.textContent.trim() && seen(element)) count(node.textContent.trim(), element, getComputedStyle(element));
}
const written = "input:not([type=range], [type=checkbox], [type=radio], [type=file]), textarea";
for (const field of document.querySelectorAll(written)) {
  if (!seen(field)) continue;
  if (field.value) count(field.value, field, getComputedStyle(field));
  else if (field.placeholder) count(field.placeholder, field, getComputedStyle(field, "::placeholder"));
}
for (const field of document.querySelectorAll("input:not([type=range], [type=file]), textarea")) {
  if (!seen(field) || field.readOnly) continue;
  const style = getComputedStyle(field);
  const background = behind(field.parentElement);
  const ratio = Math.max(...[style.borderTopColor, style.backgroundColor].map((color) => ratioOf(...parsed(color), background)));
  counted.push(field.type);
  if (ratio < 3) faint.push([`edge of ${field.outerHTML.slice(0, 80)}`, ratio]);
}
return [counted.length, faint];
